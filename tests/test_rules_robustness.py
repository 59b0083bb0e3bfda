# SPDX-License-Identifier: MIT
"""
The rules on robustness, several frontends and time, where no animal of the zoo leads.

Above all, whom they leave alone: a lawful TPM, a side that was told to close,
a link that sees too little to accuse.
"""

import pytest

from conformance import trace
from conformance.judge import Verdict
from tests.test_rules import (
    BE,
    CONNECTED,
    EXACT,
    FE,
    SAMPLED,
    answer,
    event,
    judge,
    looks,
    node,
    order,
    phase,
    request,
    result,
    rings,
    silence,
    store,
    verdict,
    writes,
)
from vtpm_ref import packet, page
from vtpm_ref.packet import Family
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

TPM20 = event(trace.Target, tpm=Family.TPM20.value)
TPM12 = event(trace.Target, tpm=Family.TPM12.value)


def asks(count: int) -> bytes:
    return packet.build(0x8001, 0x17B, count.to_bytes(2, "big"))


def gives(count: int) -> bytes:
    return packet.build(0x8001, 0, count.to_bytes(2, "big") + bytes(count))


def asks12(count: int) -> bytes:
    return packet.build(0xC1, 0x46, count.to_bytes(4, "big"))


def gives12(count: int) -> bytes:
    return packet.build(0xC4, 0, count.to_bytes(4, "big") + bytes(count))


def exchange(asked: bytes, given: bytes) -> list[trace.AnyEvent]:
    return [*request(asked), *answer(given)]


# Whose response it is.

BELONGS = "robust.response-belongs"


@pytest.mark.parametrize(
    ("asked", "given", "expected"),
    [
        (asks(8), gives(8), Verdict.KEPT),
        (asks(8), gives(9), Verdict.BROKEN),
        (asks(8), gives(4), Verdict.NOT_EXERCISED),
        (asks(64), gives(32), Verdict.NOT_EXERCISED),
        (asks(8), packet.error_response(Family.TPM20, 0x921), Verdict.NOT_EXERCISED),
        (asks(8), packet.build(0x8001, 0, bytes(40)), Verdict.BROKEN),
        (packet.build(0x8001, 0x17C, bytes(2)), gives(5), Verdict.NOT_EXERCISED),
    ],
    ids=["same", "more", "less", "less than many", "error", "another's form", "another command"],
)
def test_a_response_is_told_from_others_by_its_count(
    asked: bytes, given: bytes, expected: Verdict
) -> None:
    """A TPM that gives less than it was asked for is lawful, one that gives more is not."""
    judgement = judge(BE, TPM20, *CONNECTED, *exchange(asked, given))
    assert verdict(judgement, BELONGS) is expected


def test_less_than_was_asked_for_is_another_response_if_another_asked_for_it() -> None:
    earlier = exchange(asks(4), gives(4))
    judgement = judge(BE, TPM20, *CONNECTED, *earlier, *exchange(asks(8), gives(4)))
    assert verdict(judgement, BELONGS) is Verdict.BROKEN


def test_the_counts_of_a_tpm_12_have_four_bytes() -> None:
    judgement = judge(BE, TPM12, *CONNECTED, *exchange(asks12(8), gives12(8)))
    assert verdict(judgement, BELONGS) is Verdict.KEPT
    judgement = judge(BE, TPM12, *CONNECTED, *exchange(asks12(8), packet.build(0xC4, 0)))
    assert verdict(judgement, BELONGS) is Verdict.BROKEN


@pytest.mark.parametrize(
    "clause",
    [
        BELONGS,
        "long.too-long-response",
        "long.size-told",
        "page.pad-ignored",
        "page.zeroed",
        "robust.nothing-behind",
    ],
)
def test_of_bodies_that_were_left_out_nothing_is_said(clause: str) -> None:
    """Zeroes stand there; they are neither a breach nor anything kept."""
    ground = [TPM20, *CONNECTED]
    hidden = [packet.build(0x8001, 0x17B, bytes(2)), packet.build(0x8001, 0, bytes(34))]
    padded = [store(FE, page.PAD.offset, b"\1"), *exchange(*hidden)]
    events = [*ground, *exchange(*hidden), *padded, *exchange(*hidden)]
    for role in (BE, FE):
        left_out = judge(role, *events, evidence=EXACT | {"bodies": "none"})
        assert clause not in left_out.broken
        if (clause, Role(role)) in left_out.results:
            assert left_out.results[clause, Role(role)].verdict is Verdict.NOT_OBSERVABLE
    assert BELONGS in judge(BE, *events).broken


