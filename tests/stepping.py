# SPDX-License-Identifier: MIT
"""Stepping through the reference machines by hand: what tests of them share."""

from collections.abc import Iterable
from typing import Any

from vtpm_ref import packet
from vtpm_ref.steps import Execute, Load, Notify, Operation, Store, WriteNodes

FE, BE = "/local/domain/1/device/vtpm/0", "/local/domain/0/backend/vtpm/1/0"
REQUEST = packet.build(0x8001, 0x17B, b"\x00\x10")
RESPONSE = packet.build(0x8001, 0, bytes(18))

Steps = list[tuple[Operation, object]]

#: A backend finds ``REQUEST``, takes header and packet, and has the TPM run it.
HEADER = b"\x0c\x00\x00\x00\x01\x00\x00\x00"
TAKEN: Steps = [
    (Load(4, 1), b"\x01"),
    (Load(0, 8), HEADER),
    (Load(8, 12), REQUEST),
    (Execute(REQUEST, 0), None),
]

#: A frontend whose page is free submits ``REQUEST``.
SUBMITTED: Steps = [
    (Load(4, 1), b"\x00"),
    (Store(8, REQUEST), None),
    (Store(0, b"\x0c\x00\x00\x00"), None),
    (Store(5, b"\x00"), None),
    (Store(4, b"\x01"), None),
    (Notify(), None),
]


def state_of(home: str, state: int | str) -> WriteNodes:
    """The write of a state node."""
    return WriteNodes(((f"{home}/state", str(state)),))


def drive(machine: Any, steps: Iterable[tuple[Operation, object]]) -> Any:
    """Expect each operation in turn and hand its result back."""
    for number, (operation, result) in enumerate(steps):
        assert machine.operation == operation, number
        machine = machine.after(result)
    return machine
