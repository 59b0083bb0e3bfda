# SPDX-License-Identifier: MIT
"""
The judge on traces written by hand: evidence, occasions, silence, and what outranks what.

The zoo shows what the memory link can show; here is what only another link can.
"""

from typing import Any, Literal, TypeVar

import pytest

from conformance import trace
from conformance.judge import ClauseResult, Judge, Judgement, Verdict
from conformance.links import memory, process
from conformance.rules.base import KEEP, Finding
from conformance.rules.exchange import TOLERATED_EVENTS
from conformance.tester import slow
from vtpm_ref import packet, page
from vtpm_ref.packet import Family
from vtpm_ref.states import Role, State
from vtpm_ref.xenbus import Place

FE: Literal["frontend"] = "frontend"
BE: Literal["backend"] = "backend"
EXACT, SAMPLED = memory.EVIDENCE, process.EVIDENCE

REQUEST = packet.build(0x8001, 0x17B, b"\x00\x10")
RESPONSE = packet.build(0x8001, 0, b"\x00\x10" + bytes(range(16)))

_E = TypeVar("_E", bound=trace.Event)


def event(kind: type[_E], **fields: Any) -> _E:
    return kind(crc="", t=0, **fields)


def store(by: str, at: int, data: bytes) -> trace.Store:
    return event(trace.Store, by=by, at=at, data=data.hex())


def load(by: str, at: int, data: bytes) -> trace.Load:
    return event(trace.Load, by=by, at=at, data=data.hex())


def sample(at: int = 0, data: bytes = b"") -> trace.Sample:
    return event(trace.Sample, size=page.PAGE_SIZE, at=at, data=data.hex())


def writes(by: str, state: int) -> trace.Store:
    return store(by, page.STATE.offset, bytes([state]))


def looks(by: str, state: int) -> trace.Load:
    return load(by, page.STATE.offset, bytes([state]))


def rings(by: str, count: int = 1) -> trace.Notify:
    return event(trace.Notify, by=by, count=count)


def node(by: str, name: str, value: str, tx: int = 0) -> trace.Node:
    path = Place().path(Role(by), name)
    return event(trace.Node, by=by, op="write", path=path, value=value, tx=tx)


def commit(by: str, tx: int, ok: bool = True) -> trace.Node:
    return event(trace.Node, by=by, op="end", path="", tx=tx, ok=ok)


def phase(name: str, note: str = "") -> trace.Phase:
    return event(trace.Phase, name=name, note=note)


def silence(awaited: str, *, certain: bool = True) -> trace.Silence:
    return event(trace.Silence, awaited=awaited, seconds=2.0, certain=certain)


def order(number: int, request: bytes = REQUEST, do: str = "send") -> trace.Order:
    return event(trace.Order, id=number, do=do, packet=request.hex())


def result(number: int, outcome: str, response: bytes = b"") -> trace.Result:
    return event(trace.Result, id=number, outcome=outcome, packet=response.hex())