# A state that is none.

NONSENSE = "robust.nonsense-state"
LET_GO: list[trace.AnyEvent] = [
    event(trace.Map, by=BE, gref=8, ok=True, on=False),
    node(BE, "state", "2"),
]


def test_a_backend_that_lets_go_for_nonsense_is_found() -> None:
    judgement = judge(BE, *CONNECTED, node(FE, "state", "banana"), *LET_GO)
    (_, finding) = judgement.results[NONSENSE, Role.BACKEND].findings[0]
    assert finding.happened == "the peer's state was 'banana', and it unmapped the page"


@pytest.mark.parametrize(
    "before",
    [
        [node(FE, "state", "banana"), node(FE, "state", "6")],
        [node(FE, "state", "6"), node(FE, "state", "banana")],
        [node(FE, "state", "banana"), node(BE, "online", "0")],
    ],
    ids=["closed after it", "closed before it", "taken away by the toolstack"],
)
def test_who_lets_go_for_another_reason_is_left_alone(before: list[trace.AnyEvent]) -> None:
    judgement = judge(BE, *CONNECTED, *before, *LET_GO)
    assert verdict(judgement, NONSENSE) is Verdict.NOT_EXERCISED


def test_a_frontend_that_was_told_to_close_is_left_alone() -> None:
    told: list[trace.AnyEvent] = [
        node(BE, "state", "banana"),
        order(1, b"", do="close"),
        node(FE, "state", "5"),
    ]
    assert verdict(judge(FE, *CONNECTED, *told), NONSENSE) is Verdict.NOT_EXERCISED


# Where a response lies, when the count was changed meanwhile.

PLACE = "robust.answer-place"


@pytest.mark.parametrize(
    ("at", "given", "expected"),
    [
        (8, gives(8), Verdict.KEPT),
        (408, gives(8), Verdict.BROKEN),
        (408, packet.error_response(Family.TPM20, 0x142), Verdict.NOT_EXERCISED),
    ],
    ids=["where the request was", "astray", "refused by who sampled it late"],
)
def test_a_change_may_come_before_the_backend_has_sampled(
    at: int, given: bytes, expected: Verdict
) -> None:
    meddled = store(FE, page.NR_EXTRA_PAGES.offset, bytes([100]))
    stores = [store(BE, at, given), store(BE, 0, len(given).to_bytes(4, "little")), writes(BE, 2)]
    events = [*request(asks(8)), meddled, *stores, rings(BE), looks(FE, 2)]
    assert verdict(judge(BE, *CONNECTED, *events, only=[PLACE]), PLACE) is expected


# What lies behind a packet.

BEHIND = "robust.nothing-behind"


@pytest.mark.parametrize(
    ("stored", "expected"), [(b"\0" * 8, Verdict.KEPT), (b"\x5a" * 8, Verdict.BROKEN)]
)
def test_zeroes_may_be_stored_behind_a_packet(stored: bytes, expected: Verdict) -> None:
    dirty = [*request(bytes(asks(8) + b"\x11" * 40)), *answer(gives(8))]
    clean = [*request(asks(8)), store(BE, 40, stored), *answer(gives(8))]
    assert verdict(judge(BE, *CONNECTED, *dirty, *clean, only=[BEHIND]), BEHIND) is expected


def test_a_look_now_and_then_cannot_show_that_nothing_was_stored_behind() -> None:
    judgement = judge(BE, *CONNECTED, *exchange(asks(8), gives(8)), evidence=SAMPLED)
    assert verdict(judgement, BEHIND) is Verdict.NOT_OBSERVABLE


# Unsound nodes.

RECOVERS = "robust.nodes-recover"


def test_a_number_that_cannot_be_mapped_is_unsound() -> None:
    refused = event(trace.Map, by=BE, gref=8, ok=False)
    waits = silence("Connected of the backend")
    assert verdict(judge(BE, *CONNECTED[:7], refused, waits), RECOVERS) is Verdict.BROKEN
    assert verdict(judge(BE, *CONNECTED[:7], refused, *CONNECTED[7:]), RECOVERS) is Verdict.KEPT


