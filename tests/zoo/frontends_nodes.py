# SPDX-License-Identifier: MIT
"""
Frontends that break what the page says of xenstore nodes.
"""

from dataclasses import replace

from tests.zoo.base import FrontendAnimal, animal
from vtpm_ref.frontend import Frontend
from vtpm_ref.states import Role
from vtpm_ref.steps import Grant, Operation, WriteNodes
from vtpm_ref.xenbus import XenbusState


@animal("nodes.own-directory")
class WakesBackend(FrontendAnimal):
    """Tries to set the backend's state to InitWait before it connects."""

    def do_grant(self) -> Operation:
        if self.memory:
            return Grant(self.place.backend_id)
        return WriteNodes(((self.place.path(Role.BACKEND, "state"), "2"),))

    def then_grant(self, result: int | None) -> Frontend:
        return self.usual(result) if self.memory else replace(self, memory=1)


@animal("nodes.state-number")
class StateInWords(FrontendAnimal):
    """Writes the name of the state after its number."""

    def do_connected(self) -> Operation:
        if self.memory:
            return self._become(XenbusState.CONNECTED)
        return self._write("state", "3 Initialised")

    def then_connected(self, result: None) -> Frontend:
        return self.usual() if self.memory else replace(self, memory=1)
