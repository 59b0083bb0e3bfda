# SPDX-License-Identifier: MIT
"""
Both reference machines, what lies between them, and every move that can come next.

For exhaustive search: a world never changes, equals another with the same
content, and says which worlds can follow.  Loads, stores and notifications of
the two sides interleave in every order; events coalesce, come late, or come
without cause; the user cancels, gives up, closes and comes back; either side
dies at any moment and starts anew; the TPM ends when it likes, with a response
or without.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

from vtpm_ref import packet
from vtpm_ref.backend import Backend
from vtpm_ref.frontend import Frontend
from vtpm_ref.frontend import Step as FrontendStep
from vtpm_ref.ground import Counterexample, Ground
from vtpm_ref.states import Role
from vtpm_ref.steps import Abort, Answer, Deliver, Execute, Operation
from vtpm_ref.xenbus import Place, XenbusState

__all__ = ["Budget", "Counterexample", "World", "request_for", "response_to"]


def request_for(number: int) -> bytes:
    """The request with this number; its response carries the number back."""
    return packet.build(0x8001, number)


def response_to(request: bytes) -> bytes:
    """The response that belongs to ``request`` and to no other."""
    return packet.build(0x8001, 0, request[8:10])


@dataclass(frozen=True)
class Budget:
    """
    How often the world may still do what it need not do.

    :param closes: of the frontend, by its user.
    :param opens: of a frontend that has closed; without it that is the end.
    :param backend_closes: of the backend, by itself; it offers the device again.
    :param detaches: of the device, by the toolstack; that is the end.
    :param crashes: of the frontend's domain; it starts anew.
    :param restarts: of the backend, without warning.
    """

    requests: int = 3
    cancels: int = 0
    expiries: int = 0
    spurious: int = 0
    idle_answers: int = 0
    closes: int = 0
    opens: int = 2
    backend_closes: int = 0
    detaches: int = 0
    crashes: int = 0
    restarts: int = 0

    def __str__(self) -> str:
        return ", ".join(
            f"{value} {f.name.replace('_', ' ')}"
            for f in fields(self)
            if (value := getattr(self, f.name)) != f.default or f.name == "requests"
        )

    def less(self, what: str) -> "Budget":
        """The budget when one more of ``what`` is spent."""
        left: dict[str, int] = {what: max(0, getattr(self, what) - 1)}
        return replace(self, **left)


#: What the toolstack has written of a device that is to stay.
_OFFERED = ((Place().path(Role.BACKEND, "online"), "1"),)


@dataclass(frozen=True)
class World:
    """
    One moment of the two sides.

    :param ground: pages, ports, events and nodes between them.
    :param running: the command that the TPM works on, empty if none.
    :param detached: the toolstack has taken the device away.
    """

    budget: Budget
    frontend: Frontend = field(default_factory=Frontend)
    backend: Backend = field(default_factory=Backend)
    ground: Ground = field(default_factory=lambda: Ground().write(_OFFERED))
    running: bytes = b""
    detached: bool = False

    @classmethod
    def connected(cls, budget: Budget) -> "World":
        """A world in which both sides have connected and rest."""
        world = cls(Budget(requests=0))
        while (after := world._first_step()) is not None:
            world = after
        return replace(world, budget=budget)

    def _first_step(self) -> "World | None":
        """The first of the moves that come by themselves, if there is one."""
        own = (move for name, move in self.moves() if not name.startswith("the user"))
        return next(own, None)

    def moves(self) -> Iterator[tuple[str, "World"]]:
        """
        Every move that can come next, with what it leads to.

        :raises Counterexample: one of them breaks an invariant.
        """
        for role in Role:
            machine = self.machine(role)
            operation = machine.operation
            if operation is not None:
                yield f"{role.value}: {machine.step.value}", self.take(role, operation)
            if role in self.ground.events:
                after = replace(self, ground=self.ground.without_event(role))
                yield f"the {role.value} gets an event", after.tell(role, machine.event())
        for role, path in sorted(self.ground.changes):
            after = replace(self, ground=self.ground.without_change(role, path))
            told = after.tell(role, self.machine(role).changed(path))
            yield f"the {role.value} sees {path}", told
        yield from self._tpm_moves()
        yield from self._user_moves()
        yield from self._spurious_moves()
        yield from self._lifecycle_moves()

    @property
    def done(self) -> bool:
        """Whether nothing is left to do: all requests ended, both sides rest."""
        rests = (
            not self.running and self.frontend.operation is None and self.backend.operation is None
        )
        if self.detached:
            return rests and not self.frontend.gref and self.backend.shown is XenbusState.CLOSED
        over = self.budget.requests == 0 or (self.frontend.down and self.budget.opens == 0)
        return rests and over and not self.frontend.busy

    def machine(self, role: Role) -> Frontend | Backend:
        """The machine that plays ``role``."""
        return self.frontend if role is Role.FRONTEND else self.backend

    def tell(self, role: Role, machine: Frontend | Backend) -> "World":
        """The world in which ``machine`` plays ``role``."""
        if isinstance(machine, Frontend):
            return replace(self, frontend=machine)
        return replace(self, backend=machine)

    def take(self, role: Role, operation: Operation) -> "World":
        """
        The world after ``role``'s operation was taken.

        :raises Counterexample: it breaks an invariant.
        """
        result: object = None
        world = self
        match operation:
            case Execute(request, _):
                world = replace(self, running=request)
            case Deliver(answer):
                self._check(answer)
            case Abort():
                pass
            case _:
                ground, result = self.ground.take(role, operation)
                world = replace(self, ground=ground)
        return world.tell(role, world.machine(role).after(result))

    def _tpm_moves(self) -> Iterator[tuple[str, "World"]]:
        if not self.running:
            return
        idle = replace(self, running=b"")
        ended = self.backend.completed(response_to(self.running))
        yield "the TPM ends", replace(idle, backend=ended)
        if self.budget.idle_answers or self.backend.aborted:
            given_up = replace(idle, budget=self.budget.less("idle_answers"))
            yield "the TPM gives up", replace(given_up, backend=self.backend.completed(None))

    def _user_moves(self) -> Iterator[tuple[str, "World"]]:
        budget, frontend = self.budget, self.frontend
        if budget.requests and frontend.ready:
            submitted = frontend.submit(request_for(budget.requests))
            yield "the user submits", self._spend("requests", frontend=submitted)
        if budget.cancels and frontend.busy:
            yield "the user cancels", self._spend("cancels", frontend=frontend.cancel())
        if budget.expiries and frontend.patient and frontend.busy:
            yield "the deadline passes", self._spend("expiries", frontend=frontend.expired())

    def _spurious_moves(self) -> Iterator[tuple[str, "World"]]:
        for role in Role:
            if self.budget.spurious and self.ground.bound and role not in self.ground.events:
                ground = replace(self.ground, events=self.ground.events | {role})
                yield (
                    f"an event without cause for the {role.value}",
                    self._spend("spurious", ground=ground),
                )

    def _lifecycle_moves(self) -> Iterator[tuple[str, "World"]]:
        budget, frontend, backend = self.budget, self.frontend, self.backend
        if budget.closes and not frontend.leaves:
            yield "the user closes", self._spend("closes", frontend=frontend.close())
        if frontend.down and budget.requests and budget.opens and not self.detached:
            yield "the user opens again", self._spend("opens", frontend=frontend.reopen())
        if budget.backend_closes and not backend.leaving:
            yield "the backend closes", self._spend("backend_closes", backend=backend.close())
        if backend.down:
            yield "the backend opens again", replace(self, backend=backend.reopen())
        if budget.detaches:
            yield (
                "the toolstack detaches",
                self._spend("detaches", ground=self._detach(), detached=True),
            )
        if budget.crashes:
            yield (
                "the frontend's domain dies",
                self._spend("crashes", frontend=Frontend(), ground=self.ground.without_frontend()),
            )
        if budget.restarts:
            yield (
                "the backend dies",
                self._spend(
                    "restarts", backend=Backend(), ground=self.ground.without_backend(), running=b""
                ),
            )

    def detachment(self) -> tuple[tuple[str, str], ...]:
        """The nodes that the toolstack writes to take the device away, one after the other."""
        place, closing = self.backend.place, str(int(XenbusState.CLOSING))
        return (
            (place.path(Role.BACKEND, "online"), "0"),
            (place.path(Role.BACKEND, "state"), closing),
        )

    def _detach(self) -> Ground:
        online, state = self.detachment()
        return self.ground.write((online,)).write((state,))

    def _spend(self, what: str, **changed: Any) -> "World":
        return replace(self, budget=self.budget.less(what), **changed)

    def _check(self, answer: Answer) -> None:
        """The user gets an answer; a response has to be that of the request."""
        expected = response_to(self.frontend.packet)
        if answer.outcome == "response" and answer.packet != expected:
            raise Counterexample(f"the answer to another request: {answer.packet.hex()}")
        if answer.outcome in ("failed", "refused"):
            raise Counterexample(f"a legal exchange ended as {answer.outcome}")
        if self.frontend.step is FrontendStep.DOWN:
            raise Counterexample("an answer after the end")
