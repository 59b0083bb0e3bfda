# SPDX-License-Identifier: MIT
"""
What rules on a connection's end and beginning know: state nodes, and what is held.
"""

from conformance.rules.base import Rule
from vtpm_ref.states import BACKEND, FRONTEND, Role

#: Texts of ``state`` nodes.
INIT_WAIT, INITIALISED, CONNECTED, CLOSING, CLOSED = "2", "3", "4", "5", "6"


class Nodes(Rule):
    """A rule on the two ``state`` nodes and on ``online``."""

    @property
    def frontend_state(self) -> str | None:
        """Text of the frontend's ``state`` as it stands."""
        return self.scene.nodes.get((FRONTEND, "state"))

    @property
    def backend_state(self) -> str | None:
        """Text of the backend's ``state`` as it stands."""
        return self.scene.nodes.get((BACKEND, "state"))

    @property
    def offline(self) -> bool:
        """Whether the toolstack takes the device away."""
        return self.scene.nodes.get((BACKEND, "online")) == "0"

    def on_node(self, role: Role, name: str, value: str | None, by: str) -> None:
        if name != "state" or value is None:
            return
        if role is not self.role:
            self.peer_shows(value)
        elif by == self.role.value:
            self.shows(value)

    def shows(self, state: str) -> None:
        """The judged role has written its own ``state``."""

    def peer_shows(self, state: str) -> None:
        """The other role's ``state`` has been written, by whomever."""


class Held(Nodes):
    """A rule on what the backend holds of its frontend."""

    def begin(self) -> None:
        self.mapped: set[int] = set()
        self.remote: int | None = None

    @property
    def held(self) -> str:
        """What the backend has mapped and bound, in words; empty if nothing."""
        pages = [f"page {gref}" for gref in sorted(self.mapped)]
        ports = [] if self.remote is None else [f"port {self.remote}"]
        return " and ".join(pages + ports)

    def on_mapped(self, by: Role, ok: bool, gref: int) -> None:
        if by is BACKEND and ok:
            self.mapped.add(gref)

    def on_bound(self, by: Role, ok: bool, remote: int | None) -> None:
        if by is BACKEND and ok:
            self.remote = remote

    def on_unmapped(self, by: Role, gref: int) -> None:
        if by is BACKEND:
            self.mapped.discard(gref)

    def on_unbound(self, by: Role) -> None:
        if by is BACKEND:
            self.remote = None

    def on_exit(self, how: str) -> None:
        """Of a backend that has died, the hypervisor takes everything back."""
        self.mapped.clear()
        self.remote = None
