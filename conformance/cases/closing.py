# SPDX-License-Identifier: MIT
"""Cases of the page on closing and coming back: how a connection ends."""

from conformance.cases.base import backend_case, frontend_case
from conformance.tester import BackendTester, FrontendTester, slow
from vtpm_ref.xenbus import XenbusState

_CLOSING, _CLOSED = XenbusState.CLOSING, XenbusState.CLOSED


# A backend whose frontend closes.


@backend_case("closing.backend-lets-go/closed")
@backend_case("closing.init-wait/closed")
def _frontend_closes(t: FrontendTester) -> None:
    """The frontend closes."""
    t.prepare()
    t.stimulus()
    t.close()
    t.stay()
    t.give_back()


@backend_case("closing.backend-lets-go/in-command")
@backend_case("closing.init-wait/in-command")
def _closes_in_command(t: FrontendTester) -> None:
    """The frontend goes straight to Closed while the TPM works for it."""
    t.prepare()
    t.stimulus()
    close_in_command(t)
    t.stay()
    t.give_back()


def close_in_command(t: FrontendTester) -> None:
    t.submit(slow(t.family))
    t.rest()
    t.set_state(_CLOSED)
    t.wait_let_go()


@backend_case("closing.gone/initialising", "1")
@backend_case("closing.gone/state-0", "0")
@backend_case("closing.gone/state-removed", None)
def _frontend_is_gone(t: FrontendTester, state: str | None) -> None:
    """The frontend's state becomes {0}, without Closed."""
    t.prepare()
    t.stimulus()
    if state is None:
        t.connection.remove("state")
    else:
        t.connection.write({"state": state})
    t.wait_let_go()
    t.stay()
    t.give_back()


@backend_case("closing.unmap-first/closed")
@backend_case("closing.backend-waits/closed")
@backend_case("closing.hands-off/closed")
def _has_let_go(t: FrontendTester) -> None:
    """The frontend has closed, and takes everything back."""
    t.prepare()
    t.close()
    t.stimulus()
    t.stay()
    t.give_back()


@backend_case("closing.unmap-first/in-command")
@backend_case("closing.hands-off/in-command")
def _has_let_go_in_command(t: FrontendTester) -> None:
    """The frontend has closed while the TPM worked for it, and takes everything back."""
    t.prepare()
    close_in_command(t)
    t.stimulus()
    t.stay()
    t.give_back()


@backend_case("closing.offline/detached")
def _detached(t: FrontendTester) -> None:
    """The toolstack takes the device away while it is in use."""
    t.prepare()
    t.stimulus()
    _detach(t)
    t.set_state(_CLOSED)
    t.wait_let_go(_CLOSED)
    t.give_back()


@backend_case("closing.offline/detached-when-closed")
def _detached_when_closed(t: FrontendTester) -> None:
    """The toolstack takes the device away after the frontend has closed."""
    t.prepare()
    t.close()
    t.give_back()
    t.stimulus()
    _detach(t)
    t.wait_let_go(_CLOSED)


def _detach(t: FrontendTester) -> None:
    """What the toolstack writes when it takes a device away."""
    t.connection.as_toolstack(t.connection.judged, {"online": "0", "state": str(int(_CLOSING))})


@backend_case("closing.own-state/closing", _CLOSING)
@backend_case("closing.own-state/closed", _CLOSED)
def _own_state(t: FrontendTester, state: XenbusState) -> None:
    """Somebody writes {0:d} to the backend's state, and online stays 1."""
    t.prepare()
    t.stimulus()
    t.connection.as_toolstack(t.connection.judged, {"state": str(int(state))})
    t.let_notice()
    t.fence()


@backend_case("closing.backend-waits/ordered", needs="close")
def _backend_closes(t: FrontendTester) -> None:
    """The backend closes, and the frontend takes its time."""
    t.prepare()
    t.stimulus()
    close_backend(t)


def close_backend(t: FrontendTester) -> None:
    closed = t.connection.order("close")
    t.wait_closing()
    t.connection.settle(1.0, nodes=True)
    t.set_state(_CLOSED)
    t.wait_let_go(_CLOSED)
    t.give_back()
    t.wait_result(closed)


# A frontend that closes.


@frontend_case("closing.frontend-follows/closing", _CLOSING)
@frontend_case("closing.frontend-follows/closed", _CLOSED)
@frontend_case("closing.page-kept/backend-closes", _CLOSING)
@frontend_case("closing.closed-last/backend-closes", _CLOSING)
def _backend_leaves(t: BackendTester, state: XenbusState) -> None:
    """The backend goes to state {0:d}."""
    t.prepare()
    t.stimulus()
    t.set_state(state)
    t.wait_closed()
    t.stay()
    t.let_go(_CLOSED)


@frontend_case("closing.page-kept/ordered", needs="orders,close")
@frontend_case("closing.closed-last/ordered", needs="orders,close")
def _frontend_is_closed(t: BackendTester) -> None:
    """The frontend is told to close, and the backend takes its time."""
    t.prepare()
    t.stimulus()
    number = t.connection.order("close")
    t.wait_closed()
    t.stay()
    t.let_go()
    t.wait_result(number)


@frontend_case("closing.closed-last/flooded", needs="orders,close")
def _flooded(t: BackendTester) -> None:
    """The frontend is told to close under a flood of events."""
    t.prepare()
    t.stimulus()
    number = t.connection.order("close")
    t.flood_until_closed()
    t.provoke()
    t.stay()
    t.let_go()
    t.wait_result(number)


@frontend_case("closing.request-ends/ordered", needs="orders,close")
def _closed_with_request(t: BackendTester) -> None:
    """The frontend is told to close while its request has no answer."""
    t.prepare()
    t.stimulus()
    number = t.order()
    t.wait_request()
    closing = t.connection.order("close")
    t.wait_closed()
    t.let_go()
    t.wait_result(number)
    t.wait_result(closing)


@frontend_case("closing.request-ends/backend-closes", True)
@frontend_case("closing.closed-last/in-request", False)
def _backend_leaves_with_request(t: BackendTester, result: bool) -> None:
    """The backend goes to Closing without an answer to the request in the page."""
    t.prepare()
    t.stimulus()
    number = t.order()
    t.wait_request()
    t.set_state(_CLOSING)
    t.wait_closed()
    t.stay()
    t.let_go(_CLOSED)
    if result:
        t.wait_result(number)
