# SPDX-License-Identifier: MIT
"""
The programs of the two reference machines, row by row, each step written by hand.
"""

import pytest

from tests.stepping import (
    BE,
    FE,
    REQUEST,
    RESPONSE,
    SUBMITTED,
    TAKEN,
    Steps,
    drive,
    state_of,
)
from vtpm_ref.backend import Backend
from vtpm_ref.backend import Step as BackendStep
from vtpm_ref.frontend import Frontend
from vtpm_ref.frontend import Step as FrontendStep
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
    WriteNodes,
)
from vtpm_ref.xenbus import XenbusState


@pytest.mark.parametrize("step", ["WAIT_FRONTEND", "DOWN", "REST", "DRAIN", "WORKING"])
def test_where_a_backend_waits(step: str) -> None:
    """It asks for nothing there."""
    assert Backend(step=BackendStep[step], gref=8, port=5).operation is None


@pytest.mark.parametrize(
    "step", ["WAIT_BACKEND", "WAIT_GONE", "DOWN", "READY", "WAIT_FREE", "WAIT_ANSWER"]
)
def test_where_a_frontend_waits(step: str) -> None:
    """It asks for nothing there."""
    assert Frontend(step=FrontendStep[step], gref=8, port=1).operation is None


# The backend.

UP: Steps = [
    (WatchNode(f"{FE}/state"), None),
    (WatchNode(f"{BE}/online"), None),
    (WriteNodes(((f"{BE}/feature-protocol-v2", "1"),)), None),
    (state_of(BE, 2), None),
]
READY: Steps = [
    (ReadNode(f"{FE}/state"), "3"),
    (ReadNode(f"{FE}/feature-protocol-v2"), "1"),
    (ReadNode(f"{FE}/ring-ref"), "8"),
    (ReadNode(f"{FE}/event-channel"), "7"),
]
JOINED: Steps = [(Map(1, 8), True), (Bind(1, 7), 5), (state_of(BE, 4), None)]
LOOKED: Steps = [(Load(4, 1), b"\x00")]
AT_REST = Backend(step=BackendStep.REST, shown=XenbusState.CONNECTED, gref=8, remote=7, port=5)


def test_a_backend_connects() -> None:
    """Watches, feature, InitWait, the frontend's nodes, page, port, Connected, a look."""
    assert drive(Backend(), UP + READY + JOINED + LOOKED) == AT_REST


def test_a_backend_that_comes_late_looks_before_it_is_connected() -> None:
    """To a frontend that is Connected already; and it sends an event."""
    ready = [(READY[0][0], "4"), *READY[1:]]
    joined = [*JOINED[:2], *LOOKED, JOINED[2], (Notify(), None)]
    assert drive(Backend(), [*UP, *ready, *joined]) == AT_REST


@pytest.mark.parametrize("state", ["1", "6", None])
def test_a_backend_waits_for_a_frontend(state: str | None) -> None:
    """Until it is ready; whether the device is to stay is looked at as well."""
    seen: Steps = [(ReadNode(f"{FE}/state"), state), (ReadNode(f"{BE}/online"), "1")]
    waiting = drive(Backend(), UP + seen)
    assert waiting.step is BackendStep.WAIT_FRONTEND
    assert drive(waiting.changed(""), READY + JOINED + LOOKED) == AT_REST


@pytest.mark.parametrize(
    "steps",
    [
        [*READY[:1], (READY[1][0], "0")],
        [*READY[:2], (READY[2][0], "x")],
        [*READY[:3], (READY[3][0], "x")],
        [*READY, (Map(1, 8), False)],
        [*READY, (Map(1, 8), True), (Bind(1, 7), None), (Unmap(8), None)],
    ],
)
def test_a_backend_that_cannot_connect_closes(steps: Steps) -> None:
    """Another protocol, nonsense, a page or port that is not to be had: Closed, and it waits."""
    closed = drive(Backend(), [*UP, *steps, (state_of(BE, 6), None)])
    assert (closed.operation, closed.gref) == (None, 0)
    assert closed.step is BackendStep.WAIT_FRONTEND


