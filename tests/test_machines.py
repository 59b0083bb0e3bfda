# SPDX-License-Identifier: MIT
"""
The two reference machines: step by step, and against each other at random.
"""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtpm_ref import packet, page
from vtpm_ref.backend import Backend
from vtpm_ref.backend import Step as BackendStep
from vtpm_ref.errors import ProtocolViolation
from vtpm_ref.frontend import Frontend
from vtpm_ref.pair import Pair
from vtpm_ref.states import State
from vtpm_ref.steps import (
    Abort,
    Answer,
    Deliver,
    Execute,
    Load,
    Notify,
    Operation,
    Store,
    WriteNodes,
    parse_number,
)

REQUEST = packet.build(0x8001, 0x17B, b"\x00\x10")
RESPONSE = packet.build(0x8001, 0, bytes(18))


def backend_at_rest() -> Backend:
    """A backend that has connected and waits."""
    return Backend(step=BackendStep.REST, gref=8, port=1)


def header(length: int = len(REQUEST), state: int = 1, extra: int = 0) -> bytes:
    """The header of a request as it lies in the page."""
    return page.Header(length=length, state=state, nr_extra_pages=extra).pack()


def drive(machine: Backend, *steps: tuple[Operation, object]) -> Backend:
    """Expect each operation in turn and hand its result back."""
    for operation, result in steps:
        assert machine.operation == operation
        machine = machine.after(result)
    return machine


def ops_until_waiting(machine: Frontend, memory: bytearray) -> tuple[Frontend, list[Operation]]:
    """Run a frontend on ``memory`` until it waits; what it asked for."""
    asked: list[Operation] = []
    while (operation := machine.operation) is not None:
        asked.append(operation)
        result: object = None
        match operation:
            case Load(at, size):
                result = bytes(memory[at : at + size])
            case Store(at, data):
                memory[at : at + len(data)] = data
        machine = machine.after(result)
    return machine, asked


def test_a_request_is_stored_before_submit_and_notified_after() -> None:
    """Packet, length, locality, SUBMIT, event, in this order."""
    _, asked = ops_until_waiting(Frontend.connected().submit(REQUEST, 3), bytearray(4096))
    assert asked == [
        Load(4, 1),
        Store(8, REQUEST),
        Store(0, b"\x0c\x00\x00\x00"),
        Store(5, b"\x03"),
        Store(4, b"\x01"),
        Notify(),
    ]


@pytest.mark.parametrize("state", [State.SUBMIT, State.CANCEL, 7])
def test_a_frontend_waits_for_a_free_page(state: int) -> None:
    """It stores nothing over a request, and goes on when an event shows a free page."""
    memory = bytearray(4096)
    memory[4] = state
    waiting, asked = ops_until_waiting(Frontend.connected().submit(REQUEST), memory)
    assert asked == [Load(4, 1)]
    memory[4] = State.IDLE
    _, asked = ops_until_waiting(waiting.event(), memory)
    assert asked[-2:] == [Store(4, b"\x01"), Notify()]


@pytest.mark.parametrize(
    ("length", "stored", "expected"),
    [
        (28, RESPONSE, Answer("response", RESPONSE)),
        (0, RESPONSE, Answer("failed")),
        (9, RESPONSE, Answer("failed")),
        (27, RESPONSE, Answer("failed")),
        (29, RESPONSE, Answer("failed")),
        (4089, RESPONSE, Answer("failed")),
        (0xFFFFFFFF, RESPONSE, Answer("failed")),
    ],
)
def test_what_a_frontend_takes_as_a_response(length: int, stored: bytes, expected: Answer) -> None:
    """Only a response whose two lengths agree and that fits."""
    memory = bytearray(4096)
    waiting, _ = ops_until_waiting(Frontend.connected().submit(REQUEST), memory)
    memory[8 : 8 + len(stored)] = stored
    memory[0:4] = length.to_bytes(4, "little")
    memory[4] = State.FINISH
    _, asked = ops_until_waiting(waiting.event(), memory)
    assert asked[-1] == Deliver(expected)


