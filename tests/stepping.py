# SPDX-License-Identifier: MIT
"""Stepping through the reference machines by hand: what tests of them share."""

from collections.abc import Iterable
from typing import Any

from vtpm_ref import packet
from vtpm_ref.steps import Operation, WriteNodes

FE, BE = "/local/domain/1/device/vtpm/0", "/local/domain/0/backend/vtpm/1/0"
REQUEST = packet.build(0x8001, 0x17B, b"\x00\x10")
RESPONSE = packet.build(0x8001, 0, bytes(18))

Steps = list[tuple[Operation, object]]


def state_of(home: str, state: int | str) -> WriteNodes:
    """The write of a state node."""
    return WriteNodes(((f"{home}/state", str(state)),))


def drive(machine: Any, steps: Iterable[tuple[Operation, object]]) -> Any:
    """Expect each operation in turn and hand its result back."""
    for number, (operation, result) in enumerate(steps):
        assert machine.operation == operation, number
        machine = machine.after(result)
    return machine