def length_of(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little")


def request(data: bytes = REQUEST) -> list[trace.AnyEvent]:
    """A frontend submits ``data``, one store after the other."""
    return [store(FE, 8, data), store(FE, 0, length_of(data)), writes(FE, 1), rings(FE)]


def answer(data: bytes = RESPONSE) -> list[trace.AnyEvent]:
    """A backend answers with ``data``, one store after the other, and the frontend looks."""
    stores = [store(BE, 8, data), store(BE, 0, length_of(data)), writes(BE, 2)]
    return [looks(BE, 1), *stores, rings(BE), looks(FE, 2)]


#: The page is published, both sides are Connected.
CONNECTED: list[trace.AnyEvent] = [
    node(BE, "feature-protocol-v2", "1"),
    node(BE, "state", "2"),
    node(FE, "ring-ref", "8", tx=1),
    node(FE, "event-channel", "1", tx=1),
    node(FE, "feature-protocol-v2", "1", tx=1),
    commit(FE, tx=1),
    node(FE, "state", "3"),
    event(trace.Map, by=BE, gref=8, ok=True),
    event(trace.Bind, by=BE, ok=True, port=2, remote=1),
    node(BE, "state", "4"),
    node(FE, "state", "4"),
]


def judge(
    role: str,
    *events: trace.AnyEvent,
    evidence: dict[str, Any] = EXACT,
    case: str = "",
    complete: bool = True,
    only: list[str] | None = None,
) -> Judgement:
    roles: list[Any] = role.split("+")
    header = trace.Header(
        crc="",
        format=1,
        suite="0",
        clauses={},
        link="by hand",
        judged=roles,
        target="by hand",
        evidence={name: evidence for name in roles},
        case=case,
        frontend=1,
        backend=0,
        device=0,
        platform="",
        started="",
    )
    judge = Judge(header, only)
    for each in events:
        judge.feed(each)
    return judge.finish("trace", complete=complete)


def verdict(judgement: Judgement, clause: str) -> Verdict:
    (role,) = judgement.header.judged
    return judgement.results[clause, Role(role)].verdict


# Evidence.

#: What a judge that only looks knows of one exchange, up to the answer's state.
LOOKED = [*CONNECTED, *request(), rings(BE), looks(FE, 2)]
LATE = ("exchange.response-before-state", "states.response-stands-still")


def test_what_the_first_look_after_finish_shows_may_be_older_than_finish() -> None:
    whole = bytes(page.Header(length=28, state=2).pack()) + RESPONSE
    judgement = judge(BE, *LOOKED, sample(0, whole), evidence=SAMPLED)
    assert judgement.broken == frozenset()
    assert [verdict(judgement, clause) for clause in LATE] == [Verdict.NOT_OBSERVABLE] * 2


def test_what_a_later_look_shows_is_newer_than_finish() -> None:
    whole = bytes(page.Header(length=28, state=2).pack()) + RESPONSE
    changed = sample(20, b"\xff")
    judgement = judge(BE, *LOOKED, sample(0, whole), changed, evidence=SAMPLED)
    assert judgement.broken == frozenset(LATE)
    finding = judgement.results[LATE[0], Role.BACKEND].findings[0][1]
    assert finding == Finding(
        "all of it stored before FINISH",
        "the packet (byte 20): 0x00 became 0xff",
        len(LOOKED) + 3,
    )


def test_a_look_that_shows_state_and_bytes_at_once_dates_nothing() -> None:
    whole = bytes(page.Header(length=28, state=2).pack()) + RESPONSE
    seen = [*CONNECTED, *request(), rings(BE), sample(0, whole)]
    judgement = judge(BE, *seen, evidence=SAMPLED)
    assert judgement.broken == frozenset()
    assert judgement.results["exchange.answered", Role.BACKEND].occasions == 1


@pytest.mark.parametrize(
    ("state", "expected"), [(State.FINISH, Verdict.NOT_OBSERVABLE), (7, Verdict.BROKEN)]
)
def test_samples_can_break_what_they_cannot_pass(state: int, expected: Verdict) -> None:
    judgement = judge(BE, *CONNECTED, *request(), rings(BE), looks(FE, state), evidence=SAMPLED)
    found = judgement.results["states.backend-writes", Role.BACKEND]
    assert (found.verdict, found.missing) == (expected, ("stores",))


def test_loads_that_are_not_seen_pass_nothing() -> None:
    judgement = judge(BE, *CONNECTED, *request(), *answer(), evidence=SAMPLED)
    assert verdict(judgement, "exchange.one-copy") is Verdict.NOT_OBSERVABLE
    assert verdict(judgement, "exchange.answered") is Verdict.KEPT


def test_a_reaction_that_stores_what_was_there_shows_only_in_exact_stores() -> None:
    again = (rings(FE), writes(BE, 2), rings(BE))
    judgement = judge(BE, *CONNECTED, *request(), *answer(), *again)
    assert "exchange.spurious-events" in judgement.broken
    looked = (*LOOKED, sample(), rings(FE), rings(BE), looks(FE, 2), *request())
    judgement = judge(BE, *looked, evidence=SAMPLED)
    found = judgement.results["exchange.spurious-events", Role.BACKEND]
    assert (found.verdict, found.missing) == (Verdict.NOT_OBSERVABLE, ("stores",))


def test_an_event_that_is_seen_before_its_state_is_the_answer_s() -> None:
    judgement = judge(BE, *LOOKED, sample(), silence("an event"), evidence=SAMPLED)
    assert verdict(judgement, "exchange.answer-notifies") is Verdict.KEPT


@pytest.mark.parametrize(
    "before", [[], [rings(BE), looks(FE, 1)]], ids=["no event", "an event before the answer"]
)
def test_an_answer_that_is_found_without_an_event_is_a_breach(
    before: list[trace.AnyEvent],
) -> None:
    """The judge waits in vain, then looks and finds FINISH, then waits once more."""
    vain = (silence("an event"), looks(FE, 2), sample(), silence("an event"))
    judgement = judge(BE, *CONNECTED, *request(), *before, *vain, evidence=SAMPLED)
    assert judgement.broken == {"exchange.answer-notifies"}


@pytest.mark.parametrize(
    ("surplus", "expected"),
    [(TOLERATED_EVENTS, Verdict.NOT_OBSERVABLE), (TOLERATED_EVENTS + 1, Verdict.BROKEN)],
)
def test_sampled_stores_excuse_some_events_but_no_flood(surplus: int, expected: Verdict) -> None:
    events = [*LOOKED, sample(), rings(BE, surplus)]
    judgement = judge(BE, *events, evidence=SAMPLED)
    assert verdict(judgement, "exchange.event-per-change") is expected


@pytest.mark.parametrize(("events", "expected"), [(2, Verdict.NOT_OBSERVABLE), (3, Verdict.BROKEN)])
def test_a_cancel_may_lie_over_a_submit_that_nobody_saw(events: int, expected: Verdict) -> None:
    """Two events at once may be theirs, and one more that of a second CANCEL, however often."""
    cancelled = (rings(FE, events), looks(BE, 3), sample(), rings(FE), writes(BE, 0))
    judgement = judge(FE, *CONNECTED, *cancelled * (TOLERATED_EVENTS + 1), evidence=SAMPLED)
    assert verdict(judgement, "exchange.event-per-change") is expected


def test_a_page_that_is_only_sampled_is_judged_at_the_first_look() -> None:
    judgement = judge(FE, *CONNECTED, sample(100, b"\xa5"), evidence=SAMPLED)
    assert judgement.broken == {"page.zeroed"}


def test_a_request_may_be_in_the_page_before_anybody_looks() -> None:
    whole = page.Header(length=len(REQUEST), state=1).pack() + REQUEST
    judgement = judge(FE, *CONNECTED, sample(0, whole), evidence=SAMPLED)
    assert judgement.broken == frozenset()
    assert judgement.results["page.zeroed", Role.FRONTEND].occasions == 1


# Occasions.


def test_without_an_occasion_nothing_is_kept() -> None:
    judgement = judge(BE, *CONNECTED)
    assert verdict(judgement, "exchange.answered") is Verdict.NOT_EXERCISED
    assert verdict(judgement, "packet.too-long-answered") is Verdict.NOT_EXERCISED


def test_an_exchange_is_an_occasion_for_both_roles() -> None:
    judgement = judge(f"{FE}+{BE}", *CONNECTED, *request(), *answer())
    for clause, role in (
        ("exchange.answered", Role.BACKEND),
        ("states.submit-when-free", Role.FRONTEND),
        ("page.byte-order", Role.FRONTEND),
        ("page.byte-order", Role.BACKEND),
    ):
        assert judgement.results[clause, role].verdict is Verdict.KEPT, (clause, role)
    assert ("exchange.answered", Role.FRONTEND) not in judgement.results


def test_only_chosen_clauses_are_judged() -> None:
    judgement = judge(BE, *CONNECTED, *request(), *answer(), only=["exchange.answered"])
    assert set(judgement.results) == {("exchange.answered", Role.BACKEND)}


# Races, in traces of both sides.

BOTH = f"{FE}+{BE}"
#: The second request, over FINISH; its answer is in the page, and nobody has looked.
CROSSING = [
    *CONNECTED,
    *(order(1), *request(), *answer(), result(1, "response", RESPONSE)),
    *(order(2), looks(FE, 2), *request(), *answer()[:-1]),
]


@pytest.mark.parametrize("seen", [False, True])
def test_a_state_that_was_seen_before_submit_is_not_the_answer(seen: bool) -> None:
    """FINISH of the last exchange is no reason not to cancel in this one."""
    look = [looks(FE, 2)] if seen else []
    judgement = judge(BOTH, *CROSSING, *look, writes(FE, 3), rings(FE), writes(BE, 0))
    assert judgement.broken == ({"states.cancel-when-busy"} if seen else frozenset())


@pytest.mark.parametrize("own_request", [False, True])
def test_where_stores_are_sampled_a_request_may_lie_between(own_request: bool) -> None:
    """CANCEL after FINISH, and nobody looked in between: the page shows whether it was asked."""
    answered = [*CONNECTED, order(1), *request(), *answer()[:-1], result(1, "response", RESPONSE)]
    cancel: list[trace.AnyEvent] = [order(2, b"", do="cancel"), rings(FE), looks(BE, 3)]
    found = bytearray(page.PAGE_SIZE)
    packet = REQUEST if own_request else RESPONSE
    found[:8] = length_of(packet) + b"\3" + bytes(3)
    found[8 : 8 + len(packet)] = packet
    judgement = judge(FE, *answered, *cancel, sample(0, bytes(found)), evidence=SAMPLED)
    clause = "states.cancel-when-busy"
    assert (clause in judgement.broken) is not own_request


@pytest.mark.parametrize("state", [State.IDLE, State.FINISH])
def test_a_cancel_that_crosses_an_answer_has_an_answer_of_its_own(state: State) -> None:
    after = (writes(FE, 3), rings(FE), looks(BE, 3), writes(BE, state), rings(BE), looks(FE, state))
    judgement = judge(BOTH, *CROSSING, *after)
    expected = frozenset() if state is State.IDLE else {"cancel.acknowledged-when-idle"}
    assert judgement.broken == expected
    assert judgement.results["cancel.acknowledged-when-idle", Role.BACKEND].occasions == 1


@pytest.mark.parametrize("seen", [False, True])
def test_whoever_gives_up_need_not_take_a_response_that_it_has_not_seen(seen: bool) -> None:
    """CANCEL, the response comes all the same, and the order ends as timed-out."""
    asked = (order(1), *request(), looks(BE, 1), writes(FE, 3), rings(FE))
    completed = answer() if seen else answer()[:-1]
    judgement = judge(BOTH, *CONNECTED, *asked, *completed[1:], result(1, "timed-out"))
    assert judgement.broken == ({"exchange.response-taken"} if seen else frozenset())


@pytest.mark.parametrize("seen", [False, True])
def test_whoever_closes_need_not_take_a_response_that_it_has_not_seen(seen: bool) -> None:
    closing = (order(2, b"", "close"), result(1, "cancelled"))
    asked = (order(1), *request(), *(answer() if seen else answer()[:-1]))
    judgement = judge(BOTH, *CONNECTED, *asked, *closing)
    assert judgement.broken == ({"exchange.response-taken"} if seen else frozenset())


@pytest.mark.parametrize("state", ["3", "5", "6"])
def test_whoever_closes_may_take_its_page_back_before_it_was_ever_mapped(state: str) -> None:
    refused = (node(FE, "state", state), event(trace.Map, by=BE, gref=8, ok=False))
    judgement = judge(FE, *CONNECTED[:6], node(FE, "state", "3"), *refused)
    expected = {"connecting.valid-references"} if state == "3" else frozenset()
    assert judgement.broken == expected


# Silence, crashes and trouble.

CASE = "packet.too-long-answered/by-hand"
CASE_CLAUSE = "packet.too-long-answered"
SETUP, STIMULUS, FENCE = phase("setup"), phase("stimulus"), phase("fence")


@pytest.mark.parametrize("where", [STIMULUS, FENCE], ids=["stimulus", "fence"])
def test_silence_after_the_stimulus_breaks_the_clause_of_the_case(where: trace.Phase) -> None:
    judgement = judge(BE, SETUP, *CONNECTED, STIMULUS, where, silence("an answer"), case=CASE)
    assert judgement.broken == {CASE_CLAUSE}
    [(path, finding)] = judgement.results[CASE_CLAUSE, Role.BACKEND].findings
    assert (path, finding.line) == ("trace", len(CONNECTED) + 5)
    assert finding.happened == "silence: none came and rests"


def test_silence_that_a_limit_ended_says_so() -> None:
    judgement = judge(BE, STIMULUS, silence("an answer", certain=False), case=CASE)
    [(_, finding)] = judgement.results[CASE_CLAUSE, Role.BACKEND].findings
    assert (finding.allowed, finding.happened) == ("an answer", "silence: none came within 2 s")


def test_silence_in_the_setup_breaks_nothing_by_itself() -> None:
    end = phase("end", "waited for an answer: silence")
    judgement = judge(BE, SETUP, *CONNECTED, silence("an answer"), end, case=CASE)
    assert (judgement.broken, judgement.setup_failed) == (frozenset(), end.note)
    assert verdict(judgement, CASE_CLAUSE) is Verdict.NOT_EXERCISED


def test_a_well_formed_request_that_meets_silence_in_the_setup_is_not_answered() -> None:
    judgement = judge(BE, SETUP, *CONNECTED, *request(), silence("an answer"), case=CASE)
    assert judgement.broken == {"exchange.answered"}


@pytest.mark.parametrize("certain", [False, True], ids=["a limit", "it rests"])
@pytest.mark.parametrize("asked", [slow(Family.TPM20), slow(Family.TPM12), REQUEST])
def test_a_tpm_that_takes_its_time_is_no_silence(asked: bytes, certain: bool) -> None:
    """Nor for what may wait behind its command; only who rests has lost the request."""
    case = "coming-back.served/in-command"
    seen = [*CONNECTED, event(trace.Phase, name="stimulus"), *request(asked)]
    left = [silence("an answer", certain=certain)]
    found = judge(BE, *seen, *left, case=case)
    lost = certain or asked == REQUEST
    assert (found.broken == {"exchange.answered", "coming-back.served"}) == lost
    assert (verdict(found, "coming-back.served") is Verdict.INCONCLUSIVE) == (not lost)


def test_what_is_refused_waits_for_no_tpm() -> None:
    """A request that cannot be run has its two seconds, whatever else is at work."""
    seen = [*CONNECTED, *request(slow(Family.TPM20)), *answer(), *request(bytes(9))]
    left = [silence("an answer", certain=False)]
    assert judge(BE, *seen, *left).broken >= {"time.refusal-bound"}


def test_a_missing_event_is_no_silence() -> None:
    judgement = judge(BE, STIMULUS, *CONNECTED, silence("an event"), case=CASE)
    assert judgement.broken == frozenset()


def test_silence_that_has_a_finding_at_the_same_line_counts_once() -> None:
    long = (store(FE, 0, (4089).to_bytes(4, "little")), writes(FE, 1), rings(FE))
    judgement = judge(BE, *CONNECTED, STIMULUS, *long, silence("an answer"), case=CASE)
    assert judgement.results[CASE_CLAUSE, Role.BACKEND].breaches == 1


@pytest.mark.parametrize(
    ("where", "broken"), [(STIMULUS, {CASE_CLAUSE}), (FENCE, {CASE_CLAUSE}), (SETUP, set())]
)
def test_a_crash_breaks_the_clause_of_the_case_once_its_stimulus_came(
    where: trace.Phase, broken: set[str]
) -> None:
    judgement = judge(BE, where, event(trace.Exit, how="signal 11"), case=CASE)
    assert judgement.broken == broken


def test_an_incomplete_trace_keeps_nothing_and_is_still_broken() -> None:
    stores = [*CONNECTED, *request(), writes(BE, 7), *answer()]
    judgement = judge(BE, *stores, complete=False)
    assert verdict(judgement, "exchange.answered") is Verdict.INCONCLUSIVE
    assert verdict(judgement, "page.pad-ignored") is Verdict.INCONCLUSIVE
    assert verdict(judgement, "states.backend-writes") is Verdict.BROKEN


@pytest.mark.parametrize(
    ("more", "expected"), [([], Verdict.INCONCLUSIVE), ([silence("an answer")], Verdict.BROKEN)]
)
def test_trouble_leaves_the_case_open_unless_it_is_broken(
    more: list[trace.AnyEvent], expected: Verdict
) -> None:
    trouble = event(trace.Trouble, what="a line that is not JSON")
    judgement = judge(BE, STIMULUS, *more, trouble, case=CASE)
    assert (judgement.trouble, verdict(judgement, CASE_CLAUSE)) == (trouble.what, expected)
    assert verdict(judgement, "exchange.answered") is Verdict.NOT_EXERCISED


# What outranks what.


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"breaches": 1, "unclear": "?", "can_pass": False, "occasions": 1}, Verdict.BROKEN),
        ({"unclear": "?", "can_pass": False, "occasions": 1}, Verdict.INCONCLUSIVE),
        ({"can_pass": False, "occasions": 1, "inapplicable": "no"}, Verdict.NOT_OBSERVABLE),
        ({"occasions": 1, "inapplicable": "no"}, Verdict.KEPT),
        ({"inapplicable": "no"}, Verdict.NOT_APPLICABLE),
        ({}, Verdict.NOT_EXERCISED),
    ],
)
def test_the_worst_of_what_was_seen_decides(fields: dict[str, Any], expected: Verdict) -> None:
    assert ClauseResult("page.pad-zero", Role.FRONTEND, **fields).verdict is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"occasions": 1}, Verdict.KEPT),
        ({"occasions": 1, "breaches": 1}, Verdict.BROKEN),
        ({"unclear": "?"}, Verdict.INCONCLUSIVE),
        ({"occasions": 1, "can_pass": False}, Verdict.NOT_OBSERVABLE),
        ({}, Verdict.KEPT),
    ],
)
def test_another_trace_can_only_make_a_kept_clause_worse(
    fields: dict[str, Any], expected: Verdict
) -> None:
    total = ClauseResult("page.pad-zero", Role.FRONTEND, occasions=1)
    total.add(ClauseResult("page.pad-zero", Role.FRONTEND, **fields))
    assert total.verdict is expected


