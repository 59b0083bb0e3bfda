# SPDX-License-Identifier: MIT
"""Rules of the page on xenstore nodes."""

from conformance import trace
from conformance.rules.base import Rule, rule
from conformance.rules.connecting import _OnOwnState
from vtpm_ref.states import BACKEND, Role
from vtpm_ref.xenbus import NODES

#: What a side may write to its ``state``: Initialising to Closed.
_STATES = frozenset("123456")

#: The nodes of the page's table, by directory and name.
_LISTED = frozenset((node.home, node.name) for node in NODES)


@rule("nodes.own-directory", "nodes")
class OwnDirectory(Rule):
    """A write to a node that is the other side's."""

    def on_tried(self, role: Role, name: str, op: str, by: str, ok: bool) -> None:
        if by == self.role.value and op in ("write", "rm"):
            said = f"{op} of {name} in the {role.value}'s directory"
            self.check(role is self.role, "its own directory only", said)


@rule("nodes.state-number", "nodes")
class StateNumber(_OnOwnState):
    """A state that is none of the six."""

    def judge(self, state: str) -> None:
        self.check(state in _STATES, "one digit from 1 to 6", f"state {state!r}")


@rule("nodes.listed-only", "nodes")
class ListedOnly(_OnOwnState):
    """A backend that waits for a node that nobody writes."""

    def begin(self) -> None:
        self._missed: list[str] = []

    def on_tried(self, role: Role, name: str, op: str, by: str, ok: bool) -> None:
        missing = op == "read" and not ok and (role, name) not in _LISTED
        if missing and by == BACKEND.value:
            self._missed.append(f"{name} in the {role.value}'s directory")

    def judge(self, state: str) -> None:
        if state == "4" and self.scene.nodes.keys() <= _LISTED:
            self.kept()

    def on_silence(self, silence: trace.Silence) -> None:
        if silence.awaited == "Connected of the backend" and self._missed:
            said = f"none; it has looked for {self._missed[-1]}, which nobody writes"
            self.broken("Connected, with the nodes of the page alone", said)
