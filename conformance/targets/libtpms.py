# SPDX-License-Identifier: MIT
"""
The reference backend with a real TPM: libtpms, in this process, through ctypes.

The only software TPM at hand whose running command can be cancelled.  Debian
has it in ``libtpms0``.  ``python -m conformance.targets.libtpms [1.2]`` is a
program that speaks the process link.
"""

import atexit
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock, Thread

from conformance.errors import AdapterError
from conformance.targets import Target
from conformance.targets.chip import available, chip
from conformance.targets.reference import served_by
from conformance.targets.threaded import ThreadedTpm
from vtpm_ref.packet import Family
from vtpm_ref.xenbus import Place

__all__ = ["LibTpms", "available", "backend", "backend12", "release"]

#: Seconds between two cancels of a command that does not end.
_INSIST = 0.002


class LibTpms(ThreadedTpm):
    """
    A TPM of ``family``, started up.

    :param nvram: its stored state, changed in place; left out, a new TPM.
    :raises AdapterError: libtpms is missing, does not start, or another
        instance is open; a process can have one at a time.
    """

    _open: "LibTpms | None" = None

    def __init__(
        self, family: Family = Family.TPM20, nvram: dict[str, bytes] | None = None
    ) -> None:
        if LibTpms._open is not None:
            raise AdapterError("libtpms holds one TPM a process: close the one that is open first")
        self._chip = chip()
        # A ^C that comes while libtpms calls back would be dropped; only this thread gets it.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(self._chip.start, family, nvram).result()
        self.nvram = self._chip.nvram
        self._over = Event()
        self._over.set()
        self._lock = Lock()
        super().__init__(family)
        # A command that runs while the interpreter ends would call back into it.
        atexit.register(self.close)
        LibTpms._open = self

    def start(self, packet: bytes, locality: int) -> None:
        """Start a command; only when no other is running."""
        self._over = Event()
        super().start(packet, locality)

    def execute(self, packet: bytes, locality: int) -> bytes:
        """See ``ThreadedTpm.execute``."""
        response = self._chip.process(packet, locality)
        with self._lock:
            self._over.set()
        return response

    def abort(self) -> None:
        """
        Cancel the running command, and insist.

        libtpms forgets a cancel that comes before the command has begun.
        """
        over = self._over
        if self._cancel(over):
            Thread(target=self._insist, args=(over,), daemon=True).start()

    def close(self) -> None:
        """Let the TPM go, cancelling what runs; safe to call twice."""
        if LibTpms._open is not self:
            return
        self.abort()
        self.end()
        atexit.unregister(self.close)
        LibTpms._open = None

    def _cancel(self, over: Event) -> bool:
        """Cancel unless ``over``, so that no later command is ever hit."""
        with self._lock:
            return not over.is_set() and self._chip.cancel()

    def _insist(self, over: Event) -> None:
        while not over.wait(_INSIST) and self._cancel(over):
            pass


_given: list[LibTpms] = []


def release() -> None:
    """Close the TPM that ``backend`` or ``backend12`` made last."""
    while _given:
        _given.pop().close()


def backend(place: Place, family: Family = Family.TPM20) -> Target:
    """The reference backend with a fresh TPM; the one before it is closed."""
    release()
    tpm = LibTpms(family)
    _given.append(tpm)
    return served_by(tpm, f"libtpms {family.value} backend", place)


def backend12(place: Place) -> Target:
    """The same with a TPM 1.2."""
    return backend(place, Family.TPM12)


if __name__ == "__main__":
    from conformance.adapter import serve

    sys.exit(serve(backend12 if sys.argv[1:] == ["1.2"] else backend))
