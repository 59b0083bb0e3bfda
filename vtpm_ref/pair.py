# SPDX-License-Identifier: MIT
"""
A reference frontend and a reference backend that share a page, in memory.

For the examples in the pages, and for whoever wants to watch one exchange.
The judge drives the machines itself, with a recorder in between.
"""

from collections.abc import Callable
from dataclasses import replace

from vtpm_ref import page
from vtpm_ref.backend import Backend
from vtpm_ref.frontend import Frontend
from vtpm_ref.ground import Ground
from vtpm_ref.states import Role
from vtpm_ref.steps import (
    Abort,
    Answer,
    Deliver,
    Execute,
    Operation,
    Store,
    WriteNodes,
    name_field,
)

#: A TPM as the pair sees it: a request in, a response or ``None`` out.
Tpm = Callable[[bytes], bytes | None]


def describe_store(at: int, data: bytes) -> str:
    """Say which field a store of ``data`` at offset ``at`` writes, and what."""
    size = len(data)
    other = f"packet {size} bytes" if at >= page.HEADER_SIZE else f"{size} bytes at {at}"
    return name_field(at, data) or other


class Pair:
    """
    Both reference machines, the ground between them, and what was done.

    :ivar stores: one line for each store to the page.
    :ivar nodes_written: one line for each write to xenstore.
    """

    def __init__(self) -> None:
        self.frontend = Frontend()
        self.backend = Backend()
        self.ground = Ground(window=page.PAGE_SIZE)
        self.stores: list[str] = []
        self.nodes_written: list[str] = []
        self._answer: Answer | None = None
        self._respond: Tpm = lambda _: None

    @classmethod
    def connected(cls) -> "Pair":
        """A pair that has connected, with nothing noted yet."""
        pair = cls()
        pair.settle()
        pair.stores.clear()
        pair.nodes_written.clear()
        return pair

    def exchange(self, request: bytes, respond: Tpm) -> Answer:
        """
        Send ``request`` through the page and return what the frontend got.

        :param respond: the TPM behind the backend.
        :raises ProtocolViolation: the request may not be submitted.
        """
        self._respond, self._answer = respond, None
        self.frontend = self.frontend.submit(request)
        self.settle()
        return self._answer or Answer("timed-out")

    def close(self) -> None:
        """Let the frontend close, and both sides go on until both wait."""
        self.frontend = self.frontend.close()
        self.settle()

    def reopen(self) -> None:
        """Let a frontend that has closed connect again."""
        self.frontend = self.frontend.reopen()
        self.settle()

    def settle(self) -> None:
        """Let each side go on until both wait and nothing is on its way."""
        while self._step(Role.BACKEND) or self._step(Role.FRONTEND) or self._bring():
            pass

    def _step(self, role: Role) -> bool:
        operation = self._machine(role).operation
        if operation is None:
            return False
        self._note(role, operation)
        result: object = None
        match operation:
            case Execute(packet, _):
                self.backend = self.backend.after()
                self.backend = self.backend.completed(self._respond(packet))
                return True
            case Deliver(answer):
                self._answer = answer
            case Abort():
                pass
            case _:
                self.ground, result = self.ground.take(role, operation)
        self._become(self._machine(role).after(result))
        return True

    def _machine(self, role: Role) -> Frontend | Backend:
        return self.backend if role is Role.BACKEND else self.frontend

    def _become(self, machine: Frontend | Backend) -> None:
        if isinstance(machine, Frontend):
            self.frontend = machine
        else:
            self.backend = machine

    def _note(self, role: Role, operation: Operation) -> None:
        match operation:
            case Store(at, data):
                self.stores.append(f"{role.value} {describe_store(at, data)}")
            case WriteNodes(nodes):
                said = ", ".join(f"{path.rsplit('/', 1)[1]} = {text}" for path, text in nodes)
                self.nodes_written.append(f"{role.value} {said}")

    def _bring(self) -> bool:
        """Bring what has happened to whom it concerns; whether there was anything."""
        ground = self.ground
        self.ground = replace(ground, events=frozenset(), changes=frozenset())
        for role in ground.events:
            self._become(self._machine(role).event())
        for role, path in sorted(ground.changes):
            self._become(self._machine(role).changed(path))
        return bool(ground.events or ground.changes)
