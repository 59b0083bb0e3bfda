# SPDX-License-Identifier: MIT
"""Rules of the page on several frontends."""

from conformance import trace
from conformance.messages import Answer, Request
from conformance.rules.base import Rule, rule
from conformance.rules.robustness import bytes_asked_for

#: What a backend owes each of its frontends.
_OWED = ("an answer", "Connected of the backend", "the backend to let go")


@rule("several.own-service")
class OwnService(Rule):
    """A frontend that is not served while there are others."""

    def on_answer(self, request: Request, answer: Answer) -> None:
        if len(self.scene.all) > 1 and request.well_formed:
            self.kept()

    def on_silence(self, silence: trace.Silence) -> None:
        request = self.scene.request
        malformed = silence.awaited == "an answer" and request and not request.well_formed
        if len(self.scene.all) > 1 and silence.awaited in _OWED and not malformed:
            number = self.scene.all.index(self.scene)
            said = f"none for frontend {number} of {len(self.scene.all)}"
            self.broken(silence.awaited, said)

    def on_exit(self, how: str) -> None:
        if len(self.scene.all) > 1:
            self.broken("the backend goes on", f"it ended for all of its frontends: {how}")


@rule("several.in-turn", "stores")
class InTurn(Rule):
    """
    A request that was answered before one that had come earlier.

    Only requests that wait for one TPM together show it: they came while
    another request was at work, and none of them had an answer before that one.
    """

    def on_answer(self, request: Request, answer: Answer) -> None:
        first = self._waited_for(request) if self.can_pass and self._is_quick(request) else None
        if first is None:
            return
        others = (scene.request for scene in self.scene.all if scene is not self.scene)
        earlier = [
            other
            for other in others
            if other is not None
            and self._is_quick(other)
            and first.number < other.number < request.number
        ]
        if earlier:
            late = [r for r in earlier if not 0 < r.answered < request.answered]
            said = f"{len(late)} that had come earlier still waited"
            self.check(not late, "the requests answered in the order in which they came", said)

    def _waited_for(self, request: Request) -> Request | None:
        """An earlier request of another frontend, which ended while ``request`` waited."""
        others = (scene.request for scene in self.scene.all if scene is not self.scene)
        for other in filter(None, others):
            if other.number < request.number < other.answered < request.answered:
                return other
        return None

    def _is_quick(self, request: Request) -> bool:
        """Whether every TPM does it at once, so that it has waited for another's end."""
        return bytes_asked_for(self.scene.family, request) is not None
