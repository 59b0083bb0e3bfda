# SPDX-License-Identifier: MIT
"""
Two targets that share a page, with no tester between them.

Everything that the memory link records of one target is recorded of both.
"""

from collections.abc import Callable

from conformance.driver import Driver
from conformance.errors import AdapterError
from conformance.links.base import Outcome
from conformance.links.connection import Connection
from conformance.links.memory import MemoryHands, MemoryLink
from conformance.recorder import Recorder
from conformance.targets import Target
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

#: Seconds; a TPM may need some for a key.
LIMIT = 60.0


class Joint(MemoryLink):
    """
    A frontend that takes orders, and the backend that it meets.

    :param frontend: makes the frontend.
    :param backend: makes the backend.
    """

    def __init__(
        self,
        place: Place,
        recorder: Recorder,
        frontend: Callable[[Place], Target],
        backend: Callable[[Place], Target],
    ) -> None:
        # To the link the frontend is the target, because it is who takes orders.
        super().__init__(Role.FRONTEND, place, recorder, frontend)
        self._make_backend = backend
        self._backend: Driver | None = None

    def start(self) -> None:
        """
        Make both.

        :raises AdapterError: a factory raised, or made no target.
        """
        super().start()
        target = self._make(self._make_backend)
        hands = MemoryHands(self.first, Role.BACKEND, self._ring_frontend)
        self._backend = hands.drive(target.machine, target.tpm)

    def stop(self) -> None:
        """See ``Link.stop``."""
        super().stop()
        self._backend = None

    def connect(self) -> None:
        """
        Start both and let them connect.

        :raises AdapterError: they do not.
        """
        self.start()
        self.recorder.event("target", tpm=self.family.value, can=",".join(sorted(self.can)))
        if not self.wait(self._connected, LIMIT, "both to be Connected"):
            raise AdapterError(f"frontend and backend do not connect: {self.exited or 'both rest'}")

    def exchange(self, packet: bytes, locality: int = 0) -> Outcome:
        """Send ``packet`` through the frontend; what became of it."""
        return self.outcome(self.order("send", packet, locality))

    def outcome(self, order: int) -> Outcome:
        """Wait for what becomes of ``order``; ``timed-out`` if nothing does."""
        self.wait(lambda: order in self.results, LIMIT, "the result of an order")
        return self.results.pop(order, Outcome("timed-out", why=self.exited or ""))

    @property
    def working(self) -> bool:
        """Whether the backend's TPM works on a command."""
        return self._backend is not None and self._backend.working

    def _connected(self) -> bool:
        return bool(self._drivers[0].machine.ready)

    def _drive(self, target: Target, connection: Connection) -> Driver:
        """The frontend's driver; its events go to the backend, not to a tester."""
        hands = MemoryHands(connection, self.judged, self._ring_backend)
        return hands.drive(target.machine, target.tpm)

    def _advance(self, limit: float) -> bool:
        frontend, backend = self._drivers[0], self._backend
        if backend is None:
            return frontend.step()
        # The backend waits for its TPM only when the frontend, too, has nothing to do.
        return frontend.step() or backend.step() or backend.finish_work(limit)

    def _ring_frontend(self) -> None:
        self._drivers[0].event()

    def _ring_backend(self) -> None:
        if self._backend is not None:
            self._backend.event()
