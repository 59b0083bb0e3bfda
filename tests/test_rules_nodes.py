# SPDX-License-Identifier: MIT
"""
Rules on nodes and long packets, on traces written by hand: what no animal in memory does.
"""

import pytest

from conformance import trace
from conformance.judge import Verdict
from tests.test_rules import (
    BE,
    CONNECTED,
    FE,
    answer,
    event,
    judge,
    looks,
    node,
    request,
    rings,
    silence,
    store,
    verdict,
    writes,
)
from vtpm_ref import packet, page
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

OWN, NUMBER, LISTED = "nodes.own-directory", "nodes.state-number", "nodes.listed-only"
MAPS, CUT, TOLD = "long.references-untouched", "long.too-long-response", "long.size-told"


def touched(op: str, home: Role, name: str, *, ok: bool = True) -> trace.Node:
    """An operation of the backend's on a node of ``home``."""
    return event(trace.Node, by=BE, op=op, path=Place().path(home, name), value="x", ok=ok)


# Nodes.


@pytest.mark.parametrize("ok", [True, False], ids=["allowed", "refused"])
@pytest.mark.parametrize("op", ["write", "rm"])
def test_a_backend_that_touches_the_frontends_node_is_found_refused_or_not(
    op: str, ok: bool
) -> None:
    judgement = judge(BE, *CONNECTED, touched(op, Role.FRONTEND, "ring-ref", ok=ok))
    assert judgement.broken == {OWN}


def test_reading_the_frontends_nodes_and_removing_ones_own_is_allowed() -> None:
    reads = touched("read", Role.FRONTEND, "ring-ref")
    judgement = judge(BE, *CONNECTED, reads, touched("rm", Role.BACKEND, "ready"))
    assert verdict(judgement, OWN) is Verdict.KEPT


@pytest.mark.parametrize("text", ["0", "7", "04", " 4", "4\n", "", "Connected", "\u0664"])
def test_a_state_is_one_digit_from_1_to_6(text: str) -> None:
    assert NUMBER in judge(BE, *CONNECTED, node(BE, "state", text)).broken
    assert NUMBER not in judge(BE, *CONNECTED, node(FE, "state", text)).broken


def test_a_node_that_is_missed_is_named_only_when_nothing_follows() -> None:
    """A backend may look for what it can do without."""
    missed = touched("read", Role.BACKEND, "domain", ok=False)
    assert verdict(judge(BE, missed, *CONNECTED), LISTED) is Verdict.KEPT
    lost = judge(BE, missed, silence("Connected of the backend"))
    assert LISTED in lost.broken
    (_, finding), *_ = lost.results[LISTED, Role.BACKEND].findings
    assert "domain in the backend's directory" in finding.happened


def test_silence_is_not_put_down_to_nodes_that_are_listed_or_there() -> None:
    looked = [
        touched("read", Role.FRONTEND, "ring-ref", ok=False),
        touched("read", Role.BACKEND, "domain"),
    ]
    judgement = judge(BE, *looked, silence("Connected of the backend"))
    assert verdict(judgement, LISTED) is Verdict.NOT_EXERCISED


def test_a_backend_that_was_given_more_nodes_has_not_shown_that_it_needs_none() -> None:
    given = event(
        trace.Node, by="toolstack", op="write", path=Place().path(Role.BACKEND, "resume"), value="x"
    )
    assert verdict(judge(BE, given, *CONNECTED), LISTED) is Verdict.NOT_EXERCISED


# Long packets.


def behind(grefs: tuple[int, ...], data: bytes) -> list[trace.AnyEvent]:
    """A request behind a list of grant references."""
    listed = b"".join(gref.to_bytes(4, "little") for gref in grefs)
    return [
        store(FE, page.NR_EXTRA_PAGES.offset, bytes([len(grefs)])),
        store(FE, page.HEADER_SIZE, listed + data),
        store(FE, 0, len(data).to_bytes(4, "little")),
        writes(FE, 1),
        rings(FE),
    ]