def test_a_backend_looks_at_what_changed_while_it_closed() -> None:
    """A change of the frontend's state during the write of Closed is not lost."""
    closing = drive(Backend(), [*UP, *READY[:1], (READY[1][0], "0")])
    again = drive(closing.changed(""), [(state_of(BE, 6), None)])
    assert again.operation == ReadNode(f"{FE}/state")


def test_a_backend_answers_and_rests() -> None:
    """Request, TPM, response, length, FINISH, event."""
    working = drive(AT_REST.event(), TAKEN)
    assert working.operation is None
    done: Steps = [
        (Store(8, RESPONSE), None),
        (Store(0, b"\x1c\x00\x00\x00"), None),
        (Store(4, b"\x02"), None),
        (Notify(), None),
    ]
    assert drive(working.completed(RESPONSE), done) == AT_REST


def test_a_backend_gives_up_and_rests() -> None:
    """A look at the CANCEL, Abort, IDLE, event."""
    working = drive(AT_REST.event(), TAKEN)
    aborted = drive(working.event(), [(Load(4, 1), b"\x03"), (Abort(), None)])
    assert aborted.operation is None
    given_up: Steps = [(Store(4, b"\x00"), None), (Notify(), None)]
    assert drive(aborted.completed(None), given_up) == AT_REST


def test_a_backend_takes_the_next_event_when_it_has_answered() -> None:
    """An event that came in between leads to a look at once."""
    busy = drive(AT_REST.event(), [(Load(4, 1), b"\x03"), (Store(4, b"\x00"), None)])
    assert drive(busy.event(), [(Notify(), None)]).operation == Load(4, 1)


LET_GO: Steps = [
    (Unbind(5), None),
    (Unmap(8), None),
    (ReadNode(f"{BE}/online"), "1"),
    (state_of(BE, 2), None),
    (ReadNode(f"{FE}/state"), "6"),
    (ReadNode(f"{BE}/online"), "1"),
]


def test_a_backend_lets_go_of_a_closed_frontend() -> None:
    """Port, page, InitWait; then it waits for the next."""
    after = drive(AT_REST.changed(""), [(ReadNode(f"{FE}/state"), "6"), *LET_GO])
    assert after == Backend(step=BackendStep.WAIT_FRONTEND, shown=XenbusState.INIT_WAIT)


def test_a_backend_stops_the_tpm_for_a_closed_frontend() -> None:
    """Abort first; the next frontend's request waits until the TPM has ended."""
    working = drive(AT_REST.event(), TAKEN)
    gone: Steps = [(ReadNode(f"{FE}/state"), "6"), (Abort(), None), *LET_GO]
    again = drive(working.changed(""), gone)
    drained = drive(again.changed(""), READY + JOINED + TAKEN[:3])
    assert (drained.step, drained.operation) == (BackendStep.DRAIN, None)
    assert drained.completed(None).operation == Execute(REQUEST, 0)


CHECKED: Steps = [
    (ReadNode(f"{FE}/state"), "4"),
    (ReadNode(f"{FE}/ring-ref"), "8"),
    (ReadNode(f"{FE}/event-channel"), "7"),
]


def test_a_backend_checks_a_frontend_that_changed_nothing() -> None:
    """State, grant reference, port, online; and it goes on."""
    steps: Steps = [*CHECKED, (ReadNode(f"{BE}/online"), "1")]
    assert drive(AT_REST.changed(""), steps) == AT_REST
    working = drive(AT_REST.event(), TAKEN)
    assert drive(working.changed(""), steps) == working


@pytest.mark.parametrize("steps", [[CHECKED[0], (CHECKED[1][0], "9")],
                                   [*CHECKED[:2], (CHECKED[2][0], "9")]])  # fmt: skip
