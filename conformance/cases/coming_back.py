# SPDX-License-Identifier: MIT
"""Cases of the page on closing and coming back: how the two meet again."""

from conformance.cases.base import backend_case, frontend_case
from conformance.cases.closing import close_backend, close_in_command
from conformance.tester import BackendTester, FrontendTester, clock, get_random, slow
from vtpm_ref.states import State
from vtpm_ref.xenbus import XenbusState

# A backend that meets its frontend again.


@backend_case("coming-back.served/closed")
@backend_case("connecting.map-before-connected/again")
def _connects_again(t: FrontendTester) -> None:
    """The frontend has closed, and connects again."""
    t.prepare()
    t.close()
    t.give_back()
    t.stimulus()
    t.connect()
    t.fence()


@backend_case("coming-back.served/in-command")
def _connects_again_in_command(t: FrontendTester) -> None:
    """The frontend has closed while the TPM worked for it, and connects again."""
    t.prepare()
    close_in_command(t)
    t.give_back()
    t.stimulus()
    t.connect()
    t.fence()


@backend_case("coming-back.served/backend-closes", needs="close,reconnect")
def _backend_comes_back(t: FrontendTester) -> None:
    """The backend has closed and offers the device again; the frontend connects."""
    t.prepare()
    close_backend(t)
    t.connection.order("reconnect")
    t.wait_let_go(XenbusState.INIT_WAIT)
    t.stimulus()
    t.connect()
    t.fence()


@backend_case("coming-back.new-references/page-and-port", True, True)
@backend_case("coming-back.new-references/page", True, False)
@backend_case("coming-back.new-references/port", False, True)
def _new_references(t: FrontendTester, page: bool, port: bool) -> None:
    """The frontend begins anew without Closed: other page {0}, other port {1}."""
    t.prepare()
    t.stimulus()
    t.connect_again(page=page, port=port)
    t.exchange(get_random(t.family))
    t.fence()


@backend_case("connecting.init-wait/new-references")
def _next_connection(t: FrontendTester) -> None:
    """The frontend begins anew without Closed, and leaves the page alone."""
    t.prepare()
    t.stimulus()
    t.connect_again()
    t.let_notice()
    t.wait_connected()


@backend_case("coming-back.new-references/in-command")
def _new_references_in_command(t: FrontendTester) -> None:
    """The frontend begins anew without Closed while the TPM works for it."""
    t.prepare()
    t.stimulus()
    t.submit(slow(t.family))
    t.rest()
    t.connect_again()
    t.exchange(get_random(t.family))
    t.fence()


@backend_case("coming-back.unknown-request/connected")
def _unknown_request(t: FrontendTester) -> None:
    """A frontend that is Connected has a request in the page before the backend maps it."""
    t.publish()
    t.submit(get_random(t.family))
    t.set_state(XenbusState.CONNECTED)
    t.wait_connected()
    t.stimulus()
    t.wait_answer()
    t.fence()


@backend_case("coming-back.looks-first/connected")
def _new_request(t: FrontendTester) -> None:
    """A frontend that is Connected already submits as soon as the backend is."""
    t.publish()
    t.set_state(XenbusState.CONNECTED)
    t.wait_connected()
    t.stimulus()
    t.exchange(get_random(t.family))
    t.fence()


@backend_case("coming-back.rings/free-page", State.IDLE)
@backend_case("coming-back.rings/answer", State.FINISH)
def _waiting_frontend(t: FrontendTester, state: State) -> None:
    """A frontend is Connected before the backend, and {0.name} is in its page."""
    t.publish()
    t.write_state(state)
    t.set_state(XenbusState.CONNECTED)
    t.wait_connected()
    t.stimulus()
    t.wait_event()
    t.fence()


@backend_case("coming-back.tpm-kept/closed")
def _clock_after_closing(t: FrontendTester) -> None:
    """The TPM's clock is read before the frontend closes, and when it is back."""
    t.prepare()
    t.exchange(clock(t.family))
    t.close()
    _read_clock_again(t)


@backend_case("coming-back.tpm-kept/in-command")
def _clock_after_command(t: FrontendTester) -> None:
    """The same, but the frontend closes while the TPM works for it."""
    t.prepare()
    t.exchange(clock(t.family))
    close_in_command(t)
    _read_clock_again(t)


def _read_clock_again(t: FrontendTester) -> None:
    t.give_back()
    t.connect()
    t.stimulus()
    t.exchange(clock(t.family))
    t.fence()


# A frontend that meets its backend again.


@frontend_case("coming-back.published-anew/reconnect", needs="orders,close,reconnect")
@frontend_case("connecting.valid-references/again", needs="orders,close,reconnect")
@frontend_case("connecting.initialised/again", needs="orders,close,reconnect")
def _reconnects(t: BackendTester) -> None:
    """The frontend closes, and is told to connect again."""
    t.prepare()
    t.stimulus()
    t.close_frontend()
    t.reopen_frontend()
    t.fence()


@frontend_case(
    "coming-back.through-closed/connected",
    XenbusState.CONNECTED,
    needs="orders,close,reconnect",
)
@frontend_case(
    "coming-back.through-closed/closed", XenbusState.CLOSED, needs="orders,close,reconnect"
)
def _finds_used_backend(t: BackendTester, state: XenbusState) -> None:
    """The frontend starts after a life that ended without Closed; the backend shows {0:d}."""
    t.prepare()
    t.close_frontend()
    t.set_state(state)
    # What is left of a life that ended without closing.
    t.connection.as_toolstack(t.connection.judged, {"state": str(int(XenbusState.CONNECTED))})
    t.stimulus()
    number = t.connection.order("reconnect")
    t.wait_started()
    t.connection.settle(1.0, nodes=True)
    t.announce()
    t.see_connected(number)
    t.fence()


@frontend_case("coming-back.goes-on/at-rest")
def _backend_restarts(t: BackendTester) -> None:
    """The backend dies without a word and comes back to the page that is published."""
    t.prepare()
    t.stimulus()
    t.die()
    t.come_back()
    t.fence()


@frontend_case("coming-back.goes-on/in-request")
def _backend_restarts_with_request(t: BackendTester) -> None:
    """The same while a request has no answer; the new backend answers it with IDLE."""
    t.prepare()
    t.stimulus()
    number = t.order()
    t.wait_request()
    t.die()
    t.come_back()
    t.answer_idle()
    t.wait_result(number)
    t.fence()
