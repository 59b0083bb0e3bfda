# SPDX-License-Identifier: MIT
"""Rules of the page on packets and their lengths."""

from conformance import trace
from conformance.messages import Answer, Request
from conformance.rules.base import Rule, rule
from conformance.rules.shared_page import misplaced, swapped
from vtpm_ref import page
from vtpm_ref.packet import HEADER_SIZE, TAGS, Family
from vtpm_ref.states import FINISH, IDLE


class _OnRequest(Rule):
    """A rule on each request; an order that is refused is an occasion too."""

    def on_request(self, request: Request) -> None:
        self.judge(request)

    def on_result(self, result: trace.Result) -> None:
        order = next((o for o in self.scene.orders if o.id == result.id), None)
        if order is not None and result.outcome == "refused" and self.tempts(order):
            self.kept()

    def judge(self, request: Request) -> None:
        raise NotImplementedError

    def tempts(self, order: trace.Order) -> bool:
        """Whether the clause forbids to carry out ``order``."""
        raise NotImplementedError


@rule("packet.request-header")
class RequestHeader(_OnRequest):
    """A request without room for a TPM header."""

    def judge(self, request: Request) -> None:
        length = request.header.length
        self.check(length >= HEADER_SIZE, "10 bytes or more", f"a request of {length} bytes")

    def tempts(self, order: trace.Order) -> bool:
        return len(order.packet) < 2 * HEADER_SIZE


@rule("packet.request-fits")
class RequestFits(_OnRequest):
    """A request that passes the end of the page."""

    def judge(self, request: Request) -> None:
        length, room = request.header.length, request.room
        if swapped(length) != request.size_in_header or length == request.size_in_header:
            self.check(length <= room, f"at most {room} bytes", f"a request of {length} bytes")

    def tempts(self, order: trace.Order) -> bool:
        return len(order.packet) // 2 > 4088


@rule("packet.request-length")
class RequestLength(_OnRequest):
    """A request whose two lengths differ."""

    def judge(self, request: Request) -> None:
        length, size = request.header.length, request.size_in_header
        at = page.packet_offset(request.header.nr_extra_pages)
        judged_elsewhere = (
            not HEADER_SIZE <= length <= request.room
            or swapped(length) == size
            or misplaced(self.scene.page, at, length, TAGS[Family.NONE].requests)
        )
        if not judged_elsewhere or length == size:
            self.check(length == size, f"length {size}, as the packet's header says", f"{length}")

    def tempts(self, order: trace.Order) -> bool:
        packet = bytes.fromhex(order.packet)
        return len(packet) >= HEADER_SIZE and int.from_bytes(packet[2:6], "big") != len(packet)


class _Malformed(Rule):
    """
    A malformed request that was not answered as the clause says.

    Silence is noted by the judge itself, for the case that provoked it.
    """

    def on_answer(self, request: Request, answer: Answer) -> None:
        if self.concerns(request):
            proper = answer.state == IDLE or self.allows(answer)
            self.check(proper, "IDLE, or FINISH and a TPM error", self._say(answer))

    def on_silence(self, silence: trace.Silence) -> None:
        request = self.scene.request
        if silence.awaited == "an answer" and request is not None and self.concerns(request):
            self.broken("FINISH or IDLE", f"no answer to {request.header.length} bytes")

    def concerns(self, request: Request) -> bool:
        raise NotImplementedError

    def allows(self, answer: Answer) -> bool:
        """Whether FINISH with this response is allowed."""
        return answer.length >= HEADER_SIZE and answer.code != 0

    @staticmethod
    def _say(answer: Answer) -> str:
        return f"FINISH with {answer.length} bytes and code {answer.code:#x}"


@rule("packet.too-short-answered")
class TooShort(_Malformed):
    """A request of less than ten bytes, unanswered or obeyed."""

    def concerns(self, request: Request) -> bool:
        return request.header.length < HEADER_SIZE


@rule("packet.too-long-answered")
class TooLong(_Malformed):
    """A request that passes the end of the page, unanswered or obeyed."""

    def concerns(self, request: Request) -> bool:
        return request.header.length > request.room


@rule("packet.size-mismatch-answered")
class SizeMismatch(_Malformed):
    """A request whose two lengths differ, unanswered."""

    def concerns(self, request: Request) -> bool:
        fits = HEADER_SIZE <= request.header.length <= request.room
        return fits and not request.well_formed

    def allows(self, answer: Answer) -> bool:
        return True


class _OnFinish(Rule):
    """A rule on each response."""

    def on_answer(self, request: Request, answer: Answer) -> None:
        if answer.state == FINISH:
            self.judge(answer)

    def judge(self, answer: Answer) -> None:
        raise NotImplementedError


@rule("packet.response-header")
class ResponseHeader(_OnFinish):
    """FINISH without a TPM header."""

    def judge(self, answer: Answer) -> None:
        self.check(answer.length >= HEADER_SIZE, "10 bytes or more", f"{answer.length} bytes")


@rule("packet.response-length")
class ResponseLength(_OnFinish):
    """A response whose two lengths differ."""

    def judge(self, answer: Answer) -> None:
        length, size = answer.length, answer.size_in_header
        judged_elsewhere = (
            not HEADER_SIZE <= length <= answer.room
            or swapped(length) == size
            or answer.moved
            or misplaced(answer.page, answer.at, length, TAGS[Family.NONE].responses)
        )
        if not judged_elsewhere or length == size:
            self.check(length == size, f"length {size}, as the response's header says", f"{length}")


@rule("packet.response-fits")
class ResponseFits(_OnFinish):
    """A response that passes the end of the page."""

    def judge(self, answer: Answer) -> None:
        if swapped(answer.length) != answer.size_in_header:
            fits = answer.length <= answer.room
            self.check(fits, f"at most {answer.room} bytes", f"{answer.length} bytes")


@rule("packet.response-tag")
class ResponseTag(_OnFinish):
    """A response whose tag is none of a response."""

    def judge(self, answer: Answer) -> None:
        if answer.length < HEADER_SIZE or answer.size_in_header != answer.length:
            return
        tags = TAGS[self.scene.family].responses
        tag = int.from_bytes(answer.packet[0:2], "big")
        if tag in tags:
            self.kept()
        else:
            allowed = ", ".join(f"{known:#06x}" for known in sorted(tags))
            self.broken(f"one of the tags {allowed}", f"the tag {tag:#06x}")


class _OnResult(Rule):
    """A rule on what a frontend made of a FINISH."""

    def on_result(self, result: trace.Result) -> None:
        answer = self.scene.last_answer
        if answer is None or answer.state != FINISH or answer.disturbed:
            return
        if self.scene.carries_out(result):
            self.judge(result, answer)

    def judge(self, result: trace.Result, answer: Answer) -> None:
        raise NotImplementedError


@rule("packet.response-bounded")
class ResponseBounded(_OnResult):
    """A frontend that takes more than the page holds."""

    def judge(self, result: trace.Result, answer: Answer) -> None:
        if answer.length > answer.room:
            taken = len(result.packet) // 2
            self.check(taken <= answer.room, f"at most {answer.room} bytes", f"{taken} bytes taken")


@rule("packet.response-checked")
class ResponseChecked(_OnResult):
    """A frontend that passes on a response whose lengths make no sense."""

    def judge(self, result: trace.Result, answer: Answer) -> None:
        if answer.length < HEADER_SIZE or answer.length != answer.size_in_header:
            said = f"a response of {len(result.packet) // 2} bytes for length {answer.length}"
            self.check(result.outcome != "response", "the order failed", said)
