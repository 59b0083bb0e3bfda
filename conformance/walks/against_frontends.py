# SPDX-License-Identifier: MIT
"""The moves of a tester that plays the backend, against a frontend that takes orders."""

from collections.abc import Callable

from conformance.tester import BackendTester, get_random, random_bytes, resized
from conformance.walks.base import Spot, move
from vtpm_ref import page
from vtpm_ref.states import FINISH, IDLE, SUBMIT, Role
from vtpm_ref.xenbus import XenbusState

#: Where the walk stands: without a request, with one, with one whose CANCEL was seen.
NEW, AWAY, FREE, BUSY = (Spot.NEW,), (Spot.AWAY,), (Spot.FREE,), (Spot.BUSY,)
UNANSWERED = (Spot.BUSY, Spot.CANCELLED)

#: Sizes of a packet, in bytes: each class of lengths, and both ends of it.
SIZES = (12, 10, 11, 13, 64, 1024, 4087, 4088)


def _frontend(
    clause: str,
    at: tuple[Spot, ...],
    to: Spot | None,
    values: tuple[object, ...] = (),
    *,
    needs: str = "orders",
    hostile: bool = False,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return move(Role.FRONTEND, clause, at, to, values, needs=needs, hostile=hostile)


# Connecting and closing.


@_frontend("connecting.initialised", NEW, Spot.FREE)
def connect(t: BackendTester) -> None:
    """Connect."""
    t.connect()


@_frontend("connecting.frontend-waits", NEW, Spot.FREE)
def connect_slowly(t: BackendTester) -> None:
    """Connect, after a while in InitWait."""
    t.announce()
    t.wait_published()
    t.take_page()
    t.nudge()
    t.set_state(XenbusState.CONNECTED)
    t.wait_connected()


@_frontend("connecting.frontend-checks", NEW, Spot.GONE, ("0", None, "2"), hostile=True)
def connect_otherwise(t: BackendTester, feature: str | None) -> None:
    """Offer another protocol (feature {0})."""
    t.announce(feature)
    t.wait_published()
    t.take_page()
    t.set_state(XenbusState.CONNECTED)
    t.wait_decision()


@_frontend("coming-back.published-anew", AWAY, Spot.FREE, needs="orders,reconnect")
def reopen(t: BackendTester) -> None:
    """An order to connect again."""
    t.reopen_frontend()


@_frontend("closing.closed-last", FREE, Spot.AWAY, needs="orders,close,reconnect")
def close(t: BackendTester) -> None:
    """An order to close."""
    t.close_frontend()


@_frontend("closing.request-ends", UNANSWERED, Spot.AWAY, needs="orders,close,reconnect")
def close_with_a_request(t: BackendTester) -> None:
    """An order to close while a request is under way."""
    sent = t.open_orders
    closing = t.connection.order("close")
    t.wait_closed()
    t.let_go()
    for number in (*sent, closing):
        t.wait_result(number)


@_frontend("closing.frontend-follows", FREE, Spot.AWAY, needs="orders,reconnect")
def backend_closes(t: BackendTester) -> None:
    """The backend closes, and is in InitWait again."""
    t.set_state(XenbusState.CLOSING)
    t.wait_closed()
    t.let_go()
    t.connection.settle(1.0 * t.scale, nodes=True)


@_frontend("coming-back.goes-on", FREE + BUSY, None)
def backend_restarts(t: BackendTester) -> None:
    """The backend dies, and comes back for the page that is published."""
    t.die()
    t.come_back()


# One exchange.


@_frontend("exchange.response-taken", FREE, Spot.FREE, SIZES)
def exchange(t: BackendTester, size: int) -> None:
    """An order, and a response of {0} bytes."""
    t.exchange(resized(random_bytes(t.family), size))


@_frontend("exchange.response-taken", FREE, Spot.FREE, SIZES)
def order_of(t: BackendTester, size: int) -> None:
    """An order to send {0} bytes, and the answer."""
    t.answer_order(t.order(resized(get_random(t.family), size)))


@_frontend("exchange.submit-notifies", FREE, Spot.BUSY)
def order(t: BackendTester) -> None:
    """An order, and its request."""
    t.order()
    t.wait_request()


@_frontend("exchange.response-taken", UNANSWERED, Spot.FREE)
def answer(t: BackendTester) -> None:
    """A response, and the order's result."""
    _answered(t, t.answer)


@_frontend("exchange.idle-is-no-response", UNANSWERED, Spot.FREE)
def answer_idle(t: BackendTester) -> None:
    """IDLE, and the order's result."""
    _answered(t, t.answer_idle)


@_frontend("exchange.response-taken", FREE, Spot.FREE)
def two_orders(t: BackendTester) -> None:
    """Two orders at a time, each answered in its turn."""
    first = t.order()
    t.wait_request()
    second = t.order(get_random(t.family, 24))
    t.provoke()
    t.answer()
    t.wait_result(first)
    t.answer_order(second)


@_frontend("cancel.finish-accepted", BUSY, Spot.CANCELLED, needs="orders,cancel")
def cancel(t: BackendTester) -> None:
    """An order to cancel, and its CANCEL."""
    t.cancel()
    t.wait_cancel()


@_frontend("cancel.idle-accepted", BUSY, Spot.FREE, needs="orders,cancel")
def cancel_crosses(t: BackendTester) -> None:
    """An order to cancel that crosses the response."""
    (number,) = t.open_orders
    t.cancel()
    t.answer_crossing(number)


@_frontend("states.cancel-when-busy", FREE, Spot.FREE, needs="orders,cancel")
def cancel_nothing(t: BackendTester) -> None:
    """An order to cancel when there is nothing to cancel; then an exchange."""
    t.cancel()
    t.exchange()


@_frontend("exchange.response-taken", BUSY, Spot.FREE)
def time_out(t: BackendTester) -> None:
    """The frontend's deadline passes, where it can be made to; then IDLE."""
    t.connection.settle(1.0 * t.scale, nodes=True)
    if t.expire():
        t.wait_cancel()
    _answered(t, t.answer_idle)


@_frontend("exchange.spurious-events", FREE + UNANSWERED, None)
def events(t: BackendTester) -> None:
    """Two events without cause."""
    t.provoke()


@_frontend("locality.with-request", FREE, Spot.FREE, (1, 0, 2, 3, 4), needs="orders,locality")
def other_locality(t: BackendTester, locality: int) -> None:
    """An order at locality {0}, and the answer."""
    t.answer_order(t.order(locality=locality))


@_frontend("locality.range", FREE, Spot.FREE, (5, 255), needs="orders,locality")
def no_locality(t: BackendTester, locality: int) -> None:
    """An order at locality {0}, and the answer, should there be a request."""
    t.answer_order(t.order(locality=locality))


@_frontend("packet.request-fits", FREE, Spot.FREE, (4089, 9, 1, 8000))
def impossible_order(t: BackendTester, size: int) -> None:
    """An order to send {0} bytes, and the answer, should there be a request."""
    t.answer_order(t.order(resized(get_random(t.family), size)))


@_frontend("packet.request-length", FREE, Spot.FREE, (1, -1, 4000))
def mismatched_order(t: BackendTester, surplus: int) -> None:
    """An order whose header gives its size {0:+d}, and the answer, should there be a request."""
    request = get_random(t.family)
    size = (len(request) + surplus).to_bytes(4, "big")
    t.answer_order(t.order(request[:2] + size + request[6:]))


def _answered(t: BackendTester, answer: Callable[[], None]) -> None:
    """Answer, and wait for the result of what is open."""
    answer()
    for number in t.open_orders:
        t.wait_result(number)


# What no backend may do.


@_frontend(
    "packet.response-checked",
    UNANSWERED,
    Spot.FREE,
    (0, 9, 27, 29, 4089, 0x7FFFFFFF, 0xFFFFFFFF),
    hostile=True,
)
def wrong_length(t: BackendTester, length: int) -> None:
    """A response with length {0}, and the order's result."""
    _answered(t, lambda: t.answer(random_bytes(t.family), length=length))


@_frontend("packet.response-bounded", UNANSWERED, Spot.FREE, (4089, 0xFFFFFFFF), hostile=True)
def endless_response(t: BackendTester, length: int) -> None:
    """A response whose header and length say {0}, and the order's result."""
    response = random_bytes(t.family)
    packet = response[:2] + length.to_bytes(4, "big") + response[6:]
    _answered(t, lambda: t.answer(packet, length=length))


@_frontend("states.unknown-waits", BUSY, Spot.BUSY, (7, 4, 255), hostile=True)
def unknown_state(t: BackendTester, value: int) -> None:
    """The value {0} in state, and two events; then SUBMIT again."""
    t.rest()
    t.write_state(value)
    t.provoke()
    t.write_state(SUBMIT)


@_frontend("exchange.response-taken", UNANSWERED, Spot.FREE, (0, 4089, 0xFFFFFFFF), hostile=True)
def change_length(t: BackendTester, length: int) -> None:
    """A response whose length becomes {0} after FINISH, and the order's result."""

    def change() -> None:
        t.answer()
        t.connection.store(page.LENGTH.offset, length.to_bytes(4, "little"))

    _answered(t, change)


@_frontend("exchange.response-taken", UNANSWERED, Spot.FREE, hostile=True)
def take_back(t: BackendTester) -> None:
    """A response that IDLE takes back at once, and the order's result."""

    def answer_twice() -> None:
        t.answer()
        t.answer_idle()

    _answered(t, answer_twice)


@_frontend("exchange.response-taken", FREE, Spot.FREE, (IDLE, FINISH), hostile=True)
def unasked(t: BackendTester, value: int) -> None:
    """The state {0} although nothing was asked, and two events."""
    t.write_state(value)
    t.provoke()


@_frontend("exchange.response-taken", FREE, Spot.FREE, (0, 8, 2048), hostile=True)
def stray_store(t: BackendTester, at: int) -> None:
    """Four stray bytes at {0} of a page that is the frontend's."""
    if at >= page.HEADER_SIZE or at + 4 <= page.STATE.offset:
        t.connection.store(at, b"\xff" * 4)


@_frontend("exchange.response-taken", FREE, Spot.FREE, ("x", "", "-1", "99999999999"), hostile=True)
def nonsense(t: BackendTester, text: str) -> None:
    """The text '{0}' in the backend's state; then Connected again."""
    t.connection.write({"state": text})
    t.connection.settle(1.0 * t.scale, nodes=True)
    t.set_state(XenbusState.CONNECTED)
