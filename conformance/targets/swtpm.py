# SPDX-License-Identifier: MIT
"""
The reference backend with a real TPM in a process of its own: swtpm, over its sockets.

Debian has it in ``swtpm``.  ``python -m conformance.targets.swtpm [1.2]`` is a
program that speaks the process link.
"""

import atexit
import sys

from conformance.targets import Target
from conformance.targets.emulator import Emulator, Ended, available
from conformance.targets.reference import served_by
from conformance.targets.threaded import ThreadedTpm, is_harmless, refusal
from vtpm_ref.packet import CODES, Family, error_response
from vtpm_ref.xenbus import Place

__all__ = ["Swtpm", "available", "backend", "backend12", "give", "release"]

#: Seconds for one command, as Linux gives to those that it does not know.
PATIENCE = 120.0


class Swtpm(ThreadedTpm):
    """
    A TPM of ``family``, started up.

    When its process crashes or hangs, stderr says so, and that command and all
    that follow are answered with the family's code for failure.

    :param patience: seconds after which it is taken to hang.
    :ivar trouble: what became of the process; empty while it works.
    :raises AdapterError: swtpm is missing or does not start.
    """

    def __init__(self, family: Family = Family.TPM20, patience: float = PATIENCE) -> None:
        self.emulator = Emulator(family, patience)
        self.trouble = ""
        self._closed = False
        self._changed = False
        super().__init__(family)
        # Not left to the end of the sockets: a command may run, and swtpm first ends that.
        atexit.register(self.close)

    def execute(self, packet: bytes, locality: int) -> bytes:
        """See ``ThreadedTpm.execute``; a malformed packet never reaches swtpm."""
        if refused := refusal(self.family, packet, locality):
            return refused
        self._changed |= not is_harmless(packet)
        if not self.trouble:
            try:
                return self.emulator.process_command(packet, locality)
            except Ended as ended:
                self._give_up(ended)
        return error_response(self.family, CODES[self.family].failure)

    def abort(self) -> None:
        """
        Nothing: ``swtpm socket`` cannot abandon a command, so this stays a wish.

        Measured with 0.7.1: it looks at its control socket, where a cancel would
        come, only when the command is over.  The whole response follows.
        """

    @property
    def fresh(self) -> bool:
        """Whether it is as good as a new one."""
        return self.idle and not self._changed and not self.trouble

    def close(self) -> None:
        """Let the TPM go, with the command that runs; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self.trouble = self.trouble or "it is closed"
        self.emulator.process.kill()
        self.end()
        self.emulator.close()
        atexit.unregister(self.close)

    def _give_up(self, ended: Ended) -> None:
        self.emulator.process.kill()  # one that hangs
        if not self.trouble:
            self.trouble = f"swtpm has ended: {ended}"
            print(f"{self.trouble}; every command fails from now on", file=sys.stderr)


_given: list[Swtpm] = []


def release() -> None:
    """Close the TPM that ``backend`` or ``backend12`` made last."""
    while _given:
        _given.pop().close()


def give(family: Family) -> Swtpm:
    """A TPM that is as good as new; the one before it is closed, or it is that one."""
    if not any(tpm.fresh and tpm.family is family for tpm in _given):
        release()
        _given.append(Swtpm(family))
    return _given[-1]


def backend(place: Place, family: Family = Family.TPM20) -> Target:
    """The reference backend with a TPM that is as good as new; the one before it is gone."""
    return served_by(give(family), f"swtpm {family.value} backend", place)


def backend12(place: Place) -> Target:
    """The same with a TPM 1.2."""
    return backend(place, Family.TPM12)


if __name__ == "__main__":
    from conformance.adapter import serve

    sys.exit(serve(backend12 if sys.argv[1:] == ["1.2"] else backend))
