# SPDX-License-Identifier: MIT
"""
The rules on closing and coming back, on traces written by hand: what the zoo cannot show.
"""

from typing import Any

import pytest

from conformance import trace
from conformance.judge import Judgement, Verdict
from conformance.links import xen
from conformance.tester import clock
from tests.test_rules import (
    BE,
    CONNECTED,
    EXACT,
    FE,
    RESPONSE,
    SAMPLED,
    answer,
    event,
    judge,
    looks,
    node,
    order,
    request,
    result,
    rings,
    sample,
    silence,
    store,
    verdict,
    writes,
)
from vtpm_ref import packet, page
from vtpm_ref.packet import Family
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

UNMAP = event(trace.Map, by=BE, gref=8, ok=True, on=False)
UNBIND = event(trace.Bind, by=BE, ok=True, port=2, on=False)
LETS_GO: list[trace.AnyEvent] = [UNBIND, UNMAP, node(BE, "state", "2")]
CLOSED = [*CONNECTED, *request(), *answer(), node(FE, "state", "6")]
BARE = {**SAMPLED, "grants": "none"}


def toolstack(name: str, value: str) -> trace.Node:
    path = Place().path(Role.BACKEND, name)
    return event(trace.Node, by="toolstack", op="write", path=path, value=value)


def judged(role: str, clause: str, *events: Any, evidence: Any = EXACT) -> Verdict:
    return verdict(judge(role, *events, evidence=evidence, only=[clause]), clause)


# The page, when it is over.


@pytest.mark.parametrize(("at", "data"), [(20, b"\xff"), (4, b"\x00")])
def test_a_second_look_shows_what_was_stored_after_letting_go(at: int, data: bytes) -> None:
    """The first look after InitWait may show older stores; the next one cannot."""
    whole = page.Header(length=28, state=2).pack() + RESPONSE
    late = sample(at, data)
    seen = [*CONNECTED, *request(), node(FE, "state", "6"), *LETS_GO, sample(0, whole)]
    once = judged(BE, "closing.hands-off", *seen, evidence=SAMPLED)
    twice = judged(BE, "closing.hands-off", *seen, late, evidence=SAMPLED)
    assert (once, twice) == (Verdict.NOT_OBSERVABLE, Verdict.BROKEN)


def test_a_new_page_is_nobodys_business_of_before() -> None:
    """What the backend stores into the next page is no store into the last."""
    again = [
        event(trace.Grant, by=FE, gref=9),
        *CONNECTED[2:6],
        event(trace.Map, by=BE, gref=9, ok=True),
        *request(),
        *answer(),
    ]
    assert judged(BE, "closing.hands-off", *CLOSED, *LETS_GO, *again) is Verdict.KEPT


@pytest.mark.parametrize(
    "late", [rings(FE), looks(FE, 2), store(FE, 8, b"\x00"), writes(FE, 3)], ids=lambda e: type(e)
)
def test_what_comes_after_closed_counts_where_the_order_is_known(late: trace.AnyEvent) -> None:
    """A program's event and its node reach the judge on two ways, in any order."""
    granted = event(trace.Grant, by=FE, gref=8)
    seen = [granted, *CLOSED]
    clause = "closing.closed-last"
    assert judged(FE, clause, *seen) is Verdict.KEPT
    assert judged(FE, clause, *seen, late) is Verdict.BROKEN
    assert judged(FE, clause, *seen, late, evidence=SAMPLED) is Verdict.NOT_OBSERVABLE


def test_asking_for_a_mapped_page_is_a_breach_though_it_is_refused() -> None:
    """Xen refuses; a frontend that has no Xen under it would have lost the page."""
    granted = event(trace.Grant, by=FE, gref=8)
    asks = event(trace.Grant, by=FE, gref=8, on=False, ok=False)
    clause = "closing.page-kept"
    assert judged(FE, clause, granted, *CLOSED, asks) is Verdict.BROKEN
    assert judged(FE, clause, granted, *CLOSED, *LETS_GO, asks) is Verdict.KEPT


# Letting go.


def test_a_trace_that_ends_too_early_says_nothing_of_letting_go() -> None:
    """Nobody has waited, so nobody knows."""
    clause = "closing.backend-lets-go"
    assert judged(BE, clause, *CLOSED) is Verdict.INCONCLUSIVE
    assert judged(BE, clause, *CLOSED, UNBIND, UNMAP) is Verdict.KEPT
    assert judged(BE, clause, *CLOSED, silence("the backend to let go")) is Verdict.BROKEN