def test_without_unsound_nodes_nothing_has_to_recover() -> None:
    assert verdict(judge(BE, *CONNECTED), RECOVERS) is Verdict.NOT_EXERCISED


# Several frontends.

TURN = "several.in-turn"


def of(connection: int, events: list[trace.AnyEvent]) -> list[trace.AnyEvent]:
    """The same events on another connection."""
    for each in events:
        each.c = connection
    return events


def connected(connection: int) -> list[trace.AnyEvent]:
    begins = event(trace.Connection, frontend=1 + connection, device=0)
    place, own = Place(), Place(1 + connection)
    events: list[trace.AnyEvent] = []
    for each in CONNECTED:
        copy = type(each)(**{name: getattr(each, name) for name in each.__struct_fields__})
        if isinstance(copy, trace.Node):
            copy.path = copy.path.replace(place.frontend_dir, own.frontend_dir)
            copy.path = copy.path.replace(place.backend_dir, own.backend_dir)
        events.append(copy)
    return of(connection, [begins, *events])


WAITING: list[trace.AnyEvent] = [
    TPM20,
    *CONNECTED,
    *connected(1),
    *connected(2),
    *request(asks(1)),
    *of(1, request(asks(2))),
    *of(2, request(asks(3))),
    *answer(gives(1)),
]


def test_requests_that_wait_together_are_answered_as_they_came() -> None:
    ends = [*of(1, answer(gives(2))), *of(2, answer(gives(3)))]
    assert verdict(judge(BE, *WAITING, *ends), TURN) is Verdict.KEPT


def test_one_that_came_later_and_is_answered_first_is_found() -> None:
    ends = [*of(2, answer(gives(3))), *of(1, answer(gives(2)))]
    assert verdict(judge(BE, *WAITING, *ends), TURN) is Verdict.BROKEN


def test_who_has_a_tpm_to_himself_may_be_answered_first() -> None:
    """While the first still works, an answer shows that there is more than one TPM."""
    own = [*WAITING[: -len(answer(gives(1)))], *of(2, answer(gives(3)))]
    assert verdict(judge(BE, *own), TURN) is Verdict.NOT_EXERCISED


def test_where_stores_are_sampled_their_order_accuses_nobody() -> None:
    ends = [*of(2, answer(gives(3))), *of(1, answer(gives(2)))]
    judgement = judge(BE, *WAITING, *ends, evidence=SAMPLED)
    assert verdict(judgement, TURN) is Verdict.NOT_OBSERVABLE


def test_a_backend_that_ends_ends_for_all_of_its_frontends() -> None:
    ends: list[trace.AnyEvent] = [phase("stimulus"), event(trace.Exit, how="signal 9")]
    judgement = judge(BE, TPM20, *CONNECTED, *connected(1), *ends)
    assert "several.own-service" in judgement.broken
    assert "several.own-service" not in judge(BE, TPM20, *CONNECTED, *ends).broken


# Time.

CANCELS = "time.cancels"
GIVEN_UP: list[trace.AnyEvent] = [*CONNECTED, order(1), *request()]


def test_a_frontend_may_report_before_it_cancels() -> None:
    late: list[trace.AnyEvent] = [result(1, "timed-out"), writes(FE, 3), rings(FE)]
    assert verdict(judge(FE, *GIVEN_UP, *late), CANCELS) is Verdict.KEPT


def test_a_cancel_without_an_event_is_half_of_it() -> None:
    half: list[trace.AnyEvent] = [writes(FE, 3), result(1, "timed-out")]
    assert verdict(judge(FE, *GIVEN_UP, *half), CANCELS) is Verdict.BROKEN


def test_whose_request_was_answered_meanwhile_has_nothing_to_cancel() -> None:
    crossed = [result(1, "timed-out"), *answer()]
    assert verdict(judge(FE, *GIVEN_UP, *crossed), CANCELS) is Verdict.NOT_EXERCISED


def test_where_stores_are_sampled_a_cancel_may_have_gone_unseen() -> None:
    judgement = judge(FE, *GIVEN_UP, result(1, "timed-out"), evidence=SAMPLED)
    assert verdict(judgement, CANCELS) is Verdict.NOT_OBSERVABLE
