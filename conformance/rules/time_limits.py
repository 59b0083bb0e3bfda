# SPDX-License-Identifier: MIT
"""Rules of the page on time."""

from conformance import trace
from conformance.messages import Answer, Request
from conformance.rules.base import Rule, rule
from vtpm_ref.packet import HEADER_SIZE
from vtpm_ref.states import CANCEL, FINISH, FRONTEND, IDLE, Role


@rule("time.refusal-bound")
class RefusalBound(Rule):
    """
    A request that no TPM can run, and that got no answer within the bound.

    How long a tester waits is the bound, times what the machine is slower.
    """

    def on_answer(self, request: Request, answer: Answer) -> None:
        if self._is_refused(request):
            self.kept()

    def on_silence(self, silence: trace.Silence) -> None:
        request = self.scene.request
        if silence.awaited == "an answer" and request is not None and self._is_refused(request):
            seconds = "" if silence.certain else f" within {silence.seconds:g} s"
            self.broken("FINISH or IDLE", f"none{seconds} to {request.header.length} bytes")

    @staticmethod
    def _is_refused(request: Request) -> bool:
        """Whether there is nothing to run: too short, or more than the page holds."""
        return not HEADER_SIZE <= request.header.length <= request.room


@rule("time.cancels", "stores", "orders")
class Cancels(Rule):
    """A frontend that gives a request up and leaves it to the backend."""

    def begin(self) -> None:
        self._stored = False
        self._cancelled = False
        self._owed = False

    def on_state(self, by: Role, old: int, new: int) -> None:
        if by is FRONTEND:
            self._stored, self._cancelled = new == CANCEL, False
        elif new in (IDLE, FINISH):
            self._owed = False  # nothing is left to be cancelled

    def on_notify(self, by: Role, count: int) -> None:
        if by is FRONTEND and self._stored:
            self._cancelled = True
            if self._owed:
                self.kept()
            self._owed = False

    def on_result(self, result: trace.Result) -> None:
        if result.outcome != "timed-out" or not self.scene.carries_out(result):
            return
        if self._cancelled:
            self.kept()
        self._owed = not self._cancelled and self.scene.last_answer is None

    def on_silence(self, silence: trace.Silence) -> None:
        if silence.awaited == "a CANCEL":
            self._judge()

    def on_end(self) -> None:
        if self.can_pass:  # otherwise it may have gone unseen
            self._judge()

    def _judge(self) -> None:
        if self._owed:
            self._owed = False
            self.broken("CANCEL and an event", "the request was given up without them")