@pytest.mark.parametrize("state", ["0", "1"])
def test_a_frontend_that_is_back_at_once_may_not_have_been_missed(state: str) -> None:
    """A backend that looks late finds Initialised, and the numbers that it uses."""
    clause = "closing.gone"
    gone = [*CONNECTED, node(FE, "state", state)]
    waited = silence("the backend to let go")
    assert judged(BE, clause, *gone, UNBIND, UNMAP) is Verdict.KEPT
    assert judged(BE, clause, *gone, waited) is Verdict.BROKEN
    assert judged(BE, clause, *gone, node(FE, "state", "3"), waited) is Verdict.NOT_EXERCISED


@pytest.mark.parametrize(
    "clause", ["closing.unmap-first", "closing.backend-waits", "coming-back.new-references"]
)
def test_of_a_backend_that_has_died_everything_is_given_back(clause: str) -> None:
    """The hypervisor does it, and no event of the trace says so."""
    again = [node(BE, "state", "2"), *CONNECTED[7:10]]
    died = event(trace.Exit, how="killed by signal 9")
    assert judged(BE, clause, *CONNECTED, died, *again) is Verdict.NOT_EXERCISED


def test_online_that_was_perhaps_read_before_is_no_breach() -> None:
    """
    InitWait may answer what was there before the toolstack came; Closed has to follow.

    Seen in a walk: the frontend began anew, and the backend was between its
    two connections when online became 0 and the frontend Closed.
    """
    late = [*CLOSED, toolstack("online", "0"), node(BE, "state", "2")]
    early = [*CONNECTED, toolstack("online", "0"), *CLOSED[-1:], node(BE, "state", "2")]
    clause = "closing.offline"
    for seen in (late, early):
        assert judged(BE, clause, *seen) is Verdict.NOT_EXERCISED
        assert judged(BE, clause, *seen, node(BE, "state", "6")) is Verdict.KEPT
        assert judged(BE, clause, *seen, silence("the backend to let go")) is Verdict.BROKEN


def test_a_backend_that_closes_need_not_offer_the_device() -> None:
    """It was not the frontend that closed first."""
    closes = [*CONNECTED, node(BE, "state", "5"), node(FE, "state", "6"), node(BE, "state", "6")]
    first = [*CLOSED, node(BE, "state", "6")]
    clause = "closing.init-wait"
    assert judged(BE, clause, *closes) is Verdict.NOT_EXERCISED
    assert judged(BE, clause, *first) is Verdict.BROKEN


# Coming back.


@pytest.mark.parametrize("evidence", [EXACT, BARE], ids=["grants", "no grants"])
def test_a_request_of_another_time_is_found_without_grants_too(evidence: Any) -> None:
    """Where the hypervisor tells nothing, the frontend's Connected is the moment."""
    met = [*CONNECTED[:6], *request(), node(FE, "state", "4"), *CONNECTED[7:10]]
    seen = [e for e in met if evidence is EXACT or not isinstance(e, trace.Map | trace.Bind)]
    clause = "coming-back.unknown-request"
    refused = [looks(BE, 1), writes(BE, 0), rings(BE), looks(FE, 0)]
    assert judged(BE, clause, *seen, *answer(), evidence=evidence) is Verdict.BROKEN
    assert judged(BE, clause, *seen, *refused, evidence=evidence) is Verdict.KEPT


@pytest.mark.parametrize("evidence", [EXACT, BARE], ids=["grants", "no grants"])
def test_a_request_that_comes_with_the_backend_may_run(evidence: Any) -> None:
    """After the page is mapped, or may have been: the backend may have looked by then."""
    first, last = [*CONNECTED[:6], node(FE, "state", "4"), *CONNECTED[7:9]], CONNECTED[9:10]
    met = [*first, looks(BE, 0), *request(), *last]
    seen = [e for e in met if evidence is EXACT or not isinstance(e, trace.Map | trace.Bind)]
    verdict = judged(BE, "coming-back.unknown-request", *seen, *answer(), evidence=evidence)
    assert verdict is Verdict.NOT_EXERCISED


@pytest.mark.parametrize("evidence", [EXACT, BARE], ids=["loads", "no loads"])
@pytest.mark.parametrize("when", [None, "before map", "after map", "after Connected"])
def test_a_backend_that_comes_late_looks_first(when: str | None, evidence: Any) -> None:
    """Between the map and its own Connected; what is loaded elsewhere does not count."""
    look = [looks(BE, 0)]
    late = [*CONNECTED[:6], node(FE, "state", "4")]
    late += look if when == "before map" else []
    late += [*CONNECTED[7:9], *(look if when == "after map" else [])]
    late += [*CONNECTED[9:10], *(look if when == "after Connected" else [])]
    found = judged(BE, "coming-back.looks-first", *late, evidence=evidence)
    kept = Verdict.KEPT if when == "after map" else Verdict.BROKEN
    assert found is (kept if evidence is EXACT else Verdict.NOT_OBSERVABLE)