def test_a_backend_lets_go_of_what_was_replaced(steps: Steps) -> None:
    """Another grant reference or port: a frontend that has begun anew."""
    assert drive(AT_REST.changed(""), steps).operation == Unbind(5)


def test_a_backend_whose_device_is_taken_away_asks_the_frontend_to_go() -> None:
    """Closing, once; then it serves on until the frontend has closed, and is Closed."""
    asked: Steps = [*CHECKED, (ReadNode(f"{BE}/online"), "0"), (state_of(BE, 5), None)]
    closing = drive(AT_REST.changed(""), asked)
    assert (closing.step, closing.shown) == (BackendStep.REST, XenbusState.CLOSING)
    gone: Steps = [
        (ReadNode(f"{FE}/state"), "6"),
        (Unbind(5), None),
        (Unmap(8), None),
        (ReadNode(f"{BE}/online"), "0"),
        (state_of(BE, 6), None),
    ]
    assert drive(closing.changed(""), gone).step is BackendStep.WAIT_FRONTEND


# The frontend.

PUBLISHED: Steps = [
    (Grant(0), 8),
    (Store(0, bytes(4096)), None),
    (Bind(0), 7),
    (
        WriteNodes(
            (
                (f"{FE}/ring-ref", "8"),
                (f"{FE}/event-channel", "7"),
                (f"{FE}/feature-protocol-v2", "1"),
            )
        ),
        None,
    ),
    (state_of(FE, 3), None),
]
FRESH: Steps = [(WatchNode(f"{BE}/state"), None), (ReadNode(f"{BE}/state"), "2"), *PUBLISHED]
MET: Steps = [
    (ReadNode(f"{BE}/state"), "4"),
    (ReadNode(f"{BE}/feature-protocol-v2"), "1"),
    (state_of(FE, 4), None),
]
UNUSED = Frontend(step=FrontendStep.READY, gref=8, port=7, was_connected=True)


def test_a_frontend_connects() -> None:
    """Watch, page, port, nodes, Initialised; Connected once the backend is."""
    waiting = drive(Frontend(), [*FRESH, (ReadNode(f"{BE}/state"), "2")])
    assert waiting.operation is None
    assert drive(waiting.changed(""), MET) == UNUSED


def test_a_frontend_ends_an_earlier_connection_first() -> None:
    """Closed, and it waits until the backend is in InitWait."""
    early: Steps = [
        (WatchNode(f"{BE}/state"), None),
        (ReadNode(f"{BE}/state"), "4"),
        (state_of(FE, 6), None),
        (ReadNode(f"{BE}/state"), "6"),
    ]
    waiting = drive(Frontend(), early)
    assert waiting.operation is None
    assert drive(waiting.changed(""), [(ReadNode(f"{BE}/state"), "2"), *PUBLISHED, *MET]) == UNUSED


@pytest.mark.parametrize(
    ("close", "steps"),
    [
        (True, [(state_of(FE, 5), None), (state_of(FE, 6), None)]),
        (False, [(ReadNode(f"{BE}/state"), "5"), (state_of(FE, 6), None)]),
    ],
)
def test_a_frontend_closes(close: bool, steps: Steps) -> None:
    """By itself or after its backend: port and page once the backend has let go."""
    first = UNUSED.close() if close else UNUSED.changed("")
    held = drive(first, [*steps, (ReadNode(f"{BE}/state"), "4")])
    assert held.operation is None
    kept: Steps = [(ReadNode(f"{BE}/state"), "2"), (Unbind(7), None), (Revoke(8), False)]
    waiting = drive(held.changed(""), kept)
    assert waiting.operation is None
    down = drive(waiting.changed(""), [(ReadNode(f"{BE}/state"), "2"), (Revoke(8), True)])
    assert (down.down, down.gref, down.port, down.operation) == (True, 0, 0, None)
    fresh: Steps = [(ReadNode(f"{BE}/state"), "2"), *PUBLISHED, *MET]
    assert drive(down.reopen(), fresh) == UNUSED


