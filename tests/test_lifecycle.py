# SPDX-License-Identifier: MIT
"""
The two reference machines when a connection ends, breaks, and begins anew.

Each expected sequence is written by hand; the search shows what no sequence can.
"""

from dataclasses import replace
from typing import Any

import pytest

from tests.stepping import BE, FE, REQUEST, RESPONSE, SUBMITTED, TAKEN, Steps, drive, state_of
from vtpm_ref.backend import Backend
from vtpm_ref.backend import Step as BackendStep
from vtpm_ref.frontend import Frontend
from vtpm_ref.frontend import Step as FrontendStep
from vtpm_ref.pair import Pair
from vtpm_ref.states import State
from vtpm_ref.steps import (
    Abort,
    Answer,
    Bind,
    Deliver,
    Execute,
    Grant,
    Load,
    Map,
    Notify,
    Operation,
    ReadNode,
    Revoke,
    Store,
    Unbind,
    Unmap,
    WatchNode,
)
from vtpm_ref.xenbus import XenbusState

CONNECTED = Backend(step=BackendStep.REST, shown=XenbusState.CONNECTED, gref=8, remote=1, port=2)


def working(machine: Backend = CONNECTED) -> Any:
    """A backend whose TPM works on ``REQUEST``."""
    return drive(machine.event(), TAKEN)


# The frontend.


def test_a_frontend_closes_then_waits_then_gives_back() -> None:
    """Closing, Closed, a look at the backend, and only then port and page."""
    waiting = drive(
        Frontend.connected().close(),
        [(state_of(FE, 5), None), (state_of(FE, 6), None), (ReadNode(f"{BE}/state"), "4")],
    )
    assert waiting.operation is None
    down = drive(
        waiting.changed(f"{BE}/state"),
        [(ReadNode(f"{BE}/state"), "2"), (Unbind(1), None), (Revoke(8), True)],
    )
    assert (down.down, down.gref, down.port) == (True, 0, 0)


@pytest.mark.parametrize("state", ["5", "6"])
def test_a_frontend_follows_a_backend_that_closes(state: str) -> None:
    """It does not write Closing, because one side has."""
    driven = drive(
        Frontend.connected().changed(f"{BE}/state"),
        [
            (ReadNode(f"{BE}/state"), state),
            (state_of(FE, 6), None),
            (ReadNode(f"{BE}/state"), state),
        ],
    )
    assert driven.operation == (Unbind(1) if state == "6" else None)


def test_a_request_ends_without_a_response_when_the_frontend_closes() -> None:
    """First the user is told, then the state changes."""
    busy = drive(
        Frontend.connected().submit(REQUEST),
        SUBMITTED,
    )
    drive(
        busy.close(),
        [(Deliver(Answer("cancelled")), None), (state_of(FE, 5), None), (state_of(FE, 6), None)],
    )


def test_a_page_that_is_still_mapped_is_taken_back_later() -> None:
    """The grant cannot be ended, so the frontend waits for the backend's next change."""
    leaving = replace(Frontend.connected(), step=FrontendStep.REVOKE, port=0)
    refused = leaving.after(False)
    assert refused.operation is None
    again = refused.changed(f"{BE}/state")
    drive(again, [(ReadNode(f"{BE}/state"), "6"), (Revoke(8), True)])


@pytest.mark.parametrize("state", ["4", "5", "6"])
def test_a_frontend_that_finds_a_used_backend_ends_that_first(state: str) -> None:
    """Nothing is granted before the backend offers the device again."""
    waiting = drive(
        Frontend(),
        [
            (WatchNode(f"{BE}/state"), None),
            (ReadNode(f"{BE}/state"), state),
            (state_of(FE, 6), None),
            (ReadNode(f"{BE}/state"), state),
        ],
    )
    assert waiting.operation is None
    fresh = waiting.changed(f"{BE}/state")
    assert drive(fresh, [(ReadNode(f"{BE}/state"), "2")]).operation == Grant(0)


@pytest.mark.parametrize("state", [None, "1", "2"])
def test_a_frontend_starts_at_once_with_a_fresh_backend(state: str | None) -> None:
    """It need not wait for InitWait."""
    begun = drive(Frontend(), [(WatchNode(f"{BE}/state"), None), (ReadNode(f"{BE}/state"), state)])
    assert begun.operation == Grant(0)


def test_a_page_that_nobody_lets_go_of_is_lost() -> None:
    """After its deadline the frontend is down, and has not taken the page back."""
    waiting = replace(Frontend.connected(), step=FrontendStep.WAIT_GONE)
    assert waiting.patient
    assert (waiting.expired().down, waiting.expired().gref) == (True, 0)


# The backend.


@pytest.mark.parametrize("state", ["6", "1", "0", None])
@pytest.mark.parametrize(("online", "shown"), [("1", "2"), (None, "2"), ("0", "6")])
def test_a_backend_lets_go(state: str | None, online: str | None, shown: str) -> None:
    """Port and page first, then InitWait, or Closed when the device is to go."""
    drive(
        CONNECTED.changed(f"{FE}/state"),
        [
            (ReadNode(f"{FE}/state"), state),
            (Unbind(2), None),
            (Unmap(8), None),
            (ReadNode(f"{BE}/online"), online),
            (state_of(BE, shown), None),
        ],
    )


@pytest.mark.parametrize("state", ["2", "5", "7", "8", "9", "banana", ""])
def test_other_states_of_the_frontend_change_nothing(state: str) -> None:
    """A connected backend goes on as before."""
    driven = drive(CONNECTED.changed(f"{FE}/state"), [(ReadNode(f"{FE}/state"), state)])
    assert driven == CONNECTED


