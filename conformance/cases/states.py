# SPDX-License-Identifier: MIT
"""Cases of the page on the states and their writers."""

from conformance.cases.base import backend_case, frontend_case
from conformance.tester import BackendTester, FrontendTester, get_random
from vtpm_ref.states import State


@backend_case("states.backend-writes/three-exchanges")
@backend_case("states.answer-only-requests/three-exchanges")
@backend_case("states.response-stands-still/three-exchanges")
@backend_case("states.backend-fields/three-exchanges")
def _backend_exchanges(t: FrontendTester) -> None:
    """Three legal exchanges, with a rest before each."""
    t.prepare()
    t.stimulus()
    for _ in range(3):
        t.rest()
        t.exchange(get_random(t.family))
    t.rest()
    t.fence()


@backend_case("states.answer-only-requests/event-when-finished")
@backend_case("states.response-stands-still/event-when-finished")
def _event_when_finished(t: FrontendTester) -> None:
    """An event while the response lies in the page."""
    t.prepare()
    t.stimulus()
    t.provoke()
    t.fence()


@backend_case("states.backend-fields/three-extra-pages")
def _fields_behind_a_list(t: FrontendTester) -> None:
    """A request behind a list of three grant references."""
    t.prepare()
    t.stimulus()
    t.submit(get_random(t.family), grants=(1, 2, 3))
    t.wait_answer()
    t.fence()


@frontend_case("states.frontend-writes/three-exchanges")
@frontend_case("states.request-stands-still/three-exchanges")
def _frontend_exchanges(t: BackendTester) -> None:
    """Three legal exchanges, one after the other."""
    t.prepare()
    t.stimulus()
    for _ in range(3):
        t.exchange()
    t.fence()


@frontend_case("states.submit-when-free/second-order-waits")
@frontend_case("states.request-stands-still/second-order-waits")
def _second_order_waits(t: BackendTester) -> None:
    """A second order while the first has no answer yet."""
    t.prepare()
    t.stimulus()
    first = t.order()
    t.wait_request()
    t.rest()
    second = t.order(get_random(t.family, 24))
    t.provoke()
    t.answer()
    t.wait_result(first)
    t.answer_order(second)


@frontend_case("states.cancel-when-busy/order-when-finished", needs="cancel")
def _cancel_when_finished(t: BackendTester) -> None:
    """An order to cancel when there is nothing to cancel."""
    t.prepare()
    t.stimulus()
    t.cancel()
    t.take_cancel()
    t.fence()


@backend_case("states.unknown-waits/seven-when-finished", 7)
@backend_case("states.unknown-waits/255-when-finished", 255)
def _unknown_to_backend(t: FrontendTester, value: int) -> None:
    """The value {0} in state, and an event."""
    t.prepare()
    t.stimulus()
    t.write_state(value)
    t.provoke()
    t.fence()


@frontend_case("states.unknown-waits/seven-when-submitted", 7)
@frontend_case("states.unknown-waits/255-when-submitted", 255)
def _unknown_to_frontend(t: BackendTester, value: int) -> None:
    """The value {0} in state while the frontend waits, and an event."""
    t.prepare()
    t.stimulus()
    number = t.order()
    t.wait_request()
    t.rest()
    t.write_state(value)
    t.provoke()
    t.write_state(State.SUBMIT)
    t.answer()
    t.wait_result(number)