def test_a_frontend_does_not_take_another_protocol() -> None:
    """Closing and Closed instead of Connected."""
    steps: Steps = [
        *FRESH,
        MET[0],
        (ReadNode(f"{BE}/feature-protocol-v2"), "0"),
        (state_of(FE, 5), None),
        (state_of(FE, 6), None),
    ]
    assert drive(Frontend(), steps).operation == ReadNode(f"{BE}/state")


def test_a_frontend_exchanges() -> None:
    """Free page, request, SUBMIT, event; FINISH, length, response."""
    waiting = drive(UNUSED.submit(REQUEST), SUBMITTED)
    assert waiting.operation is None
    taken: Steps = [
        (Load(4, 1), b"\x02"),
        (Load(0, 4), b"\x1c\x00\x00\x00"),
        (Load(8, 28), RESPONSE),
        (Deliver(Answer("response", RESPONSE)), None),
    ]
    assert drive(waiting.event(), taken) == UNUSED


@pytest.mark.parametrize("length", [9, 4089])
def test_a_frontend_loads_no_packet_of_an_impossible_length(length: int) -> None:
    """The order fails at once."""
    waiting = drive(UNUSED.submit(REQUEST), SUBMITTED)
    steps: Steps = [(Load(4, 1), b"\x02"), (Load(0, 4), length.to_bytes(4, "little"))]
    assert drive(waiting.event(), steps).operation == Deliver(Answer("failed"))


def test_a_frontend_looks_at_what_changed_while_it_connected() -> None:
    """A change of the backend's state during the last step is not lost."""
    connecting = drive(Frontend(), [*FRESH, *MET[:2]])
    assert drive(connecting.changed(""), MET[2:]).operation == ReadNode(f"{BE}/state")


def test_a_frontend_waits_for_a_free_page() -> None:
    """It looks again on an event."""
    waiting = drive(UNUSED.submit(REQUEST), [(Load(4, 1), b"\x03")])
    assert waiting.operation is None
    assert drive(waiting.event(), SUBMITTED).step is FrontendStep.WAIT_ANSWER


def test_a_frontend_looks_at_what_came_while_it_was_busy() -> None:
    """An event or a change of the backend's state during the submission is not lost."""
    busy = drive(UNUSED.submit(REQUEST), SUBMITTED[:5])
    assert drive(busy.event(), SUBMITTED[5:]).operation == Load(4, 1)
    assert drive(busy.changed(""), SUBMITTED[5:]).operation == ReadNode(f"{BE}/state")
    cancelled = drive(busy.cancel(), SUBMITTED[5:])
    assert cancelled.operation == Store(4, b"\x03")


@pytest.mark.parametrize(
    ("gives_up", "answer"), [(False, None), (True, Deliver(Answer("timed-out")))]
)
def test_a_frontend_cancels(gives_up: bool, answer: Operation | None) -> None:
    """CANCEL, event; then it waits for the answer, unless it has given up."""
    waiting = drive(UNUSED.submit(REQUEST), SUBMITTED)
    asked = waiting.expired() if gives_up else waiting.cancel()
    after = drive(asked, [(Store(4, b"\x03"), None), (Notify(), None)])
    assert after.operation == answer
    ended = after if gives_up else after.event()
    idle: Steps = [] if gives_up else [(Load(4, 1), b"\x00")]
    said = "timed-out" if gives_up else "cancelled"
    assert drive(ended, [*idle, (Deliver(Answer(said)), None)]) == UNUSED


def test_a_request_ends_when_the_frontend_closes() -> None:
    """Cancelled, delivered before anything is given up; then Closing."""
    waiting = drive(UNUSED.submit(REQUEST), SUBMITTED)
    closing = drive(waiting.close(), [(Deliver(Answer("cancelled")), None)])
    assert closing.operation == state_of(FE, 5)