@pytest.mark.parametrize("granted", [False, True], ids=["unseen", "seen"])
@pytest.mark.parametrize("state", [0, 2])
def test_a_page_that_is_published_anew_is_another_page(granted: bool, state: int) -> None:
    """Also where nobody sees a frontend grant it: what was in the one before is not in it."""
    evidence = EXACT | {"stores": "sampled"} if granted else xen.evidence(Role.FRONTEND, log=True)
    grants = [event(trace.Grant, by=FE, gref=gref) for gref in (8, 9)] if granted else [None, None]
    first = [e for e in (grants[0], *CONNECTED, *request(), *answer(), *LETS_GO) if e is not None]
    second = [e for e in (grants[1], node(FE, "ring-ref", "9"), node(FE, "state", "3")) if e]
    fresh = bytes([0, 0, 0, 0, state]) + bytes(page.PAGE_SIZE - 5)
    seen = [*first, *second, event(trace.Map, by=BE, gref=9, ok=True), sample(0, fresh)]
    broken = judged(FE, "states.frontend-writes", *seen, evidence=evidence) is Verdict.BROKEN
    assert broken == (state == 2)


def test_a_request_while_the_backend_restarts_is_no_early_one() -> None:
    """The page has been served once; another that is published has not."""
    clause = "connecting.submit-when-connected"
    restart = [*CONNECTED, node(BE, "state", "2")]
    anew = [node(FE, "ring-ref", "9"), node(FE, "state", "3")]
    assert judged(FE, clause, *restart, *request()) is Verdict.KEPT
    assert judged(FE, clause, *restart, *anew, *request()) is Verdict.BROKEN


def test_an_event_that_is_seen_before_connected_counts() -> None:
    """Node and event come on two ways; one of the connection before does not count."""
    met = [*CONNECTED[:6], node(FE, "state", "4"), *CONNECTED[7:9]]
    clause = "coming-back.rings"
    silent = [node(BE, "state", "4"), silence("an event")]
    assert judged(BE, clause, *met, rings(BE), *silent) is Verdict.KEPT
    assert judged(BE, clause, rings(BE), *met, *silent) is Verdict.BROKEN


def test_one_event_on_connecting_is_none_too_many() -> None:
    """A frontend that is Connected already is told; a second event has no reason."""
    met = [*CONNECTED[:6], node(FE, "state", "4"), *CONNECTED[7:10]]
    clause = "exchange.event-per-change"
    assert judged(BE, clause, *met, rings(BE)) is Verdict.KEPT
    assert judged(BE, clause, *met, rings(BE, 2)) is Verdict.BROKEN


@pytest.mark.parametrize(
    ("family", "clock_at"), [(Family.TPM20, slice(26, 34)), (Family.TPM12, slice(22, 42))]
)
def test_the_clock_tells_a_reset(family: Family, clock_at: slice) -> None:
    """Time goes on between the two; what only a reset changes is compared, and no error."""
    before, tag = bytes(range(42)), 0x8001 if family is Family.TPM20 else 0xC4
    later = b"".join((before[:12], b"\xff\xff", before[14:]))
    other = b"".join((before[: clock_at.start], b"\xee", before[clock_at.start + 1 :]))

    def read(body: bytes, code: int = 0) -> list[trace.AnyEvent]:
        return [*request(clock(family)), *answer(packet.build(tag, code, body[10:]))]

    target = event(trace.Target, tpm=family.value)
    first = [target, *CONNECTED, *read(before), node(FE, "state", "6"), *LETS_GO, *CONNECTED[6:]]
    clause = "coming-back.tpm-kept"
    assert judged(BE, clause, *first, *read(later)) is Verdict.KEPT
    assert judged(BE, clause, *first, *read(other)) is Verdict.BROKEN
    assert judged(BE, clause, *first, *read(other, code=1)) is Verdict.NOT_EXERCISED


def test_a_request_that_was_answered_ends_with_its_response() -> None:
    """The answer came before the close was carried out, and is taken."""
    closes = order(2, b"", do="close")
    begun = [*CONNECTED, order(1), *request(), closes]
    clause = "closing.request-ends"
    taken = result(1, "response", RESPONSE)
    assert judged(FE, clause, *begun, *answer(), taken) is Verdict.NOT_EXERCISED
    assert judged(FE, clause, *begun, result(1, "cancelled")) is Verdict.KEPT
    assert judged(FE, clause, *begun, taken) is Verdict.BROKEN


def test_nothing_is_judged_of_a_connection_that_was_never_closed() -> None:
    """The rules on the end leave an open connection alone."""
    found: Judgement = judge(BE, *CONNECTED, *request(), *answer())
    ends = [key for key in found.results if key[0].startswith(("closing.", "coming-back."))]
    assert {found.results[key].verdict for key in ends} == {Verdict.NOT_EXERCISED}
