# SPDX-License-Identifier: MIT
"""
What both reference machines have in common: a program of steps, and a place in xenstore.

A machine is a value.  Its program has one row a step: what the machine asks
for, and what it is once it has the result.  Where a step has no row it waits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, ClassVar, Self

from vtpm_ref.states import Role
from vtpm_ref.steps import Operation, ReadNode, WriteNodes
from vtpm_ref.xenbus import Place, XenbusState

#: One row of a program: what is asked for, and what follows on the result.
Row = tuple[Callable[[Any], Operation], Callable[[Any, Any], Any]]


@dataclass(frozen=True)
class Machine:
    """
    A machine that stands at one step of its program.

    :cvar role: which party it plays.
    :cvar program: the row of each step that does not wait.
    :param place: the device that it belongs to.
    :param step: where it is.
    """

    role: ClassVar[Role]
    program: ClassVar[Mapping[Any, Row]]

    place: Place = Place()
    step: Any = None

    @property
    def operation(self) -> Operation | None:
        """The one step it wants now; ``None`` while it waits for an input."""
        row = self.program.get(self.step)
        return row[0](self) if row else None

    def after(self, result: Any = None) -> Self:
        """The machine after its ``operation`` was taken with ``result``."""
        follows: Self = self.program[self.step][1](self, result)
        return follows

    def _go(self, step: Enum) -> Self:
        return replace(self, step=step)

    def _write(self, node: str, text: str) -> WriteNodes:
        return WriteNodes(((self._own(node), text),))

    def _become(self, state: XenbusState) -> WriteNodes:
        return self._write("state", str(int(state)))

    def _own(self, node: str) -> str:
        return self.place.path(self.role, node)

    def _peers(self, node: str) -> str:
        return self.place.path(self.role.peer, node)

    def _read_peer(self, node: str) -> ReadNode:
        return ReadNode(self._peers(node))


def then(step: Enum) -> Callable[[Any, Any], Any]:
    """A step whose result changes nothing: on to ``step``."""
    return lambda machine, _: machine._go(step)
