# SPDX-License-Identifier: MIT
"""
Backends that break what the page says of cancellation.
"""

from dataclasses import replace

from tests.zoo.base import BackendAnimal, animal
from vtpm_ref.backend import Backend, Step
from vtpm_ref.states import State


@animal(
    "cancel.answered",
    "cancel.acknowledged-when-idle",
    "exchange.answered",
    why="it cannot tell a CANCEL of a request, which is unanswered, from one on a free page",
)
class IgnoresCancel(BackendAnimal):
    """Rests when it finds CANCEL."""

    def then_look(self, raw: bytes) -> Backend:
        if raw[0] == State.CANCEL:
            return replace(self, unseen_event=False)._rest()
        return self.usual(raw)


@animal("cancel.acknowledged-when-idle")
class FinishesForCancel(BackendAnimal):
    """Answers a CANCEL for which nothing runs with FINISH and what is in the page."""

    def then_look(self, raw: bytes) -> Backend:
        if raw[0] == State.CANCEL:
            return replace(self, step=Step.PUT_FINISH, unseen_event=False)
        return self.usual(raw)
