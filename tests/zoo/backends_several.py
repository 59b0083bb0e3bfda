# SPDX-License-Identifier: MIT
"""
Backends that break what the page says of several frontends.
"""

from collections import deque
from dataclasses import replace
from typing import Self

from conformance.driver import Tpm
from conformance.targets.shared import Seat, SharedTpm
from tests.zoo.base import BackendAnimal, animal
from vtpm_ref.backend import Backend
from vtpm_ref.states import State
from vtpm_ref.steps import Operation

_UNANSWERED = "the request that has to wait is well-formed, and gets no answer"


@animal(
    "several.own-service",
    "connecting.backend-connects",
    why="the ninth frontend is Initialised, and it does not connect to it",
)
class ServesEight(BackendAnimal):
    """Serves the frontends with domids up to 8, and nobody else."""

    @property
    def operation(self) -> Operation | None:
        return super().operation if self.place.frontend_id <= 8 else None


@animal("several.own-service", "exchange.answered", why=_UNANSWERED)
class DiesOfFlood(BackendAnimal):
    """Ends when it has got 40 events and no request."""

    def event(self) -> Self:
        if self.memory > 40:
            raise RuntimeError("too many events")
        return replace(super().event(), memory=self.memory + 1)

    def then_look(self, raw: bytes) -> Backend:
        after = self.usual(raw)
        return replace(after, memory=0) if raw[0] == State.SUBMIT else after


class _ForgetsWaiting(SharedTpm):
    """Forgets who waits when the one that is served gives up."""

    def leave(self, seat: Seat) -> None:
        if seat is self._served:
            self._queue.clear()
        super().leave(seat)


@animal("several.own-service", "exchange.answered", why=_UNANSWERED, shared=_ForgetsWaiting)
class ForgetsWaiting(BackendAnimal):
    """Forgets the requests that wait when the frontend that is served goes."""


class _StrictTurns(SharedTpm):
    """Serves one seat after the other, and waits for each to have a command."""

    def __init__(self, tpm: Tpm) -> None:
        super().__init__(tpm)
        self._seats: list[Seat] = []
        self._turn = 0

    def seat(self) -> Seat:
        self._seats.append(super().seat())
        return self._seats[-1]

    def _next(self) -> None:
        seat = self._seats[self._turn % len(self._seats)]
        if self._served is None and seat in self._queue:
            self._turn += 1
            self._queue.remove(seat)
            self._queue.appendleft(seat)
            super()._next()


@animal(
    "several.own-service",
    "exchange.answered",
    "several.in-turn",
    "robust.response-belongs",
    "time.refusal-bound",
    why=f"{_UNANSWERED}; the last three have cases with several frontends",
    shared=_StrictTurns,
)
class StrictTurns(BackendAnimal):
    """Serves its frontends in turn, and waits for a request of each."""


class _LowestFirst(SharedTpm):
    """Serves the seat that was taken first."""

    def __init__(self, tpm: Tpm) -> None:
        super().__init__(tpm)
        self._seats: list[Seat] = []

    def seat(self) -> Seat:
        self._seats.append(super().seat())
        return self._seats[-1]

    def _next(self) -> None:
        self._queue = deque(sorted(self._queue, key=self._seats.index))
        super()._next()


@animal("several.in-turn", shared=_LowestFirst)
class LowestFirst(BackendAnimal):
    """Serves the frontend with the lowest domid first (mini-os tpmback)."""
