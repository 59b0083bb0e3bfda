# SPDX-License-Identifier: MIT
"""
A reference frontend and a reference backend that share a page, in memory.

For the examples in the pages, and for whoever wants to watch one exchange.
The judge drives the machines itself, with a recorder in between.
"""

from collections.abc import Callable

from vtpm_ref import page
from vtpm_ref.backend import Backend
from vtpm_ref.frontend import Frontend
from vtpm_ref.states import Role
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
    ReadNode,
    Store,
    WatchNode,
    WriteNodes,
    name_field,
)

#: A TPM as the pair sees it: a request in, a response or ``None`` out.
Tpm = Callable[[bytes], bytes | None]

_GREF = 8
_PORT = 1


def describe_store(at: int, data: bytes) -> str:
    """Say which field a store of ``data`` at offset ``at`` writes, and what."""
    size = len(data)
    other = f"packet {size} bytes" if at >= page.HEADER_SIZE else f"{size} bytes at {at}"
    return name_field(at, data) or other


class Pair:
    """
    Both reference machines, a page, a handful of nodes, and what was done.

    :ivar stores: one line for each store to the page.
    :ivar nodes_written: one line for each write to xenstore.
    """

    def __init__(self) -> None:
        self.frontend = Frontend()
        self.backend = Backend()
        self.memory = bytearray(page.PAGE_SIZE)
        self.nodes: dict[str, str] = {}
        self.watches: list[tuple[Role, str]] = []
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

    def settle(self) -> None:
        """Let each side go on until both wait."""
        while self._step(Role.BACKEND) or self._step(Role.FRONTEND):
            pass

    def _step(self, role: Role) -> bool:
        machine: Frontend | Backend = self.backend if role is Role.BACKEND else self.frontend
        operation = machine.operation
        if operation is None:
            return False
        result = self._take(role, operation)
        if role is Role.BACKEND:
            self.backend = self.backend.after(result)
        else:
            self.frontend = self.frontend.after(result)
        self._afterwards(role, operation)
        return True

    def _take(self, role: Role, operation: object) -> bytes | str | int | bool | None:
        """Take one step on the page and on xenstore; return its result."""
        match operation:
            case Load(at, size):
                return bytes(self.memory[at : at + size])
            case Store(at, data):
                self.memory[at : at + len(data)] = data
                self.stores.append(f"{role.value} {describe_store(at, data)}")
            case ReadNode(path):
                return self.nodes.get(path)
            case WriteNodes(nodes):
                self.nodes.update(nodes)
                said = ", ".join(f"{path.rsplit('/', 1)[1]} = {text}" for path, text in nodes)
                self.nodes_written.append(f"{role.value} {said}")
            case WatchNode(path):
                self.watches.append((role, path))
            case Deliver(answer):
                self._answer = answer
            case Grant():
                return _GREF
            case Bind():
                return _PORT
            case Map():
                return True
        return None

    def _afterwards(self, role: Role, operation: object) -> None:
        """Bring what the step caused to the other machine."""
        match operation:
            case Notify() if role is Role.FRONTEND:
                self.backend = self.backend.event()
            case Notify():
                self.frontend = self.frontend.event()
            case Execute(packet, _):
                self.backend = self.backend.completed(self._respond(packet))
            case Abort():
                self.backend = self.backend.completed(None)
            case WriteNodes(nodes):
                for path, _ in nodes:
                    self._fire(path)

    def _fire(self, path: str) -> None:
        for role, watched in self.watches:
            if path == watched and role is Role.BACKEND:
                self.backend = self.backend.changed(path)
            elif path == watched:
                self.frontend = self.frontend.changed(path)
