# SPDX-License-Identifier: MIT
"""Cases of the page on connecting."""

from conformance.cases.base import backend_case, frontend_case
from conformance.tester import BackendTester, FrontendTester, get_random
from vtpm_ref.xenbus import XenbusState


@frontend_case("connecting.publish-first/connect", needs="")
@frontend_case("connecting.one-transaction/connect", needs="")
@frontend_case("connecting.decimal/connect", needs="")
@frontend_case("connecting.valid-references/connect", needs="")
@frontend_case("connecting.initialised/connect", needs="")
@frontend_case("connecting.feature-value/connect-frontend", needs="")
def _connect_frontend(t: BackendTester) -> None:
    """Connecting, the usual way."""
    t.stimulus()
    t.connect()


@backend_case("connecting.feature-value/connect-backend")
@backend_case("connecting.backend-feature/connect")
@backend_case("connecting.init-wait/connect")
@backend_case("connecting.map-before-connected/connect")
@backend_case("connecting.backend-connects/initialised")
def _connect_backend(t: FrontendTester) -> None:
    """Connecting, the usual way."""
    t.stimulus()
    t.connect()


@backend_case("connecting.backend-connects/connected")
def _skips_initialised(t: FrontendTester) -> None:
    """A frontend that goes to Connected directly."""
    t.stimulus()
    t.publish()
    t.set_state(XenbusState.CONNECTED)
    t.wait_connected()
    t.fence()


@backend_case("connecting.backend-checks/absent", None)
@backend_case("connecting.backend-checks/zero", "0")
@backend_case("connecting.failed-closed/feature", None)
def _frontend_of_another_protocol(t: FrontendTester, feature: str | None) -> None:
    """A frontend whose feature-protocol-v2 is {0}."""
    t.stimulus()
    t.publish(feature)
    t.set_state(XenbusState.INITIALISED)
    t.wait_decision()


@backend_case("connecting.failed-closed/page", "ring-ref")
@backend_case("connecting.failed-closed/port", "event-channel")
def _nobodys_number(t: FrontendTester, node: str) -> None:
    """A number in {0} that nobody has given out."""
    t.stimulus()
    t.publish_unsound(node, "60")
    t.wait_decision()


@frontend_case("connecting.frontend-checks/absent", None, needs="")
@frontend_case("connecting.frontend-checks/zero", "0", needs="")
def _backend_of_another_protocol(t: BackendTester, feature: str | None) -> None:
    """A backend whose feature-protocol-v2 is {0}."""
    t.announce(feature)
    t.wait_published()
    t.stimulus()
    t.take_page()
    t.set_state(XenbusState.CONNECTED)
    t.wait_decision()


@backend_case("connecting.look-at-once/request-before-connected")
def _request_before_connected(t: FrontendTester) -> None:
    """A request that is in the page before the backend maps it."""
    t.publish()
    t.stimulus()
    t.submit(get_random(t.family))
    t.set_state(XenbusState.INITIALISED)
    t.wait_connected()
    t.set_state(XenbusState.CONNECTED)
    t.wait_answer()


@backend_case("connecting.serves-initialised/three-exchanges")
def _served_while_initialised(t: FrontendTester) -> None:
    """Three exchanges of a frontend that stays Initialised."""
    t.publish()
    t.set_state(XenbusState.INITIALISED)
    t.wait_connected()
    t.stimulus()
    for _ in range(3):
        t.exchange(get_random(t.family))


@frontend_case("connecting.frontend-waits/slow-backend", needs="")
def _slow_backend(t: BackendTester) -> None:
    """A backend that stays in InitWait after the frontend is ready."""
    t.announce()
    t.wait_published()
    t.stimulus()
    t.take_page()
    t.nudge()
    t.set_state(XenbusState.CONNECTED)
    t.wait_connected()


@frontend_case("connecting.submit-when-connected/early-order")
def _early_order(t: BackendTester) -> None:
    """An order that comes before the backend is Connected."""
    t.announce()
    t.wait_published()
    t.stimulus()
    t.take_page()
    number = t.order()
    t.nudge()
    t.look()  # what it has submitted by now is early
    t.set_state(XenbusState.CONNECTED)
    t.wait_request()
    t.answer()
    t.wait_result(number)
