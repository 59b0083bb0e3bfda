# SPDX-License-Identifier: MIT
"""Cases of the page on one exchange."""

from conformance.cases.base import backend_case, frontend_case
from conformance.tester import (
    BackendTester,
    FrontendTester,
    get_random,
    random_bytes,
    resized,
)
from vtpm_ref.packet import Family


@backend_case("exchange.response-before-state/three-exchanges")
@backend_case("exchange.answer-notifies/three-exchanges")
@backend_case("exchange.event-per-change/three-answers")
@backend_case("exchange.answered/three-exchanges")
@backend_case("exchange.no-acknowledge/three-exchanges")
@backend_case("exchange.one-copy/three-exchanges")
def _backend_exchanges(t: FrontendTester) -> None:
    """Three legal exchanges, each over the FINISH of the one before."""
    t.prepare()
    t.stimulus()
    for count in (1, 16, 32):
        t.exchange(get_random(t.family, count))


@backend_case("exchange.answered/10-bytes", 10)
@backend_case("exchange.answered/4088-bytes", 4088)
def _request_of(t: FrontendTester, size: int) -> None:
    """A well-formed request of {0} bytes."""
    t.prepare()
    t.stimulus()
    t.exchange(resized(get_random(t.family), size))
    t.fence()


@backend_case("exchange.answered/other-family")
def _other_family(t: FrontendTester) -> None:
    """A command of the other family of TPMs, as a frontend sends to find out which it has."""
    t.prepare()
    t.stimulus()
    other = Family.TPM12 if t.family is Family.TPM20 else Family.TPM20
    t.exchange(get_random(other))
    t.fence()


@backend_case("exchange.answered/polled")
def _polled(t: FrontendTester) -> None:
    """A request over FINISH before the event of the answer, as a frontend that polls."""
    t.prepare()
    t.stimulus()
    for _ in range(2):
        t.submit(get_random(t.family))
        t.poll_answer()
    t.submit(get_random(t.family))
    t.wait_answer()


@backend_case("exchange.spurious-events/when-finished")
def _events_when_finished(t: FrontendTester) -> None:
    """Two events while the response lies in the page."""
    t.prepare()
    t.stimulus()
    t.provoke()
    t.fence()


@frontend_case("exchange.request-before-state/three-exchanges")
@frontend_case("exchange.submit-notifies/three-exchanges")
@frontend_case("exchange.event-per-change/three-requests")
@frontend_case("exchange.waits-for-answer/three-exchanges")
def _frontend_exchanges(t: BackendTester) -> None:
    """Three legal exchanges, one after the other."""
    t.prepare()
    t.stimulus()
    for _ in range(3):
        t.exchange()


@frontend_case("exchange.response-taken/10-bytes", 10)
@frontend_case("exchange.response-taken/4088-bytes", 4088)
def _response_of(t: BackendTester, size: int) -> None:
    """A response of {0} bytes."""
    t.prepare()
    t.stimulus()
    body = bytes(i & 0xFF for i in range(size - 10))
    t.exchange(resized(random_bytes(t.family)[:10], size)[:10] + body)


@frontend_case("exchange.spurious-events/when-submitted")
@frontend_case("exchange.waits-for-answer/event-when-submitted")
def _event_when_submitted(t: BackendTester) -> None:
    """Two events before the answer."""
    t.prepare()
    t.stimulus()
    number = t.order()
    t.wait_request()
    t.rest()
    t.provoke()
    t.answer()
    t.wait_result(number)


@frontend_case("exchange.idle-is-no-response/idle-answer")
def _idle_answer(t: BackendTester) -> None:
    """IDLE as the answer."""
    t.prepare()
    t.stimulus()
    number = t.order()
    t.wait_request()
    t.rest()
    t.answer_idle()
    t.wait_result(number)
    t.fence()
