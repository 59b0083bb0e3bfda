# SPDX-License-Identifier: MIT
"""Rules of the page on locality."""

from conformance import trace
from conformance.messages import Answer, Request
from conformance.rules.base import Rule, rule
from vtpm_ref.packet import CODES, Family
from vtpm_ref.page import MOST_LOCALITY
from vtpm_ref.states import FINISH, IDLE


@rule("locality.with-request", "orders")
class WithRequest(Rule):
    """A request at another locality than was ordered."""

    def on_request(self, request: Request) -> None:
        if request.order is not None:
            ordered, stored = request.order.locality, request.header.locality
            self.check(stored == ordered, f"locality {ordered}", f"locality {stored}")


@rule("locality.range")
class Range(Rule):
    """A request at a locality that does not exist."""

    def on_request(self, request: Request) -> None:
        stored = request.header.locality
        self.check(stored <= MOST_LOCALITY, "a locality from 0 to 4", f"locality {stored}")

    def on_result(self, result: trace.Result) -> None:
        order = next((o for o in self.scene.orders if o.id == result.id), None)
        if order is not None and result.outcome == "refused" and order.locality > MOST_LOCALITY:
            self.kept()


class _OnRefusal(Rule):
    """A rule on the answer to a request at a locality that is not granted."""

    def on_answer(self, request: Request, answer: Answer) -> None:
        if request.well_formed and self.concerns(request.header.locality):
            self.judge(request, answer)

    def concerns(self, locality: int) -> bool:
        """Whether the clause is about ``locality``."""
        return locality > MOST_LOCALITY

    def judge(self, request: Request, answer: Answer) -> None:
        """Refused is what ended without a response, or with a TPM error."""
        refused = answer.state == IDLE or answer.code != 0
        said = f"success at locality {request.header.locality}"
        self.check(refused, "IDLE, or FINISH and a TPM error", said)


@rule("locality.refused")
class Refused(_OnRefusal):
    """A request at a locality that does not exist, carried out."""


@rule("locality.default-zero")
class DefaultZero(_OnRefusal):
    """A request at a higher locality, carried out for a frontend nobody vouched for."""

    def concerns(self, locality: int) -> bool:
        return 0 < locality <= MOST_LOCALITY


@rule("locality.refusal-code")
class RefusalCode(_OnRefusal):
    """A refusal that does not say that the locality is its reason."""

    def judge(self, request: Request, answer: Answer) -> None:
        readable = answer.state == FINISH and answer.size_in_header == answer.length
        if readable and answer.code != 0:
            families = [self.scene.family]
            if self.scene.family is Family.NONE:
                families = [Family.TPM12, Family.TPM20]
            codes = {CODES[family].locality for family in families}
            allowed = " or ".join(f"code {code:#x}" for code in sorted(codes))
            self.check(answer.code in codes, allowed, f"code {answer.code:#x}")
