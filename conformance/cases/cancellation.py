# SPDX-License-Identifier: MIT
"""Cases of the page on cancellation."""

from conformance.cases.base import backend_case, frontend_case
from conformance.tester import BackendTester, FrontendTester, get_random
from vtpm_ref.states import State


@backend_case("cancel.answered/at-once")
def _cancel_at_once(t: FrontendTester) -> None:
    """A request and its event, then CANCEL and another."""
    t.prepare()
    t.stimulus()
    t.submit(get_random(t.family))
    t.write_state(State.CANCEL)
    t.notify()
    t.wait_answer()
    t.fence()


@backend_case("cancel.answered/one-event")
def _cancel_unseen(t: FrontendTester) -> None:
    """SUBMIT, then CANCEL, then one event for both."""
    t.prepare()
    t.stimulus()
    t.submit(get_random(t.family), notify=False)
    t.write_state(State.CANCEL)
    t.notify()
    t.wait_answer()
    t.fence()


@backend_case("cancel.acknowledged-when-idle/finished")
def _cancel_when_finished(t: FrontendTester) -> None:
    """CANCEL over FINISH, and an event."""
    t.prepare()
    t.stimulus()
    t.write_state(State.CANCEL)
    t.notify()
    t.wait_answer()
    t.fence()


@backend_case("cancel.acknowledged-when-idle/idle")
def _cancel_when_idle(t: FrontendTester) -> None:
    """CANCEL over the IDLE that answered another CANCEL."""
    t.prepare()
    t.stimulus()
    for _ in range(2):
        t.write_state(State.CANCEL)
        t.notify()
        t.wait_answer()
    t.fence()


@backend_case("cancel.answered/three-times")
def _cancel_repeated(t: FrontendTester) -> None:
    """CANCEL three times, each with its event, before the answer is looked at."""
    t.prepare()
    t.stimulus()
    t.submit(get_random(t.family), notify=False)
    for _ in range(3):
        t.write_state(State.CANCEL)
        t.notify()
    t.wait_answer()
    t.provoke()
    t.fence()


@frontend_case("cancel.finish-accepted/finish", State.FINISH, needs="cancel")
@frontend_case("cancel.idle-accepted/idle", State.IDLE, needs="cancel")
def _answer_to_cancel(t: BackendTester, state: State) -> None:
    """{0.name} as the answer to CANCEL."""
    t.prepare()
    t.stimulus()
    number = t.order()
    t.wait_request()
    t.cancel()
    t.wait_cancel()
    t.answer() if state is State.FINISH else t.answer_idle()
    t.wait_result(number)
    t.fence()


@frontend_case("states.submit-when-free/cancel-unanswered", needs="cancel")
def _second_order_waits(t: BackendTester) -> None:
    """A second order while the CANCEL of the first has no answer."""
    t.prepare()
    t.stimulus()
    t.order()
    t.wait_request()
    t.cancel()
    t.wait_cancel()
    t.order(get_random(t.family, 24))
    t.provoke()
    t.answer()
    t.rest()