def answered(response: bytes, length: int, references: int = 0) -> list[trace.AnyEvent]:
    """FINISH with as much of ``response`` as there is room for, and ``length``."""
    at = page.packet_offset(references)
    stored = response[: page.PAGE_SIZE - at]
    stores = [store(BE, at, stored), store(BE, 0, length.to_bytes(4, "little")), writes(BE, 2)]
    return [looks(BE, 1), *stores, rings(BE), looks(FE, 2)]


SHORT = packet.build(0x8001, 0, b"\0\0")


def maps(gref: int, *, ok: bool) -> trace.Map:
    return event(trace.Map, by=BE, gref=gref, ok=ok)


@pytest.mark.parametrize("ok", [True, False], ids=["granted", "not granted"])
def test_mapping_an_entry_of_the_list_is_found_whether_it_worked(ok: bool) -> None:
    asked = behind((77, 78), packet.build(0x8001, 0x17B, b"\0\0"))
    judgement = judge(BE, *CONNECTED, *asked, maps(78, ok=ok), *answered(SHORT, 12, 2))
    assert judgement.broken == {MAPS}


def test_mapping_the_shared_page_is_allowed_also_where_the_list_names_it() -> None:
    asked = behind((8,), packet.build(0x8001, 0x17B, b"\0\0"))
    judgement = judge(BE, *CONNECTED, *asked, maps(8, ok=True), *answered(SHORT, 12, 1))
    assert verdict(judgement, MAPS) is Verdict.KEPT


def test_without_a_list_there_is_nothing_to_leave_alone() -> None:
    assert verdict(judge(BE, *CONNECTED, *request(), *answer()), MAPS) is Verdict.NOT_EXERCISED


ASKS = {
    "1.2": (packet.build(0xC1, 0x46, (4088).to_bytes(4, "big")), 0xC4, 4),
    "2.0": (packet.build(0x8001, 0x17B, (4088).to_bytes(2, "big")), 0x8001, 2),
}


@pytest.mark.parametrize("family", ASKS)
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (4088, Verdict.BROKEN),  # a part, with the count of the whole
        (4060, Verdict.NOT_EXERCISED),  # the TPM gave less than was asked for
        (-1, Verdict.KEPT),  # an error
    ],
)
def test_a_part_of_a_response_is_told_from_a_short_one_and_from_an_error(
    family: str, given: int, expected: Verdict
) -> None:
    asks, tag, width = ASKS[family]
    count = max(given, 0).to_bytes(width, "big")
    body = count + bytes(max(given, 0))
    response = packet.build(tag, 0, body) if given >= 0 else packet.build(tag, 0x17)
    sent = response[:4088]
    sent = sent[:2] + len(sent).to_bytes(4, "big") + sent[6:]
    judgement = judge(BE, *CONNECTED, *request(asks), *answered(sent, len(sent)), only=[CUT])
    assert verdict(judgement, CUT) is expected


def test_a_length_beyond_the_room_is_no_short_response() -> None:
    asks, tag, _ = ASKS["2.0"]
    whole = packet.build(tag, 0, (4088).to_bytes(2, "big") + bytes(4088))
    judgement = judge(BE, *CONNECTED, *request(asks), *answered(whole, len(whole)), only=[CUT])
    assert verdict(judgement, CUT) is Verdict.BROKEN


@pytest.mark.parametrize(
    ("size", "expected"), [(4088, Verdict.KEPT), (4089, Verdict.BROKEN), (4096, Verdict.BROKEN)]
)
def test_the_size_that_a_12_tells_is_its_last_four_bytes(size: int, expected: Verdict) -> None:
    asks = packet.build(0xC1, 0x65, bytes.fromhex("00000005 00000004 00000124"))
    told = packet.build(0xC4, 0, (4).to_bytes(4, "big") + size.to_bytes(4, "big"))
    judgement = judge(BE, *CONNECTED, *request(asks), *answered(told, len(told)), only=[TOLD])
    assert verdict(judgement, TOLD) is expected


def test_a_tpm_that_does_not_know_the_property_has_told_nothing() -> None:
    asks = packet.build(0xC1, 0x65, bytes.fromhex("00000005 00000004 00000124"))
    error = packet.build(0xC4, 0x2C)
    judgement = judge(BE, *CONNECTED, *request(asks), *answered(error, 10), only=[TOLD])
    assert verdict(judgement, TOLD) is Verdict.NOT_EXERCISED
