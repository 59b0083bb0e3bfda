# SPDX-License-Identifier: MIT
"""Cases of the page on several frontends."""

from conformance.cases.base import backend_case
from conformance.tester import FrontendTester, get_random, resized, slow
from vtpm_ref.states import State
from vtpm_ref.xenbus import XenbusState


def _neighbour(t: FrontendTester) -> FrontendTester:
    """Connect, and a second frontend too, which is the hostile one."""
    t.prepare()
    other = t.another()
    other.connect()
    other.rest()  # binding its port is an event too
    return other


@backend_case("several.own-service/twelve", needs="many")
def _twelve(t: FrontendTester) -> None:
    """Twelve frontends, all with a request, twice."""
    t.prepare()
    t.stimulus()
    everybody = [t, *(t.another() for _ in range(11))]
    for each in everybody[1:]:
        each.connect()
    for _ in range(2):
        for number, each in enumerate(everybody, 1):
            each.submit(get_random(t.family, number))
        for each in reversed(everybody):
            each.wait_answer()
    t.fence()


@backend_case("several.own-service/too-long-neighbour", needs="many")
def _too_long_neighbour(t: FrontendTester) -> None:
    """A neighbour whose request passes the end of the page."""
    other = _neighbour(t)
    t.stimulus()
    for length in (4089, 0xFFFFFFF8):
        other.submit(resized(get_random(t.family), 4088), length=length)
        other.rest()
        t.fence()


@backend_case("several.own-service/silent-neighbour", needs="many")
def _silent_neighbour(t: FrontendTester) -> None:
    """A neighbour that stores SUBMIT and sends no event."""
    other = _neighbour(t)
    t.stimulus()
    other.submit(get_random(t.family), notify=False)
    t.fence()
    t.fence()


@backend_case("several.own-service/neighbour-goes", needs="many")
def _neighbour_goes(t: FrontendTester) -> None:
    """A neighbour that goes while its slow command works."""
    other = _neighbour(t)
    t.stimulus()
    other.submit(slow(t.family))
    t.rest()
    other.set_state(XenbusState.CLOSED)
    t.fence()
    other.wait_let_go()
    t.fence()


@backend_case("several.own-service/neighbour-publishes-nonsense", needs="many")
def _neighbour_publishes_nonsense(t: FrontendTester) -> None:
    """A neighbour that publishes what is no page and no port, and removes its state."""
    t.prepare()
    others = [t.another() for _ in range(3)]
    t.stimulus()
    for other, node in zip(others, ("ring-ref", "event-channel", "ring-ref"), strict=True):
        other.publish_unsound(node, "60" if other is others[0] else "banana")
        other.let_notice()
        t.fence()
        other.connection.remove("state")
        other.let_notice()
        t.fence()


@backend_case("several.own-service/neighbour-floods", needs="many")
def _neighbour_floods(t: FrontendTester) -> None:
    """A neighbour that sends event after event, and states that mean nothing."""
    other = _neighbour(t)
    t.stimulus()
    for state in (State.IDLE, 5, 0xFF):
        other.write_state(state)
        for _ in range(50):
            other.notify()
        t.rest()
        t.fence()


@backend_case("several.in-turn/three-wait", needs="many")
def _three_wait(t: FrontendTester) -> None:
    """Requests of four frontends, the last first, that come while a slow command works."""
    t.prepare()
    others = [t.another() for _ in range(4)]
    for other in others:
        other.connect()
    t.stimulus()
    t.submit(slow(t.family))
    order = [others[i] for i in (3, 1, 2, 0)]
    for count, other in enumerate(order, 1):
        other.submit(get_random(t.family, count))
        other.rest()
    t.wait_answer()
    for other in order:
        other.wait_answer()
    t.fence()
