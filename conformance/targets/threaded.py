# SPDX-License-Identifier: MIT
"""
A TPM that works in a thread of its own, and what never reaches a real TPM.
"""

import os
import select
from queue import SimpleQueue
from threading import Thread

from vtpm_ref.packet import (
    CODES,
    Family,
    PacketHeader,
    build,
    error_response,
    is_well_formed,
)
from vtpm_ref.page import MOST_LOCALITY, capacity

#: Startup(CLEAR), the first command of every TPM.
STARTUP = {
    Family.TPM12: build(0xC1, 0x99, b"\x00\x01"),
    Family.TPM20: build(0x8001, 0x144, b"\x00\x00"),
}


#: Tag and ordinal of commands that leave a TPM as fresh as it was: PCRRead,
#: GetRandom and GetCapability of a 1.2.
_HARMLESS = {(0xC1, 0x15), (0xC1, 0x46), (0xC1, 0x65)}


def is_harmless(packet: bytes) -> bool:
    """
    Whether a well-formed command leaves a TPM as fresh as it was.

    The self test of a 1.2 makes an RSA key, about 150 ms, so one that is still
    fresh is used again.  A 2.0 starts at once, so nothing of it need be harmless.
    """
    header = PacketHeader.unpack(packet)
    return (header.tag, header.code) in _HARMLESS


def refusal(family: Family, packet: bytes, locality: int) -> bytes | None:
    """
    The error that answers what no TPM may be given; ``None`` for all else.

    swtpm waits for ever for the rest of a packet that is shorter than it says,
    and libtpms takes localities 5 to 31 for 0.
    """
    codes = CODES[family]
    if not is_well_formed(packet) or len(packet) > capacity():
        return error_response(family, codes.size)
    if locality > MOST_LOCALITY:
        return error_response(family, codes.locality)
    return None


class ThreadedTpm:
    """
    A TPM of ``family`` whose commands run in a thread; fulfils ``conformance.driver.Tpm``.

    A subclass says how to ``execute`` one.

    :ivar idle: whether the result of every command has been fetched.
    """

    def __init__(self, family: Family) -> None:
        self.family = family
        self.idle = True
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._event, select.POLLIN)
        self._jobs: SimpleQueue[tuple[bytes, int] | None] = SimpleQueue()
        self._response = b""
        self._worker = Thread(target=self._work, daemon=True)
        self._worker.start()

    def execute(self, packet: bytes, locality: int) -> bytes:
        """Execute one command, in the thread, and return its response."""
        raise NotImplementedError

    def start(self, packet: bytes, locality: int) -> None:
        """Start a command; only when no other is running."""
        self.idle = False
        self._jobs.put((packet, locality))

    def finished(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for the command; say if it is over."""
        return bool(self._poll.poll(timeout * 1000))

    def result(self) -> bytes | None:
        """The response of the command that is over; a TPM says itself if cancelled."""
        os.eventfd_read(self._event)
        self.idle = True
        return self._response

    def fileno(self) -> int:
        """A descriptor that is readable when the command is over."""
        return self._event

    def end(self) -> None:
        """Wait for the command that runs, if any, and end the thread; only once."""
        self._jobs.put(None)
        self._worker.join()
        os.close(self._event)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._response = self.execute(*job)
            os.eventfd_write(self._event, 1)
