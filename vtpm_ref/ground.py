# SPDX-License-Identifier: MIT
"""
What lies between two machines: pages, ports, pending events, xenstore.

A ground never changes; every operation returns the next one with its result.
It checks each store against the tables, so a store that the protocol forbids
is found where it happens.
"""

from dataclasses import dataclass, replace

from vtpm_ref import page
from vtpm_ref.errors import ProtocolViolation
from vtpm_ref.states import OWNER, Role, State, store_state
from vtpm_ref.steps import (
    Bind,
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

#: Bytes of a page that a search looks at; its packets are no longer.
WINDOW = page.HEADER_SIZE + 12

#: Grant references below 8 are Xen's own.
_FIRST_GREF = 8


class Counterexample(Exception):
    """A move that must not be possible; the text says what went wrong."""


@dataclass(frozen=True)
class Ground:
    """
    One moment of what the two sides share.

    :param window: how many bytes of each page are kept.
    :param pages: the bytes of each page that was granted, the last one in use.
    :param mapped: the page that the backend has mapped, by grant reference; 0: none.
    :param port: the frontend's port, 0 if it has none; no number comes twice.
    :param bound: the frontend's port that the backend is bound to, 0 if none.
    :param ports: how many ports there have been.
    :param published: the backend has been able to see the page.
    :param dead: pages whose frontend has died with them.
    :param revoked: the frontend has taken its page back.
    :param nodes: xenstore, as sorted (path, text) pairs.
    :param events: the roles that have an event pending; many are one.
    :param changes: (role, path) of watches that have fired and wait.
    :param seen: the state that each role last loaded or stored itself.
    """

    window: int = WINDOW
    pages: tuple[bytes, ...] = ()
    mapped: int = 0
    port: int = 0
    bound: int = 0
    ports: int = 0
    published: bool = False
    dead: frozenset[int] = frozenset()
    revoked: bool = False
    nodes: tuple[tuple[str, str], ...] = ()
    watches: frozenset[tuple[Role, str]] = frozenset()
    events: frozenset[Role] = frozenset()
    changes: frozenset[tuple[Role, str]] = frozenset()
    seen: tuple[int, int] = (0, 0)

    @property
    def gref(self) -> int:
        """The grant reference of the frontend's page, 0 before there is one."""
        return _FIRST_GREF + len(self.pages) - 1 if self.pages else 0

    def take(self, role: Role, operation: Operation) -> tuple["Ground", object]:
        """
        The ground after ``role``'s operation, and the operation's result.

        :raises Counterexample: the operation breaks an invariant.
        """
        match operation:
            case Load(at, size):
                return self._load(role, at, size)
            case Store(at, data):
                return self._store(role, at, data), None
            case Notify():
                joined = self.bound and self.bound == self.port
                events = self.events | {role.peer} if joined else self.events
                return replace(self, events=events), None
            case ReadNode(path):
                return self, dict(self.nodes).get(path)
            case WriteNodes(nodes):
                published = self.published or (role is Role.FRONTEND and len(nodes) > 1)
                return replace(self, published=published).write(nodes), None
            case WatchNode(path):
                watches, changes = self.watches | {(role, path)}, self.changes | {(role, path)}
                return replace(self, watches=watches, changes=changes), None
            case Grant():
                return self.grant()
            case Map(_, gref):
                possible = gref in self.dead or (gref == self.gref and not self.revoked)
                return (self.map(gref) if possible else self), possible
            case Bind(_, None):
                return self.allocate()
            case Bind(_, int(remote)):
                possible = remote == self.port
                return (self.bind(remote), remote) if possible else (self, None)
            case Unmap():
                return replace(self, mapped=0), None
            case Unbind():
                return self._unbind(role), None
            case Revoke(gref):
                possible = self.mapped != gref
                return (replace(self, revoked=True) if possible else self), possible
        raise Counterexample(f"the {role.value} asks for {operation}, which nobody can do")

    def grant(self) -> tuple["Ground", int]:
        """A further page of the frontend's, with what its memory held before."""
        pages = (*self.pages, b"\xa5" * self.window)
        after = replace(self, pages=pages, published=False, revoked=False, seen=(0, 0))
        return after, after.gref

    def allocate(self) -> tuple["Ground", int]:
        """A new port of the frontend's."""
        return replace(self, port=self.ports + 1, ports=self.ports + 1), self.ports + 1

    def map(self, gref: int) -> "Ground":
        """The backend maps a page."""
        return replace(self, mapped=gref, seen=(self.seen[0], 0))

    def bind(self, port: int) -> "Ground":
        """The backend binds; that raises an event at once."""
        return replace(self, bound=port, events=self.events | {Role.BACKEND})

    def write(self, nodes: tuple[tuple[str, str], ...]) -> "Ground":
        """Somebody writes nodes, and the watches on them fire."""
        merged = dict(self.nodes) | dict(nodes)
        fired = {(role, path) for role, path in self.watches if path in dict(nodes)}
        return replace(self, nodes=tuple(sorted(merged.items())), changes=self.changes | fired)

    def without_event(self, role: Role) -> "Ground":
        """``role`` has taken its event."""
        return replace(self, events=self.events - {role})

    def without_change(self, role: Role, path: str) -> "Ground":
        """``role`` has been told that ``path`` changed."""
        return replace(self, changes=self.changes - {(role, path)})

    def without_frontend(self) -> "Ground":
        """The frontend's domain has died; its page stays where it is mapped."""
        dead = self.dead | {self.gref} if self.pages else self.dead
        return replace(self._without(Role.FRONTEND), port=0, dead=dead)

    def without_backend(self) -> "Ground":
        """The backend has died; what it had mapped and bound is given back."""
        return replace(self._without(Role.BACKEND), mapped=0, bound=0)

    def _without(self, role: Role) -> "Ground":
        return replace(
            self,
            events=self.events - {role},
            watches=frozenset(watch for watch in self.watches if watch[0] is not role),
            changes=frozenset(change for change in self.changes if change[0] is not role),
        )

    def _unbind(self, role: Role) -> "Ground":
        after = replace(self, events=self.events - {role})
        return replace(after, port=0) if role is Role.FRONTEND else replace(after, bound=0)

    def _of(self, role: Role) -> int:
        """The page that ``role`` touches, by grant reference."""
        gref = self.gref if role is Role.FRONTEND else self.mapped
        if not gref or (self.revoked and gref == self.gref):
            raise Counterexample(f"the {role.value} touches a page that it does not have")
        return gref

    def _load(self, role: Role, at: int, size: int) -> tuple["Ground", bytes]:
        data = self.pages[self._of(role) - _FIRST_GREF]
        if at <= page.STATE.offset < at + size:
            return self._note(role, data[page.STATE.offset]), data[at : at + size]
        return self, data[at : at + size]

    def _note(self, role: Role, state: int) -> "Ground":
        """``role`` knows ``state`` now."""
        frontend, backend = self.seen
        seen = (state, backend) if role is Role.FRONTEND else (frontend, state)
        return replace(self, seen=seen)

    def _store(self, role: Role, at: int, data: bytes) -> "Ground":
        gref = self._of(role)
        old = self.pages[gref - _FIRST_GREF]
        data = data[: max(0, self.window - at)]
        if gref == self.gref and gref not in self.dead and self.published:
            self._check(role, at, data, old[page.STATE.offset])
        new = old[:at] + data + old[at + len(data) :]
        pages = tuple(new if _FIRST_GREF + i == gref else p for i, p in enumerate(self.pages))
        after = replace(self, pages=pages)
        states = at <= page.STATE.offset < at + len(data)
        return after._note(role, new[page.STATE.offset]) if states else after

    def _check(self, role: Role, at: int, data: bytes, old: int) -> None:
        """Whether ``role`` may store ``data`` in a page whose state is ``old``."""
        state = State(old)
        if at == page.STATE.offset and len(data) == 1:
            seen = State(self.seen[0 if role is Role.FRONTEND else 1])
            try:
                store_state(state, role, State(data[0]), seen=seen)
            except ProtocolViolation as violation:
                raise Counterexample(str(violation)) from violation
        elif OWNER[state] is not role:
            raise Counterexample(f"the {role.value} stores at {at} while state is {state.name}")
