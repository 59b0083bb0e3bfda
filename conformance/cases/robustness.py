# SPDX-License-Identifier: MIT
"""Cases of the page on robustness."""

from random import Random

from conformance.cases.base import backend_case, frontend_case
from conformance.tester import (
    BackendTester,
    FrontendTester,
    get_random,
    random_bytes,
    slow,
)
from vtpm_ref import packet
from vtpm_ref.states import State
from vtpm_ref.xenbus import XenbusState

#: Lengths at the edges of what fits a page, a byte, or 32 bits.
_LENGTHS = (0, 9, 11, 3069, 4085, 4089, 4096, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF8, 0xFFFFFFFF)

#: What is no grant reference or port that anybody has published.
_UNSOUND = ("", "-1", "0x8", "99999999999", "8 9")


@backend_case("robust.goes-on/all-ones")
def _all_ones(t: FrontendTester) -> None:
    """A page of ones, state included, and two events."""
    t.prepare()
    t.stimulus()
    t.overwrite()
    t.provoke()
    t.fence()


@backend_case("robust.goes-on/lengths-0", 0, *_LENGTHS)
@backend_case("robust.goes-on/lengths-1", 1, *_LENGTHS)
@backend_case("robust.goes-on/lengths-255", 255, *_LENGTHS)
def _lengths(t: FrontendTester, count: int, *lengths: int) -> None:
    """Requests of eleven bad lengths behind {0} grant references, each with a good one after it."""
    t.prepare()
    t.stimulus()
    for length in lengths:
        t.submit(get_random(t.family), length=length, grants=tuple(range(count)))
        t.wait_answer()
        t.fence()


@backend_case("robust.goes-on/random-headers")
def _random_headers(t: FrontendTester) -> None:
    """Twenty requests with random bytes for a header, each with a good one after it."""
    t.prepare()
    t.stimulus()
    dice = Random(0)
    for _ in range(20):
        t.submit(
            dice.randbytes(16),
            length=dice.getrandbits(dice.choice((5, 12, 32))),
            grants=tuple(range(dice.randrange(256))),
            locality=dice.randrange(256),
            pad=dice.randrange(256),
        )
        t.wait_answer()
        t.submit(get_random(t.family), pad=0)
        t.wait_answer()
    t.fence()


@backend_case("robust.goes-on/states")
def _states(t: FrontendTester) -> None:
    """Values of state that mean nothing, each with an event."""
    t.prepare()
    t.stimulus()
    for state in (5, 0x10, 0x7F, 0x80, 0xFF):
        t.write_state(state)
        t.provoke()
        t.fence()


@backend_case("robust.goes-on/meddling")
def _meddling(t: FrontendTester) -> None:
    """Ones in the fields and the second half of the page while a slow command works."""
    t.prepare()
    t.stimulus()
    t.submit(slow(t.family))
    if t.working:
        t.meddle()
    t.wait_answer()
    t.submit(get_random(t.family), pad=0)
    t.wait_answer()
    t.fence()


@backend_case("robust.answer-place/count-changed")
def _count_changed(t: FrontendTester) -> None:
    """100 in nr_extra_pages while a slow command works."""
    t.prepare()
    t.stimulus()
    t.submit(slow(t.family))
    if t.working:
        t.write_extra_pages(100)
    t.wait_answer()
    t.fence()


@backend_case("robust.nothing-behind/responses")
def _shorter_and_shorter(t: FrontendTester) -> None:
    """Responses that get shorter, and an error at last."""
    t.prepare()
    t.stimulus()
    for count in (64, 16, 1):
        t.exchange(get_random(t.family, count))
    t.exchange(get_random(t.family)[:6] + b"\xde\xad\xbe\xef" + get_random(t.family)[10:])
    t.fence()


@backend_case("robust.nodes-recover/ring-ref", "ring-ref", *_UNSOUND)
@backend_case("robust.nodes-recover/event-channel", "event-channel", *_UNSOUND)
def _unsound_numbers(t: FrontendTester, node: str, *texts: str) -> None:
    """Five texts that are no number in {0}, and sound nodes after each."""
    t.stimulus()
    for text in texts:
        t.publish_unsound(node, text)
        t.wait_decision()
        _publish_anew(t)


@backend_case("robust.nodes-recover/nobodys-page", "ring-ref")
@backend_case("robust.nodes-recover/nobodys-port", "event-channel")
def _unknown_number(t: FrontendTester, node: str) -> None:
    """A number in {0} that nobody has given out, and sound nodes after it."""
    t.stimulus()
    t.publish_unsound(node, "60")
    t.wait_decision()
    _publish_anew(t)