def test_all_breaches_are_counted_and_few_are_told() -> None:
    judgement = judge(BE, *CONNECTED, *[writes(BE, 7)] * (KEEP + 2))
    found = judgement.results["states.backend-writes", Role.BACKEND]
    first = len(CONNECTED) + 2
    assert (found.breaches, len(found.findings)) == (KEEP + 2, KEEP)
    assert [finding.line for _, finding in found.findings] == [first, first + 1, first + 2]


# What looks like a breach and is none.


def test_one_store_of_header_and_state_is_not_late() -> None:
    header = page.Header(length=len(RESPONSE), state=State.FINISH).pack()
    done = (store(BE, 8, RESPONSE), store(BE, 0, header), rings(BE), looks(FE, 2))
    assert judge(BE, *CONNECTED, *request(), *done).broken == frozenset()


@pytest.mark.parametrize(
    ("role", "events"),
    [(BE, [*request(), *answer(), store(BE, 8, RESPONSE)]), (FE, [*request(), *request()[:2]])],
)
def test_bytes_that_are_stored_as_they_were_are_no_change(
    role: str, events: list[trace.AnyEvent]
) -> None:
    assert judge(role, *CONNECTED, *events).broken == frozenset()


def test_the_page_behind_the_response_is_no_part_of_it() -> None:
    late = store(BE, 8 + len(RESPONSE), b"\xff")
    judgement = judge(BE, *CONNECTED, *request(), *answer(), late)
    assert judgement.broken == {"states.response-stands-still"}


