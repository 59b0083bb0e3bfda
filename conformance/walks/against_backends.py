# SPDX-License-Identifier: MIT
"""
The moves of a tester that plays the frontend, against a backend.

A frontend that ends its own request is not among them: afterwards nobody could
tell which of its requests an answer belongs to.
"""

from collections.abc import Callable

from conformance.tester import FrontendTester, get_random, resized, slow
from conformance.walks.base import EXACT, Spot, move
from vtpm_ref import page
from vtpm_ref.states import CANCEL, Role
from vtpm_ref.xenbus import XenbusState

#: Where the walk stands: not connected, without a request, with one, anywhere in a connection.
OUT, FREE, BUSY = (Spot.NEW, Spot.AWAY), (Spot.FREE,), (Spot.BUSY,)
IN = FREE + BUSY

#: Sizes of a request, in bytes: each class of lengths, and both ends of it.
SIZES = (12, 10, 11, 13, 64, 1024, 4087, 4088)


def _backend(
    clause: str,
    at: tuple[Spot, ...],
    to: Spot | None,
    values: tuple[object, ...] = (),
    *,
    needs: str = "",
    hostile: bool = False,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return move(Role.BACKEND, clause, at, to, values, needs=needs, hostile=hostile)


# Connecting and closing.


@_backend("connecting.backend-connects", OUT, Spot.FREE)
def connect(t: FrontendTester) -> None:
    """Connect."""
    t.connect()


@_backend("connecting.backend-connects", OUT, Spot.FREE)
def connect_at_once(t: FrontendTester) -> None:
    """Connect without Initialised, straight to Connected."""
    t.publish()
    t.set_state(XenbusState.CONNECTED)
    t.wait_connected()


@_backend("connecting.serves-initialised", OUT, Spot.FREE)
def connect_and_stay_initialised(t: FrontendTester) -> None:
    """Connect, and stay Initialised."""
    t.publish()
    t.set_state(XenbusState.INITIALISED)
    t.wait_connected()


@_backend("connecting.look-at-once", OUT, Spot.BUSY)
def connect_with_a_request(t: FrontendTester) -> None:
    """Connect, with a request in the page before the backend maps it."""
    t.publish()
    t.submit(get_random(t.family))
    t.set_state(XenbusState.INITIALISED)
    t.wait_connected()
    t.set_state(XenbusState.CONNECTED)


@_backend(
    "connecting.backend-checks", OUT, Spot.AWAY, ("0", None, "2"), needs="close", hostile=True
)
def connect_otherwise(t: FrontendTester, feature: str | None) -> None:
    """Offer another protocol (feature {0}), and close."""
    t.publish(feature)
    t.set_state(XenbusState.INITIALISED)
    t.wait_decision()
    t.close()
    t.wait_let_go(XenbusState.INIT_WAIT)
    t.give_back()


@_backend("closing.backend-lets-go", IN, Spot.AWAY, needs="close,reconnect")
def close(t: FrontendTester) -> None:
    """Close, and take the page back."""
    t.close()
    t.give_back()


@_backend("coming-back.served", IN, Spot.BUSY, needs="reconnect")
def begin_anew(t: FrontendTester) -> None:
    """Begin anew with another page and a request, without having closed."""
    t.connect_again()
    t.submit(get_random(t.family))


@_backend("closing.offline", IN, Spot.GONE, needs="close")
def detach(t: FrontendTester) -> None:
    """The toolstack takes the device away, and the frontend closes."""
    t.connection.as_toolstack(Role.BACKEND, {"online": "0", "state": "5"})
    t.set_state(XenbusState.CLOSED)
    t.wait_let_go(XenbusState.CLOSED)


@_backend("exchange.answered", FREE, Spot.FREE, needs="many")
def another_frontend(t: FrontendTester) -> None:
    """One more frontend connects and sends a request; then this one does."""
    further = t.another()
    further.connect()
    further.exchange(get_random(t.family, 8))
    t.exchange(get_random(t.family))


@_backend("exchange.answered", FREE, Spot.FREE, needs="many")
def two_at_once(t: FrontendTester) -> None:
    """One more frontend connects, and both send a request at the same time."""
    further = t.another()
    further.connect()
    t.submit(get_random(t.family))
    further.submit(get_random(t.family, 8))
    t.wait_answer()
    further.wait_answer()


# One exchange.


@_backend("exchange.answered", FREE, Spot.FREE, SIZES)
def exchange(t: FrontendTester, size: int) -> None:
    """A request of {0} bytes, and its answer."""
    t.exchange(resized(get_random(t.family), size))


@_backend("exchange.answered", FREE, Spot.FREE)
def poll(t: FrontendTester) -> None:
    """A request, and its answer without waiting for the event."""
    t.submit(get_random(t.family))
    t.poll_answer()


@_backend("exchange.answered", FREE, Spot.BUSY)
def submit(t: FrontendTester) -> None:
    """A request."""
    t.submit(get_random(t.family))


@_backend("exchange.answered", FREE, Spot.BUSY)
def submit_slow(t: FrontendTester) -> None:
    """A request that the TPM takes long for."""
    t.submit(slow(t.family))


@_backend("cancel.answered", FREE, Spot.BUSY)
def submit_and_cancel(t: FrontendTester) -> None:
    """A request and a CANCEL, with one event for both."""
    t.submit(get_random(t.family), notify=False)
    t.write_state(CANCEL)
    t.notify()


@_backend("cancel.answered", BUSY, Spot.BUSY)
def cancel(t: FrontendTester) -> None:
    """A CANCEL."""
    t.write_state(CANCEL)
    t.notify()


@_backend("exchange.answered", BUSY, Spot.BUSY)
def let_it_work(t: FrontendTester) -> None:
    """The backend goes on as far as it does by itself."""
    t.rest()


@_backend("exchange.answered", BUSY, Spot.FREE)
def answer(t: FrontendTester) -> None:
    """The answer."""
    t.wait_answer()


@_backend("exchange.spurious-events", IN, None)
def events(t: FrontendTester) -> None:
    """Two events without cause."""
    t.provoke()


@_backend("locality.refused", FREE, Spot.FREE, (1, 0, 2, 3, 4))
def other_locality(t: FrontendTester, locality: int) -> None:
    """A request at locality {0}, and its answer."""
    t.submit(get_random(t.family), locality=locality)
    t.wait_answer()


# What no frontend may do.


@_backend(
    "packet.too-long-answered",
    FREE,
    Spot.FREE,
    (4089, 4090, 4096, 0x7FFFFFFF, 0xFFFFFFF8, 0xFFFFFFFF),
    hostile=True,
)
def too_long(t: FrontendTester, length: int) -> None:
    """A request with length {0}, which passes the end of the page, and its answer."""
    t.submit(resized(get_random(t.family), 4088), length=length)
    t.wait_answer()


@_backend("packet.too-short-answered", FREE, Spot.FREE, (9, 0, 1, 8), hostile=True)
def too_short(t: FrontendTester, length: int) -> None:
    """A request with length {0}, and its answer."""
    t.submit(get_random(t.family), length=length)
    t.wait_answer()


@_backend("packet.size-mismatch-answered", FREE, Spot.FREE, (1, -1, 4000, 0x7FFFFFFF), hostile=True)
def mismatch(t: FrontendTester, surplus: int) -> None:
    """A request whose header gives its size as length {0:+d}, and its answer."""
    request = get_random(t.family)
    size = (len(request) + surplus).to_bytes(4, "big")
    t.submit(request[:2] + size + request[6:])
    t.wait_answer()


@_backend("locality.refused", FREE, Spot.FREE, (5, 255), hostile=True)
def no_locality(t: FrontendTester, locality: int) -> None:
    """A request at locality {0}, and its answer."""
    t.submit(get_random(t.family), locality=locality)
    t.wait_answer()


@_backend("page.packet-offset", FREE, Spot.FREE, (1, 3, 255), hostile=True)
def extra_pages(t: FrontendTester, count: int) -> None:
    """A request behind a list of {0} grant references, and its answer."""
    t.submit(get_random(t.family), grants=tuple(range(count)))
    t.wait_answer()


@_backend("page.pad-ignored", FREE, Spot.FREE, (1, 255), hostile=True)
def something_in_pad(t: FrontendTester, pad: int) -> None:
    """A request with {0} in pad, and its answer; then pad is 0 again."""
    t.submit(get_random(t.family), pad=pad)
    t.wait_answer()
    t.connection.store(page.PAD.offset, b"\0")


@_backend(
    "packet.too-long-answered", FREE, Spot.FREE, ((4, 3), (0x80000000, 0), (12, 255)), hostile=True
)
def any_header(t: FrontendTester, header: tuple[int, int]) -> None:
    """A header of length and nr_extra_pages {0}, and the answer."""
    length, count = header
    t.submit(get_random(t.family), length=length, grants=tuple(range(count)), locality=0)
    t.wait_answer()


@_backend("states.unknown-waits", FREE, Spot.FREE, (7, 4, 255), hostile=True)
def unknown_state(t: FrontendTester, value: int) -> None:
    """The value {0} in state, and two events; then what was there."""
    before = t.look()
    t.write_state(value)
    t.provoke()
    t.write_state(before)


@_backend("cancel.acknowledged-when-idle", FREE, Spot.BUSY, hostile=True)
def cancel_nothing(t: FrontendTester) -> None:
    """A CANCEL although there is nothing to cancel."""
    t.write_state(CANCEL)
    t.notify()


@_backend("exchange.answered", FREE, Spot.FREE, (0, 4089, 0xFFFFFFFF), needs=EXACT, hostile=True)
def change_length(t: FrontendTester, length: int) -> None:
    """A slow request, whose length is {0} for a while; then its answer."""
    _change_while_working(t, page.LENGTH.offset, length.to_bytes(4, "little"))


@_backend("exchange.answered", FREE, Spot.FREE, (1, 255), needs=EXACT, hostile=True)
def change_list(t: FrontendTester, count: int) -> None:
    """A slow request, whose nr_extra_pages is {0} for a while; then its answer."""
    _change_while_working(t, page.NR_EXTRA_PAGES.offset, bytes([count]))


@_backend("exchange.answered", FREE, Spot.FREE, (2, 6, 2048), needs=EXACT, hostile=True)
def change_packet(t: FrontendTester, place: int) -> None:
    """A slow request, of which four bytes from its byte {0} on are others for a while."""
    _change_while_working(t, page.packet_offset(0) + place, b"\xff" * 4)


def _change_while_working(t: FrontendTester, at: int, data: bytes) -> None:
    """
    Store ``data`` for a while, once the backend has taken the request.

    Before that the backend may take the one or the other, and nobody can tell which;
    nor who stored last, where stores are only sampled.
    """
    t.submit(slow(t.family))
    t.provoke()
    if t.working:
        before = bytes(t.connection.image[at : at + len(data)])
        t.connection.store(at, data)
        t.provoke()
        t.connection.store(at, before)
    t.wait_answer()


@_backend(
    "connecting.backend-connects", FREE, Spot.FREE, ("x", "", "-1", "99999999999"), hostile=True
)
def nonsense(t: FrontendTester, text: str) -> None:
    """The text '{0}' in the frontend's state; then Connected again."""
    t.connection.write({"state": text})
    t.connection.settle(1.0 * t.scale, nodes=True)
    t.set_state(XenbusState.CONNECTED)