@backend_case("robust.nodes-recover/state-0", "0")
@backend_case("robust.nodes-recover/state-removed", None)
def _state_gone(t: FrontendTester, text: str | None) -> None:
    """A frontend whose state becomes {0}, and that comes back."""
    t.prepare()
    t.stimulus()
    if text is None:
        t.connection.remove("state")
    else:
        t.connection.write({"state": text})
    t.let_notice()
    _publish_anew(t)


def _publish_anew(t: FrontendTester) -> None:
    """Close, and connect with another page and port."""
    t.set_state(XenbusState.CLOSED)
    t.let_notice()
    t.wait_let_go()
    t.connect()


@backend_case("robust.nonsense-state/backend")
@frontend_case("robust.nonsense-state/frontend")
def _nonsense_state(t: FrontendTester | BackendTester) -> None:
    """Texts that are no xenbus state in the peer's state, and an exchange after each."""
    t.prepare()
    t.stimulus()
    for text in ("banana", "9", "-1", "99999999999", ""):
        t.connection.write({"state": text})
        t.let_notice()
        t.fence()
        t.set_state(XenbusState.CONNECTED)
        t.let_notice()
    t.fence()


@backend_case("robust.response-belongs/counts")
def _counts(t: FrontendTester) -> None:
    """Requests for 1 to 16 random bytes."""
    t.prepare()
    t.stimulus()
    for count in range(1, 17):
        t.exchange(get_random(t.family, count))


@backend_case("robust.response-belongs/cancelled")
def _after_cancel(t: FrontendTester) -> None:
    """A slow command that is cancelled, and a request for 7 random bytes."""
    t.prepare()
    t.stimulus()
    t.submit(slow(t.family))
    if t.working:
        t.write_state(State.CANCEL)
        t.notify()
    t.wait_answer()
    t.exchange(get_random(t.family, 7))
    t.fence()


@backend_case("robust.response-belongs/reconnected")
def _after_reconnect(t: FrontendTester) -> None:
    """A frontend that goes while a slow command works, comes back, and asks for 5 random bytes."""
    t.prepare()
    t.stimulus()
    t.submit(slow(t.family))
    t.rest()
    _publish_anew(t)
    t.exchange(get_random(t.family, 5))
    t.fence()


@backend_case("robust.response-belongs/three-frontends", needs="many")
def _three_frontends(t: FrontendTester) -> None:
    """Three frontends that ask for different counts at the same time."""
    t.prepare()
    others = [t.another(), t.another()]
    for other in others:
        other.connect()
    t.stimulus()
    for first in (1, 5, 9):
        for count, each in enumerate((*others, t), first):
            each.submit(get_random(t.family, count))
        for each in (*others, t):
            each.wait_answer()
    t.fence()


@frontend_case("robust.own-window/count-changed")
def _decoy(t: BackendTester) -> None:
    """9 in nr_extra_pages with the answer, and another response where that points to."""
    t.prepare()
    t.stimulus()
    number = t.order()
    t.wait_request()
    t.rest()
    t.answer(decoy=(9, random_bytes(t.family)[:-1] + b"\xff"))
    t.wait_result(number)
    t.write_extra_pages(0)
    t.fence()


@frontend_case("robust.length-once/three-exchanges")
@frontend_case("robust.nothing-behind/requests")
def _requests(t: BackendTester) -> None:
    """Three requests of different size."""
    t.prepare()
    t.stimulus()
    for size in (64, 32, 12):
        t.answer_order(t.order(packet.build(0x8001, 0x17C, bytes(range(size)))))
    t.fence()


@frontend_case("robust.frontend-goes-on/lengths", "length")
@frontend_case("robust.frontend-goes-on/packets", "packet")
def _nonsense_answers(t: BackendTester, what: str) -> None:
    """Answers whose {0} makes no sense, and a good one after each."""
    t.prepare()
    t.stimulus()
    good = random_bytes(t.family)
    lengths = ((good, length) for length in (0, 9, 10, 27, 31, 4089, 0x80000000, 0xFFFFFFFF))
    packets = (
        (response, len(response))
        for response in (
            b"\x00\x00" + good[2:],
            b"\xff\xff" + good[2:],
            good[:6] + b"\xff\xff\xff\xff" + good[10:],
            bytes(len(good)),
            b"\xff" * len(good),
        )
    )
    for response, length in lengths if what == "length" else packets:
        number = t.order()
        t.wait_request()
        t.answer(response, length=length)
        t.wait_result(number)
        t.fence()