def test_an_answer_after_two_events_is_no_reaction_to_the_second() -> None:
    judgement = judge(BE, *CONNECTED, *request(), rings(FE), *answer())
    assert judgement.broken == frozenset()


def test_a_frontend_may_submit_after_an_event_without_cause() -> None:
    judgement = judge(FE, *CONNECTED, *request(), *answer(), rings(BE), rings(BE), *request())
    assert judgement.broken == frozenset()


def test_an_order_that_is_refused_is_not_the_one_that_waits() -> None:
    events = [order(1), *request(), rings(BE), rings(BE), order(2), result(2, "refused")]
    judgement = judge(FE, *CONNECTED, *events, *answer(), result(1, "response", RESPONSE))
    assert judgement.broken == frozenset()
    assert verdict(judgement, "exchange.response-taken") is Verdict.KEPT


def test_a_frontend_that_gives_up_has_taken_nothing() -> None:
    events = [order(1), *request(), rings(BE), rings(BE), writes(FE, 3), rings(FE)]
    judgement = judge(FE, *CONNECTED, *events, result(1, "timed-out"))
    assert judgement.broken == frozenset()


def test_a_cancel_that_crosses_the_answer_is_lawful_and_may_take_it_back() -> None:
    crossed = (writes(BE, 2), rings(BE), writes(FE, 3), rings(FE), writes(BE, 0), rings(BE))
    story = (order(1), *request(), looks(FE, 1), *answer()[1:3], *crossed, looks(FE, 0))
    judgement = judge(f"{FE}+{BE}", *CONNECTED, *story, result(1, "cancelled"))
    assert judgement.broken == frozenset()
    assert judgement.results["exchange.idle-is-no-response", Role.FRONTEND].occasions == 1
    assert judgement.results["exchange.response-taken", Role.FRONTEND].occasions == 0


