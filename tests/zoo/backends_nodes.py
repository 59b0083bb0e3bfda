# SPDX-License-Identifier: MIT
"""
Backends that break what the page says of xenstore nodes.
"""

from dataclasses import replace

from tests.zoo.base import BackendAnimal, animal
from vtpm_ref.backend import Backend, Step
from vtpm_ref.states import Role
from vtpm_ref.steps import Operation, ReadNode, WriteNodes
from vtpm_ref.xenbus import XenbusState


@animal("nodes.own-directory")
class ClearsFrontendsNode(BackendAnimal):
    """Tries to clear the frontend's event-channel once it has bound the port."""

    def then_bind(self, port: int | None) -> Backend:
        return replace(self.usual(port), memory=1)

    def do_connected(self) -> Operation:
        if self.memory:
            return WriteNodes(((self.place.path(Role.FRONTEND, "event-channel"), ""),))
        return self._become(XenbusState.CONNECTED)

    def then_connected(self, result: None) -> Backend:
        return replace(self, memory=0) if self.memory else self.usual()


@animal("nodes.state-number")
class BackendReconfigures(BackendAnimal):
    """Announces Connected with a state of 7, Reconfiguring."""

    def then_bind(self, port: int | None) -> Backend:
        return replace(self.usual(port), memory=1)

    def do_connected(self) -> Operation:
        return self._become(XenbusState.RECONFIGURING if self.memory else XenbusState.CONNECTED)

    def then_connected(self, result: None) -> Backend:
        return replace(self, memory=0) if self.memory else self.usual()


@animal(
    "nodes.listed-only",
    "connecting.backend-connects",
    "connecting.feature-value",
    "connecting.backend-feature",
    "connecting.init-wait",
    "connecting.map-before-connected",
    "connecting.look-at-once",
    "connecting.failed-closed",
    "robust.nodes-recover",
    why="it never connects or fails to, and these are the clauses whose cases wait in silence",
)
class NeedsDomain(BackendAnimal):
    """Connects only when the node domain of version 1 is in its directory."""

    def do_read_feature(self) -> Operation:
        return ReadNode(self._own("domain"))

    def then_read_feature(self, text: str | None) -> Backend:
        return self._go(Step.READ_GREF) if text is not None else self._wait_frontend()