def test_a_spurious_event_changes_nothing() -> None:
    """The frontend looks, sees SUBMIT, and waits on."""
    memory = bytearray(4096)
    waiting, _ = ops_until_waiting(Frontend.connected().submit(REQUEST), memory)
    again, asked = ops_until_waiting(waiting.event(), memory)
    assert asked == [Load(4, 1)]
    assert again == waiting


def test_a_frontend_that_gives_up_cancels_and_says_so() -> None:
    """CANCEL, event, timed-out; the next request then waits for the answer."""
    memory = bytearray(4096)
    waiting, _ = ops_until_waiting(Frontend.connected().submit(REQUEST), memory)
    ready, asked = ops_until_waiting(waiting.expired(), memory)
    assert asked == [Store(4, b"\x03"), Notify(), Deliver(Answer("timed-out"))]
    _, asked = ops_until_waiting(ready.submit(REQUEST), memory)
    assert asked == [Load(4, 1)]


@pytest.mark.parametrize(
    ("request_", "clause"),
    [
        (bytes(9), "packet.request-header"),
        (packet.build(0x8001, 1, bytes(4079)), "packet.request-fits"),
        (REQUEST + b"\0", "packet.request-length"),
    ],
)
def test_what_may_not_be_submitted(request_: bytes, clause: str) -> None:
    """The violation names its clause, and the frontend is as it was."""
    frontend = Frontend.connected()
    with pytest.raises(ProtocolViolation) as raised:
        frontend.submit(request_)
    assert raised.value.clause == clause
    assert frontend == Frontend.connected()


def test_one_request_at_a_time() -> None:
    """A second submit is refused while the first is under way."""
    busy = Frontend.connected().submit(REQUEST)
    with pytest.raises(ProtocolViolation, match=r"states\.submit-when-free"):
        busy.submit(REQUEST)


def test_an_answer_is_stored_before_finish_and_notified_after() -> None:
    """State, header, packet once each; then response, length, FINISH, event."""
    machine = drive(
        backend_at_rest().event(),
        (Load(4, 1), b"\x01"),
        (Load(0, 8), header()),
        (Load(8, 12), REQUEST),
        (Execute(REQUEST, 0), None),
    )
    assert machine.operation is None
    done = drive(
        machine.completed(RESPONSE),
        (Store(8, RESPONSE), None),
        (Store(0, b"\x1c\x00\x00\x00"), None),
        (Store(4, b"\x02"), None),
        (Notify(), None),
    )
    assert done == backend_at_rest()


@pytest.mark.parametrize("length", [0, 9, 4089, 0xFFFFFFF8, 0xFFFFFFFF])
def test_a_malformed_length_is_answered_without_reading_the_packet(length: int) -> None:
    """A TPM error of ten bytes, COMMAND_SIZE."""
    drive(
        backend_at_rest().event(),
        (Load(4, 1), b"\x01"),
        (Load(0, 8), header(length)),
        (Store(8, bytes.fromhex("80010000000a00000142")), None),
        (Store(0, b"\x0a\x00\x00\x00"), None),
        (Store(4, b"\x02"), None),
    )


def test_a_response_lies_behind_the_list_that_was_sampled() -> None:
    """With three grant references the packet is at 20, both ways."""
    machine = drive(
        backend_at_rest().event(),
        (Load(4, 1), b"\x01"),
        (Load(0, 8), header(extra=3)),
        (Load(20, 12), REQUEST),
        (Execute(REQUEST, 0), None),
    )
    assert machine.completed(RESPONSE).operation == Store(20, RESPONSE)


def test_a_response_that_does_not_fit_becomes_an_error() -> None:
    """4089 bytes are answered with COMMAND_SIZE instead."""
    machine = drive(
        backend_at_rest().event(),
        (Load(4, 1), b"\x01"),
        (Load(0, 8), header()),
        (Load(8, 12), REQUEST),
        (Execute(REQUEST, 0), None),
    )
    too_long = packet.build(0x8001, 0, bytes(4079))
    assert machine.completed(too_long).operation == Store(8, bytes.fromhex("80010000000a00000142"))


