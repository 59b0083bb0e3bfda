# SPDX-License-Identifier: MIT
"""
Both reference machines, what lies between them, and every move that can come next.

For exhaustive search: a world never changes, equals another with the same
content, and says which worlds can follow.  Loads, stores and notifications of
the two sides interleave in every order; events coalesce, come late, or come
without cause; the user cancels or gives up at any moment; the TPM ends when
it likes, with a response or without.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from vtpm_ref import packet, page
from vtpm_ref.backend import Backend
from vtpm_ref.errors import ProtocolViolation
from vtpm_ref.frontend import Frontend
from vtpm_ref.states import OWNER, Role, State, store_state
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
    Store,
    WatchNode,
    WriteNodes,
)

#: Bytes of the page that a search looks at; its packets are no longer.
WINDOW = page.HEADER_SIZE + 12

_GREF, _PORT = 8, 1


class Counterexample(Exception):
    """A move that must not be possible; the text says what went wrong."""


def request_for(number: int) -> bytes:
    """The request with this number; its response carries the number back."""
    return packet.build(0x8001, number)


def response_to(request: bytes) -> bytes:
    """The response that belongs to ``request`` and to no other."""
    return packet.build(0x8001, 0, request[8:10])


@dataclass(frozen=True)
class Budget:
    """How often the world may still do what it need not do."""

    requests: int = 3
    cancels: int = 0
    expiries: int = 0
    spurious: int = 0
    idle_answers: int = 0


@dataclass(frozen=True)
class World:
    """
    One moment of the two sides.

    :param memory: the first bytes of the page.
    :param nodes: xenstore, as sorted (path, text) pairs.
    :param events: the roles that have an event pending; many are one.
    :param changes: (role, path) of watches that have fired and wait.
    :param running: the command that the TPM works on, empty if none.
    :param seen: the state that each role last loaded or stored itself.
    """

    budget: Budget
    frontend: Frontend = field(default_factory=Frontend)
    backend: Backend = field(default_factory=Backend)
    memory: bytes = bytes(WINDOW)
    shared: bool = False
    nodes: tuple[tuple[str, str], ...] = ()
    watches: frozenset[tuple[Role, str]] = frozenset()
    events: frozenset[Role] = frozenset()
    changes: frozenset[tuple[Role, str]] = frozenset()
    running: bytes = b""
    seen: tuple[int, int] = (0, 0)

    def moves(self) -> Iterator[tuple[str, "World"]]:
        """
        Every move that can come next, with what it leads to.

        :raises Counterexample: one of them breaks an invariant.
        """
        for role in Role:
            machine = self.machine(role)
            operation = machine.operation
            if operation is not None:
                yield f"{role.value}: {machine.step.value}", self._take(role, operation)
            if role in self.events:
                after = replace(self, events=self.events - {role})
                yield f"the {role.value} gets an event", after._tell(role, machine.event())
        for role, path in self.changes:
            after = replace(self, changes=self.changes - {(role, path)})
            told = after._tell(role, self.machine(role).changed(path))
            yield f"the {role.value} sees {path}", told
        yield from self._tpm_moves()
        yield from self._user_moves()
        yield from self._spurious_moves()

    @property
    def done(self) -> bool:
        """Whether nothing is left to do: all requests ended, both sides rest."""
        return (
            self.budget.requests == 0
            and not self.frontend.busy
            and not self.running
            and self.frontend.operation is None
            and self.backend.operation is None
        )

    def machine(self, role: Role) -> Frontend | Backend:
        """The machine that plays ``role``."""
        return self.frontend if role is Role.FRONTEND else self.backend

    def _tell(self, role: Role, machine: Frontend | Backend) -> "World":
        if isinstance(machine, Frontend):
            return replace(self, frontend=machine)
        return replace(self, backend=machine)

    def _tpm_moves(self) -> Iterator[tuple[str, "World"]]:
        if not self.running:
            return
        idle = replace(self, running=b"")
        ended = self.backend.completed(response_to(self.running))
        yield "the TPM ends", replace(idle, backend=ended)
        budget = self.budget
        if budget.idle_answers or self.backend.aborted:
            left = max(0, budget.idle_answers - 1)
            given_up = replace(idle, budget=replace(budget, idle_answers=left))
            yield "the TPM gives up", replace(given_up, backend=self.backend.completed(None))

    def _user_moves(self) -> Iterator[tuple[str, "World"]]:
        budget, frontend = self.budget, self.frontend
        if budget.requests and frontend.ready:
            submitted = frontend.submit(request_for(budget.requests))
            left = replace(budget, requests=budget.requests - 1)
            yield "the user submits", replace(self, budget=left, frontend=submitted)
        if budget.cancels and frontend.busy:
            left = replace(budget, cancels=budget.cancels - 1)
            yield "the user cancels", replace(self, budget=left, frontend=frontend.cancel())
        if budget.expiries and frontend.patient:
            left = replace(budget, expiries=budget.expiries - 1)
            yield "the deadline passes", replace(self, budget=left, frontend=frontend.expired())

    def _spurious_moves(self) -> Iterator[tuple[str, "World"]]:
        budget = self.budget
        for role in Role:
            if budget.spurious and self.shared and role not in self.events:
                left = replace(budget, spurious=budget.spurious - 1)
                with_event = replace(self, budget=left, events=self.events | {role})
                yield f"an event without cause for the {role.value}", with_event

    def _take(self, role: Role, operation: Operation) -> "World":
        """The world after ``role``'s operation was taken."""
        world, result = self._effect(role, operation)
        return world._tell(role, world.machine(role).after(result))

    def _effect(self, role: Role, operation: Operation) -> tuple["World", object]:
        match operation:
            case Load(at, size):
                return self._load(role, at, size)
            case Store(at, data):
                return self._store(role, at, data), None
            case Notify():
                return replace(self, events=self.events | {role.peer}), None
            case ReadNode(path):
                return self, dict(self.nodes).get(path)
            case WriteNodes(nodes):
                return self._write(nodes), None
            case WatchNode(path):
                watches, changes = self.watches | {(role, path)}, self.changes | {(role, path)}
                return replace(self, watches=watches, changes=changes), None
            case Execute(request, _):
                return replace(self, running=request), None
            case Deliver(answer):
                return self._deliver(answer), None
            case Map():
                return replace(self, shared=True), True
            case Bind(_, port):
                # Binding to a port of the peer's raises an event at once.
                mine = self.events | {role} if port is not None else self.events
                return replace(self, events=mine), _PORT
            case Grant():
                return self, _GREF
            case Abort():
                return self, None
        raise Counterexample(f"the {role.value} asks for {operation}, which nobody can do")

    def _load(self, role: Role, at: int, size: int) -> tuple["World", bytes]:
        data = self.memory[at : at + size]
        if at <= page.STATE.offset < at + size:
            return replace(self, seen=self._seen(role, self.memory[page.STATE.offset])), data
        return self, data

    def _seen(self, role: Role, state: int) -> tuple[int, int]:
        frontend, backend = self.seen
        return (state, backend) if role is Role.FRONTEND else (frontend, state)

    def _store(self, role: Role, at: int, data: bytes) -> "World":
        state = State(self.memory[page.STATE.offset])
        data = data[: max(0, WINDOW - at)]
        memory = self.memory[:at] + data + self.memory[at + len(data) :]
        if not self.shared and at == 0 and not any(data):
            return replace(self, memory=memory)
        if at == page.STATE.offset and len(data) == 1:
            seen = self.seen[0 if role is Role.FRONTEND else 1]
            try:
                store_state(state, role, State(data[0]), seen=State(seen))
            except ProtocolViolation as violation:
                raise Counterexample(str(violation)) from violation
            return replace(self, memory=memory, seen=self._seen(role, data[0]))
        if OWNER[state] is not role:
            raise Counterexample(f"the {role.value} stores at {at} while state is {state.name}")
        return replace(self, memory=memory)

    def _write(self, nodes: tuple[tuple[str, str], ...]) -> "World":
        merged = dict(self.nodes) | dict(nodes)
        fired = {(role, path) for role, path in self.watches if path in dict(nodes)}
        return replace(self, nodes=tuple(sorted(merged.items())), changes=self.changes | fired)

    def _deliver(self, answer: Answer) -> "World":
        """The user gets an answer; a response has to be that of the request."""
        expected = response_to(self.frontend.packet)
        if answer.outcome == "response" and answer.packet != expected:
            raise Counterexample(f"the answer to another request: {answer.packet.hex()}")
        if answer.outcome in ("failed", "refused"):
            raise Counterexample(f"a legal exchange ended as {answer.outcome}")
        return self
