# SPDX-License-Identifier: MIT
"""Rules of the page on cancellation."""

from conformance import trace
from conformance.messages import Answer, Request
from conformance.rules.base import Rule, rule
from conformance.rules.states import name_of
from vtpm_ref.states import CANCEL, FINISH, FRONTEND, IDLE, SUBMIT, Role, State


class _Cancelled(Rule):
    """A CANCEL of one kind that got no answer, or not the right one."""

    allowed = "FINISH or IDLE"

    def begin(self) -> None:
        self._pending = False

    def on_state(self, by: Role, old: int, new: int) -> None:
        again = new == old == CANCEL  # asks for the same answer
        if by is FRONTEND and not again:
            self._pending = new == CANCEL and self.concerns(old)

    def on_answer(self, request: Request, answer: Answer) -> None:
        if self._pending:
            self._pending = False
            self.check(self.accepts(answer), self.allowed, name_of(answer.state))

    def on_silence(self, silence: trace.Silence) -> None:
        if silence.awaited == "an answer" and self._pending:
            self._pending = False
            self.broken(self.allowed, f"state stayed {name_of(self.scene.state)}")

    def concerns(self, old: int) -> bool:
        """Whether the clause is about a CANCEL over ``old``."""
        raise NotImplementedError

    def accepts(self, answer: Answer) -> bool:
        """Whether ``answer`` is one that the clause allows."""
        return True


@rule("cancel.answered")
class CancelAnswered(_Cancelled):
    """A CANCEL of a request that got no answer."""

    def concerns(self, old: int) -> bool:
        return old == SUBMIT


@rule("cancel.acknowledged-when-idle")
class AcknowledgedWhenIdle(_Cancelled):
    """A CANCEL on a free page that was not answered with IDLE."""

    allowed = "IDLE"

    def concerns(self, old: int) -> bool:
        return old in (IDLE, FINISH)

    def accepts(self, answer: Answer) -> bool:
        return answer.state == IDLE


class _EndsRequest(Rule):
    """An answer to CANCEL that the frontend does not take as the end."""

    answer: State

    def begin(self) -> None:
        self._cancelled = False

    def on_state(self, by: Role, old: int, new: int) -> None:
        if by is FRONTEND:
            self._cancelled = new == CANCEL

    def on_result(self, result: trace.Result) -> None:
        if result.outcome == "timed-out":
            self._cancelled = False  # it has not waited for an answer
        # Where stores are sampled, CANCEL may be seen after the result of its own request.
        ended = self._cancelled and self.scene.state == self.answer
        if ended and self.scene.carries_out(result):
            self._cancelled = False
            self.kept()

    def on_silence(self, silence: trace.Silence) -> None:
        ended = self._cancelled and self.scene.state == self.answer
        if ended and silence.awaited == "a result" and self.scene.orders:
            self.broken("the end of the order", f"no result after {self.answer.name}")


@rule("cancel.finish-accepted", "orders")
class FinishAccepted(_EndsRequest):
    """A frontend that goes on waiting when a cancelled command completed."""

    answer = FINISH


@rule("cancel.idle-accepted", "orders")
class IdleAccepted(_EndsRequest):
    """A frontend that goes on waiting when a command was abandoned."""

    answer = IDLE
