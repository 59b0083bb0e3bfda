# SPDX-License-Identifier: MIT
"""
Frontends that break what the page says of cancellation.
"""

from dataclasses import replace

from tests.zoo.base import FrontendAnimal, animal
from vtpm_ref.frontend import Frontend, Step
from vtpm_ref.states import State


class _Canceller(FrontendAnimal):
    """Remembers that it has cancelled."""

    def then_put_submit(self, result: None) -> Frontend:
        return replace(self.usual(result), memory=0)

    def then_put_cancel(self, result: None) -> Frontend:
        return replace(self.usual(result), memory=1)


@animal(
    "cancel.finish-accepted",
    "exchange.response-taken",
    why="the response that completed in spite of the CANCEL is never taken either",
)
class WantsIdleForCancel(_Canceller):
    """Waits for IDLE after it has cancelled, whatever else comes."""

    def then_look_answer(self, raw: bytes) -> Frontend:
        if self.memory and raw[0] == State.FINISH:
            return self._wait(Step.WAIT_ANSWER)
        return self.usual(raw)


@animal(
    "cancel.idle-accepted",
    "exchange.idle-is-no-response",
    why="an IDLE that answers a CANCEL ends the request as any IDLE does",
)
class WantsFinishForCancel(_Canceller):
    """Waits for FINISH after it has cancelled, whatever else comes."""

    def then_look_answer(self, raw: bytes) -> Frontend:
        if self.memory and raw[0] == State.IDLE:
            return self._wait(Step.WAIT_ANSWER)
        return self.usual(raw)
