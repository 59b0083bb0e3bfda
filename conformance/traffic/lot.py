# SPDX-License-Identifier: MIT
"""
A frontend and a backend whose next step is drawn by lot.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations
from random import Random

from conformance.driver import Driver, Tpm
from conformance.links.joint import LIMIT, Joint
from conformance.recorder import Recorder
from conformance.targets import Target
from vtpm_ref.packet import CODES, error_response
from vtpm_ref.page import MOST_LOCALITY, STATE
from vtpm_ref.states import BACKEND, CANCEL, FRONTEND, SUBMIT, Role
from vtpm_ref.xenbus import Place


@dataclass(frozen=True)
class Habits:
    """
    How often, at each step, something happens that need not.

    :param cancels: the user cancels, a request or none.
    :param expiries: the deadline of a wait passes.
    :param spurious: an event comes without cause.
    :param closes: the user closes the device, and opens it again afterwards.
    :param gives_up: at the end of a command, the TPM has no response.
    :param elsewhere: a request is at locality 1 to 4.
    """

    cancels: float = 0.03
    expiries: float = 0.002
    spurious: float = 0.03
    closes: float = 0.001
    gives_up: float = 0.1
    elsewhere: float = 0.1


USUAL = Habits()


#: How often both connect again in one trace; a link has no more ports.
MOST_CLOSINGS = 12


class UnsteadyTpm:
    """
    A TPM whose commands end when it is let, some of them without a response.

    :param tpm: who executes them.
    :ivar let: whether the command may end.
    :ivar executed: the last command that has ended, and its response.
    """

    def __init__(self, tpm: Tpm, rng: Random, habits: Habits) -> None:
        self.family = tpm.family
        self.let = False
        self.executed: tuple[bytes, bytes | None] = (b"", None)
        self._tpm = tpm
        self._command = b""
        self._rng = rng
        self._gives_up = habits.gives_up

    def start(self, packet: bytes, locality: int) -> None:
        """Start a command, which does not end yet."""
        self.let = False
        self._command = packet
        self._tpm.start(packet, locality)

    def abort(self) -> None:
        """Ask for the running command to be abandoned."""
        self._tpm.abort()

    def finished(self, timeout: float) -> bool:
        """Whether the command is over and may be."""
        return self.let and self._tpm.finished(timeout)

    def result(self) -> bytes | None:
        """The response, or ``None``, whatever the TPM has said."""
        response = self._tpm.result()
        if self._rng.random() < self._gives_up:
            response = None
        self.executed = (self._command, response)
        return response

    def fileno(self) -> int:
        """There is nothing to wait for: it ends when it is let."""
        return -1


class Lot(Joint):
    """
    Both sides, and the chance that decides who of them takes the next step.

    An event is on its way until that is drawn; several to one side are one.

    :param frontend: makes the frontend.
    :param backend: makes the backend; its TPM becomes an unsteady one.
    """

    def __init__(
        self,
        recorder: Recorder,
        frontend: Callable[[Place], Target],
        backend: Callable[[Place], Target],
        rng: Random,
        habits: Habits,
    ) -> None:
        self._rng = rng
        self._habits = habits
        self._underway: set[Role] = set()
        self._closed = 0
        self._closings = 0
        self._tpm: UnsteadyTpm | None = None
        #: The moves, in every order in which they can be tried.
        self._orders: tuple[tuple[Callable[[], bool], ...], ...] = ()
        self._whims: tuple[tuple[float, Callable[[], object]], ...] = ()

        def unsteady(place: Place) -> Target:
            target = backend(place)
            if target.tpm is not None:
                self._tpm = UnsteadyTpm(target.tpm, rng, habits)
            return replace(target, tpm=self._tpm)

        super().__init__(Place(), recorder, frontend, unsteady)

    def start(self) -> None:
        """See ``Joint.start``."""
        super().start()
        frontend, backend, tpm = self._drivers[0], self._backend, self._tpm
        if backend is not None:
            moves = (
                frontend.step,
                backend.step,
                lambda: self._arrive(FRONTEND, frontend),
                lambda: self._arrive(BACKEND, backend),
                lambda: self._let_end(backend, tpm),
            )
            self._orders = tuple(permutations(moves))

    def connect(self) -> None:
        """See ``Joint.connect``; from then on, what need not happen can happen."""
        super().connect()
        frontend, backend, habits = self._drivers[0], self._backend, self._habits
        if backend is not None:
            self._whims = (
                (habits.cancels, lambda: self.order("cancel")),
                (habits.closes, self._close),
                (habits.expiries, frontend.expired),
                (habits.spurious / 2, frontend.event),
                (habits.spurious / 2, backend.event),
            )

    def send(self, packet: bytes) -> str:
        """
        Have the frontend send ``packet``, at a locality that is drawn.

        :return: what is wrong with what became of it; empty if nothing.
        """
        elsewhere = self._rng.random() < self._habits.elsewhere
        locality = self._rng.randint(1, MOST_LOCALITY) if elsewhere else 0
        order = self.order("send", packet, locality)
        self.wait(lambda: order in self.results, LIMIT, "the end of an order")
        outcome = self.results.pop(order, None)
        if outcome is None:
            self._blame()
            return "an order came to no end"
        if self._closed:
            return self._reconnect()
        if outcome.outcome != "response" or outcome.packet == self._expected(packet, locality):
            return ""
        return f"order {order} got a response that is not its own"

    def _close(self) -> None:
        if not self._closed and self._closings < MOST_CLOSINGS:
            self._closings += 1
            self._closed = self.order("close")

    def _reconnect(self) -> str:
        """Both have closed, or are about to; let them connect again, however often that takes."""
        outcome = self._outcome(self._closed)
        while outcome in ("closed", "timed-out"):
            outcome = self._outcome(self.order("reconnect"))
        self._closed = 0
        return "" if outcome == "connected" else "the two sides did not connect again"

    def _outcome(self, order: int) -> str:
        """How ``order`` ends; empty if it does not."""
        self.wait(lambda: order in self.results, LIMIT, "the end of an order")
        ended = self.results.pop(order, None)
        return ended.outcome if ended else ""

    def finish(self) -> str:
        """
        Let both come to rest, after a deadline that passed perhaps.

        :return: what is wrong then; empty if nothing.
        """
        self.settle(self.first, LIMIT)
        if not self._busy:
            return ""
        self._blame()
        return "a request was left without an answer"

    def _expected(self, packet: bytes, locality: int) -> bytes | None:
        """The one response to ``packet``: the TPM's, or the refusal of its backend."""
        if locality:
            return error_response(self.family, CODES[self.family].locality)
        command, response = self._tpm.executed if self._tpm is not None else (b"", None)
        return response if command == packet else None

    @property
    def _busy(self) -> bool:
        return self.recorder.image(0)[STATE.offset] in (SUBMIT, CANCEL)

    def _blame(self) -> None:
        """
        Both rest too early: record what is missing, so that the judge can say whose it is.

        An event may be all that is missing; if not, more than an event.
        """
        self.silence("an event", LIMIT)
        for driver in (self._drivers[0], self._backend):
            if driver is not None:
                driver.event()
        self.settle(self.first, LIMIT)
        if self._busy:
            self.silence("an answer", LIMIT)
        elif not self.results:
            self.silence("a result", LIMIT)

    def _advance(self, limit: float) -> bool:
        """One move; ``False`` if there is none, whatever else could be."""
        chance = self._rng.random()
        for often, whim in self._whims:
            if chance < often:
                whim()
                break
            chance -= often
        return any(move() for move in self._rng.choice(self._orders))

    def _ring_frontend(self) -> None:
        self._underway.add(FRONTEND)

    def _ring_backend(self) -> None:
        self._underway.add(BACKEND)

    def _arrive(self, role: Role, driver: Driver) -> bool:
        """The event to ``role`` arrives, if one is on its way."""
        if role not in self._underway:
            return False
        self._underway.remove(role)
        driver.event()
        return True

    def _let_end(self, backend: Driver, tpm: UnsteadyTpm | None) -> bool:
        """The command that runs, if one does, ends."""
        if tpm is None:
            return False
        tpm.let = True
        return backend.finish_work(LIMIT)