@pytest.mark.parametrize(("gref", "port"), [("9", "1"), ("8", "3")])
def test_other_numbers_are_another_connection(gref: str, port: str) -> None:
    """Either of them differs: the old connection ends, the device is offered again."""
    looked = drive(
        CONNECTED.changed(f"{FE}/state"),
        [(ReadNode(f"{FE}/state"), "3"), (ReadNode(f"{FE}/ring-ref"), gref)],
    )
    if gref == "8":
        looked = drive(looked, [(ReadNode(f"{FE}/event-channel"), port)])
    drive(
        looked,
        [
            (Unbind(2), None),
            (Unmap(8), None),
            (ReadNode(f"{BE}/online"), "1"),
            (state_of(BE, 2), None),
            (ReadNode(f"{FE}/state"), "3"),
            (ReadNode(f"{FE}/feature-protocol-v2"), "1"),
            (ReadNode(f"{FE}/ring-ref"), gref),
            (ReadNode(f"{FE}/event-channel"), port),
            (Map(1, int(gref)), True),
            (Bind(1, int(port)), 4),
            (state_of(BE, 4), None),
        ],
    )


@pytest.mark.parametrize(
    ("found", "asked"),
    [
        (State.SUBMIT, [Store(4, b"\x00"), Notify()]),
        (State.CANCEL, [Store(4, b"\x00"), Notify()]),
        (State.FINISH, [Notify()]),
        (State.IDLE, [Notify()]),
    ],
)
def test_what_a_backend_finds_with_a_connected_frontend(
    found: State, asked: list[Operation]
) -> None:
    """A request of an earlier time is not run; an answer may still lack its event."""
    looking = replace(
        CONNECTED, step=BackendStep.LOOK_FIRST, shown=XenbusState.INIT_WAIT, late=True
    )
    steps: Steps = [(Load(4, 1), bytes([found])), (state_of(BE, 4), None)]
    assert drive(looking, [*steps, *((op, None) for op in asked)]) == CONNECTED


def test_a_request_that_comes_after_the_first_look_runs() -> None:
    """A backend that comes late has looked before it is Connected, and its event tells it."""
    looking = replace(
        CONNECTED, step=BackendStep.LOOK_FIRST, shown=XenbusState.INIT_WAIT, late=True
    )
    steps: Steps = [(Load(4, 1), b"\x00"), (state_of(BE, 4), None)]
    ringing = drive(looking, steps).event()
    assert drive(ringing, [(Notify(), None), (Load(4, 1), b"\x01")]).operation == Load(0, 8)


def test_a_command_of_a_lost_connection_ends_for_nobody() -> None:
    """The TPM is told to stop; the next connection's command waits until it has."""
    gone = drive(
        working().changed(f"{FE}/state"),
        [(ReadNode(f"{FE}/state"), "6"), (Abort(), None), (Unbind(2), None), (Unmap(8), None)],
    )
    assert (gone.tpm_busy, gone.orphaned) == (True, True)
    rests = replace(gone, step=BackendStep.REST, shown=XenbusState.CONNECTED, gref=9, port=4)
    waits = drive(rests.event(), TAKEN[:3])
    assert (waits.operation, waits.step) == (None, BackendStep.DRAIN)
    assert waits.completed(RESPONSE).operation == Execute(REQUEST, 0)


def test_a_look_at_the_frontend_does_not_disturb_a_command() -> None:
    """The same numbers, and the device stays: the backend waits for the TPM as before."""
    busy = working()
    driven = drive(
        busy.changed(f"{FE}/state"),
        [
            (ReadNode(f"{FE}/state"), "4"),
            (ReadNode(f"{FE}/ring-ref"), "8"),
            (ReadNode(f"{FE}/event-channel"), "1"),
            (ReadNode(f"{BE}/online"), "1"),
        ],
    )
    assert driven == busy


@pytest.mark.parametrize("online", ["0", "1"])
def test_a_connected_backend_that_is_to_go_says_closing(online: str) -> None:
    """The toolstack wants it, or it wants to itself; the frontend closes first."""
    backend = CONNECTED.changed(f"{BE}/online") if online == "0" else CONNECTED.close()
    asked = drive(
        backend,
        [
            (ReadNode(f"{FE}/state"), "4"),
            (ReadNode(f"{FE}/ring-ref"), "8"),
            (ReadNode(f"{FE}/event-channel"), "1"),
            (ReadNode(f"{BE}/online"), online),
            (state_of(BE, 5), None),
        ],
    )
    assert asked.operation is None
    closed = drive(
        asked.changed(f"{FE}/state"),
        [
            (ReadNode(f"{FE}/state"), "6"),
            (Unbind(2), None),
            (Unmap(8), None),
            (ReadNode(f"{BE}/online"), online),
            (state_of(BE, 6), None),
        ],
    )
    assert closed.down == (online == "1")


# Both.


def test_a_pair_closes_and_connects_again() -> None:
    """What each writes to xenstore, in order; the second page is another one."""
    pair = Pair.connected()
    pair.close()
    pair.reopen()
    assert pair.nodes_written == [
        "frontend state = 5",
        "frontend state = 6",
        "backend state = 2",
        "frontend ring-ref = 9, event-channel = 2, feature-protocol-v2 = 1",
        "frontend state = 3",
        "backend state = 4",
        "frontend state = 4",
    ]
    assert pair.exchange(REQUEST, respond=lambda _: RESPONSE).packet == RESPONSE
