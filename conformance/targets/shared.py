# SPDX-License-Identifier: MIT
"""
One TPM behind several connections: whoever asks first is served first.

A TPM works on one command at a time.  Each connection has a seat; a seat is a
TPM of its own to its machine, and waits its turn in the order of arrival.
"""

from collections import deque

from conformance.driver import Tpm
from vtpm_ref.packet import Family


class SharedTpm:
    """
    The seats around one TPM.

    :param tpm: the TPM; nobody else may use it.
    """

    def __init__(self, tpm: Tpm) -> None:
        self._tpm = tpm
        self._queue: deque[Seat] = deque()
        self._served: Seat | None = None

    def seat(self) -> "Seat":
        """A further seat."""
        return Seat(self, self._tpm)

    def enter(self, seat: "Seat") -> None:
        """``seat`` has a command; it runs when its turn has come."""
        self._queue.append(seat)
        self._next()

    def leave(self, seat: "Seat") -> None:
        """``seat`` wants its command abandoned: stop it, or take it out of the queue."""
        if seat is self._served:
            self._tpm.abort()
        elif seat in self._queue:
            self._queue.remove(seat)
            seat.give(None)

    def advance(self, seat: "Seat", timeout: float) -> None:
        """
        Wait at most ``timeout`` seconds for the command of ``seat``, if it is the one that runs.

        Whoever waits for its turn moves nobody on: answers come in the order of starts.
        """
        if self._served is seat and self._tpm.finished(timeout):
            self._served = None
            seat.give(self._tpm.result())
            self._next()

    def _next(self) -> None:
        if self._served is None and self._queue:
            self._served = self._queue.popleft()
            self._tpm.start(self._served.packet, self._served.locality)


class Seat:
    """
    A TPM as one connection sees it; fulfils ``conformance.driver.Tpm``.

    :ivar packet: the command that it runs or waits with.
    """

    def __init__(self, shared: SharedTpm, tpm: Tpm) -> None:
        self.family: Family = tpm.family
        self.packet = b""
        self.locality = 0
        self._shared = shared
        self._tpm = tpm
        self._over = False
        self._response: bytes | None = None

    def start(self, packet: bytes, locality: int) -> None:
        """Start a command, or wait for one's turn with it."""
        self.packet, self.locality, self._over = packet, locality, False
        self._shared.enter(self)

    def abort(self) -> None:
        """Ask for the command to be abandoned; it still finishes."""
        self._shared.leave(self)

    def finished(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for the command; say if it is over."""
        if not self._over:
            self._shared.advance(self, timeout)
        return self._over

    def result(self) -> bytes | None:
        """The response of the command that is over, ``None`` if abandoned."""
        return self._response

    def fileno(self) -> int:
        """A descriptor that is readable when the running command is over, or -1."""
        return self._tpm.fileno()

    def give(self, response: bytes | None) -> None:
        """The command is over."""
        self._response, self._over = response, True