def test_a_cancel_reaches_the_running_tpm_once() -> None:
    """CANCEL while the TPM works: Abort, and no second one for a second event."""
    working = drive(
        backend_at_rest().event(),
        (Load(4, 1), b"\x01"),
        (Load(0, 8), header()),
        (Load(8, 12), REQUEST),
        (Execute(REQUEST, 0), None),
    )
    aborted = drive(working.event(), (Load(4, 1), b"\x03"), (Abort(), None))
    again = drive(aborted.event(), (Load(4, 1), b"\x03"))
    assert again.operation is None
    assert again.completed(None).operation == Store(4, b"\x00")


def test_a_cancel_that_nothing_runs_for_is_acknowledged() -> None:
    """CANCEL seen at rest: IDLE and an event."""
    drive(
        backend_at_rest().event(),
        (Load(4, 1), b"\x03"),
        (Store(4, b"\x00"), None),
        (Notify(), None),
    )


@pytest.mark.parametrize("state", [0, 2, 4, 7, 255])
def test_a_backend_does_nothing_for_other_states(state: int) -> None:
    """IDLE, FINISH and unknown values ask for nothing."""
    after = drive(backend_at_rest().event(), (Load(4, 1), bytes([state])))
    assert after.operation is None
    assert after == backend_at_rest()


@pytest.mark.parametrize("feature", [None, "0", "2", "01", " 1", ""])
def test_a_backend_closes_on_another_protocol(feature: str | None) -> None:
    """Any feature node but '1' ends in Closed."""
    path = "/local/domain/1/device/vtpm/0/feature-protocol-v2"
    machine = Backend(step=BackendStep.READ_FEATURE)
    assert machine.operation is not None
    closed = machine.after(feature)
    assert closed.operation == WriteNodes((("/local/domain/0/backend/vtpm/1/0/state", "6"),))
    assert path.startswith(machine.place.frontend_dir)


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("8", 8), ("4294967295", 4294967295), ("-1", None), ("+1", None), ("0x8", None),
     (" 8", None), ("8\n", None), ("", None), (None, None), ("٣", None), ("1" * 11, None)],
)  # fmt: skip
def test_numbers_in_nodes(text: str | None, number: int | None) -> None:
    """Decimal digits and nothing else."""
    assert parse_number(text) == number


def test_machines_are_values() -> None:
    """Equal, hashable, and unchanged by what is asked of them."""
    first, second = Frontend.connected(), Frontend.connected()
    assert hash(first) == hash(second)
    first.submit(REQUEST)
    assert first == second
    assert len({Backend(), Backend(), backend_at_rest()}) == 2


_RESPONSES: dict[str, Callable[[bytes], bytes | None]] = {
    "success": lambda request: packet.build(0x8001, 0, request[::-1]),
    "none": lambda request: None,
    "empty": lambda request: b"",
    "too long": lambda request: packet.build(0x8001, 0, bytes(4079)),
    "largest": lambda request: packet.build(0x8001, 0, bytes(4078)),
}


@given(st.lists(st.tuples(st.integers(0, 4078), st.sampled_from(sorted(_RESPONSES))), max_size=6))
def test_a_pair_answers_every_request_with_its_own_response(
    requests: list[tuple[int, str]],
) -> None:
    """Whatever the sizes, each request ends, and with its own response."""
    pair = Pair.connected()
    for size, kind in requests:
        request = packet.build(0x8001, size, bytes(i & 0xFF for i in range(size)))
        answer = pair.exchange(request, respond=_RESPONSES[kind])
        if kind in ("success", "largest"):
            expected = _RESPONSES[kind](request) or b""
            fits = len(expected) <= 4088
            assert answer.outcome == "response"
            assert (answer.packet == expected) is fits
        elif kind == "none":
            assert answer == Answer("cancelled")
        else:
            assert answer.outcome == "response"
            assert len(answer.packet) == 10
