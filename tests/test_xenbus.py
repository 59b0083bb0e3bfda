# SPDX-License-Identifier: MIT
"""
The handshake and the nodes, each expectation written by hand.
"""

import pytest

from vtpm_ref import xenbus
from vtpm_ref.states import Role
from vtpm_ref.xenbus import CLOSING, HANDSHAKE, NODES, PUBLISHED, XenbusState

FE, BE = Role.FRONTEND, Role.BACKEND


def test_the_numbers_of_the_states() -> None:
    """They are those of Xen's xenbus.h."""
    assert {state.name: state.value for state in XenbusState} == {
        "UNKNOWN": 0,
        "INITIALISING": 1,
        "INIT_WAIT": 2,
        "INITIALISED": 3,
        "CONNECTED": 4,
        "CLOSING": 5,
        "CLOSED": 6,
        "RECONFIGURING": 7,
        "RECONFIGURED": 8,
    }


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("FRONTEND_READY", {3, 4}),
        ("FRONTEND_GONE", {0, 1, 6}),
        ("BACKEND_CLOSES", {5, 6}),
        ("BACKEND_HOLDS", {4, 5}),
    ],
)
def test_which_states_mean_what(name: str, states: set[int]) -> None:
    """Initialised and Connected are ready, Closing closes and still holds, and so on."""
    assert {int(state) for state in getattr(xenbus, name)} == states


def test_the_order_of_the_handshake() -> None:
    """Each step by its party, the state that it writes, and the clause that orders it."""
    assert [(step.role, step.state, step.clause) for step in HANDSHAKE] == [
        (BE, 2, "connecting.backend-feature"),
        (FE, 3, "connecting.publish-first"),
        (BE, 4, "connecting.map-before-connected"),
        (BE, None, "connecting.look-at-once"),
        (FE, 4, "connecting.frontend-waits"),
    ]


def test_the_order_of_the_way_out_and_back() -> None:
    """Each step by its party, the state that it writes, and the clause that orders it."""
    assert [(step.role, step.state, step.clause) for step in CLOSING] == [
        (FE, 5, "closing.request-ends"),
        (FE, 6, "closing.closed-last"),
        (BE, 2, "closing.unmap-first"),
        (BE, 6, "closing.offline"),
        (FE, None, "closing.page-kept"),
        (FE, 3, "coming-back.published-anew"),
    ]


def test_what_a_frontend_publishes() -> None:
    """Grant reference, port and feature, under these names."""
    assert PUBLISHED == ("ring-ref", "event-channel", "feature-protocol-v2")


def test_who_writes_and_who_reads_which_node() -> None:
    """Fourteen nodes, each in one directory and with one writer after the toolstack."""
    assert [(node.home, node.name, node.writer, node.reader) for node in NODES] == [
        (FE, "backend", "toolstack", "frontend"),
        (FE, "backend-id", "toolstack", "frontend"),
        (FE, "handle", "toolstack", "nobody"),
        (FE, "state", "toolstack, then frontend", "backend"),
        (FE, "ring-ref", "frontend", "backend"),
        (FE, "event-channel", "frontend", "backend"),
        (FE, "feature-protocol-v2", "frontend", "backend"),
        (BE, "frontend", "toolstack", "backend"),
        (BE, "frontend-id", "toolstack", "backend"),
        (BE, "handle", "toolstack", "nobody"),
        (BE, "online", "toolstack", "backend"),
        (BE, "uuid", "toolstack", "backend"),
        (BE, "state", "toolstack, then backend", "frontend, toolstack"),
        (BE, "feature-protocol-v2", "backend", "frontend"),
    ]