def test_an_acknowledged_response_is_no_answer_of_idle() -> None:
    story = [order(1), *request(), *answer(), writes(FE, 0), result(1, "response", RESPONSE)]
    assert judge(FE, *CONNECTED, *story).broken == {"states.frontend-writes"}


def test_an_unknown_state_forbids_nothing_that_was_lawful_before_it() -> None:
    cancels = [*request(), writes(BE, 7), writes(FE, 3)]
    assert judge(FE, *CONNECTED, *cancels).broken == frozenset()
    answers = [*request()[:3], writes(FE, 9), rings(FE), *answer()]
    assert judge(BE, *CONNECTED, *answers).broken == frozenset()


def test_nodes_of_a_transaction_that_failed_were_never_written() -> None:
    names = ("ring-ref", "event-channel", "feature-protocol-v2")
    tried = [
        [*(node(FE, name, "1", tx) for name in names), commit(FE, tx, tx == 2)] for tx in (1, 2)
    ]
    judgement = judge(FE, *tried[0], *tried[1], node(FE, "state", "3"))
    assert verdict(judgement, "connecting.one-transaction") is Verdict.KEPT
    judgement = judge(FE, *tried[0], node(FE, "state", "3"))
    assert judgement.broken == {"connecting.publish-first"}


# Connecting.


def failing(*events: trace.AnyEvent) -> Verdict:
    clause = "connecting.failed-closed"
    return verdict(judge(BE, *events, only=[clause]), clause)


def test_a_backend_that_connects_all_the_same_has_not_failed_to() -> None:
    """That it should not have is for another clause; one that has no reason to fail need not."""
    offered = [*CONNECTED[:4], node(FE, "feature-protocol-v2", "0"), node(FE, "state", "3")]
    waited = silence("a decision of the backend")
    assert failing(*offered, node(BE, "state", "6")) is Verdict.KEPT
    assert failing(*offered, waited) is Verdict.BROKEN
    assert failing(*offered, node(BE, "state", "4"), waited) is Verdict.NOT_EXERCISED
    assert failing(*CONNECTED[:7], waited) is Verdict.NOT_EXERCISED
