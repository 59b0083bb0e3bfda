# SPDX-License-Identifier: MIT
"""
Drives a sans-I/O machine: takes the steps it asks for, feeds it what happens.

A machine is anything with the interface of ``vtpm_ref.frontend.Frontend`` or
``vtpm_ref.backend.Backend``.  What a step does to the world is the business of
the hands it is given: a recorded page in memory, or mapped memory and
eventfds in a process.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from vtpm_ref.errors import ProtocolViolation
from vtpm_ref.packet import Family
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
    Revoke,
    Store,
    Unbind,
    Unmap,
    WatchNode,
    WriteNodes,
)


class Tpm(Protocol):
    """
    A TPM behind a backend.

    ``start`` returns at once; the command runs until ``finished``.
    """

    family: Family

    def start(self, packet: bytes, locality: int) -> None:
        """Start a command."""

    def abort(self) -> None:
        """Ask for the running command to be abandoned; it still finishes."""

    def finished(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for the command; say if it is over."""

    def result(self) -> bytes | None:
        """The response of the command that is over, ``None`` if abandoned."""

    def fileno(self) -> int:
        """A descriptor that is readable when the command is over, or -1."""


class Hands(Protocol):
    """What a machine's steps do to the world; results as ``vtpm_ref.steps`` says."""

    def load(self, at: int, size: int) -> bytes: ...
    def store(self, at: int, data: bytes) -> None: ...
    def notify(self) -> None: ...
    def grant(self, domid: int) -> int: ...
    def map(self, domid: int, gref: int) -> bool: ...
    def bind(self, domid: int, port: int | None) -> int | None: ...
    def unmap(self, gref: int) -> None: ...
    def unbind(self, port: int) -> None: ...
    def revoke(self, gref: int) -> bool: ...
    def read_node(self, path: str) -> str | None: ...
    def write_nodes(self, nodes: tuple[tuple[str, str], ...]) -> None: ...
    def watch_node(self, path: str) -> None: ...
    def deliver(self, order: int, answer: Answer, why: str) -> None: ...


class Driver:
    """
    One machine and its hands.

    :param tpm: the TPM of a backend; a frontend has none.
    """

    def __init__(self, machine: Any, hands: Hands, tpm: Tpm | None = None) -> None:
        self.machine = machine
        self.working = False
        self._tpm = tpm
        self._hands = hands
        self._inbox: deque[Callable[[Any], Any]] = deque()
        self._orders: deque[tuple[int, bytes, int]] = deque()
        self._running_order = 0
        self._closing_order = 0
        self._opening_order = 0
        self._reopens = False
        self._take: dict[type, Callable[[Any], Any]] = {
            Load: lambda op: hands.load(op.at, op.size),
            Store: lambda op: hands.store(op.at, op.data),
            Notify: lambda op: hands.notify(),
            Grant: lambda op: hands.grant(op.domid),
            Map: lambda op: hands.map(op.domid, op.gref),
            Bind: lambda op: hands.bind(op.domid, op.port),
            Unmap: lambda op: hands.unmap(op.gref),
            Unbind: lambda op: hands.unbind(op.port),
            Revoke: lambda op: hands.revoke(op.gref),
            ReadNode: lambda op: hands.read_node(op.path),
            WriteNodes: lambda op: hands.write_nodes(op.nodes),
            WatchNode: lambda op: hands.watch_node(op.path),
            Execute: self._execute,
            Abort: lambda op: self._tpm.abort() if self._tpm else None,
            Deliver: self._deliver,
        }

    def event(self) -> None:
        """An event arrived; the machine is told before its next step."""
        self._inbox.append(lambda machine: machine.event())

    def changed(self, path: str) -> None:
        """A watched node changed."""
        self._inbox.append(lambda machine: machine.changed(path))

    def expired(self) -> None:
        """The deadline of the machine's wait passed."""
        self._inbox.append(lambda machine: machine.expired())

    def order(self, number: int, do: str, packet: bytes = b"", locality: int = 0) -> None:
        """Order the machine to ``send``, ``cancel``, ``close`` or ``reconnect``."""
        if do == "send":
            self._orders.append((number, packet, locality))
        elif do == "cancel":
            self._inbox.append(lambda machine: machine.cancel())
        elif do == "close":
            self._closing_order = number
            self._inbox.append(lambda machine: machine.close())
        elif do == "reconnect":
            # One that has neither closed nor is about to is on its way already.
            self._opening_order = number
            self._reopens = bool(self._closing_order) or self.machine.leaves

    def step(self) -> bool:
        """Take one step or input; return whether there was one to take."""
        if self._inbox:
            self.machine = self._inbox.popleft()(self.machine)
            return True
        operation = self.machine.operation
        if operation is not None:
            result = self._take[type(operation)](operation)
            self.machine = self.machine.after(result)
            return True
        return self._next_order()

    @property
    def may_finish(self) -> bool:
        """Whether its TPM comes to the end of a command by itself; a stand-in is waited for."""
        return self.working and self._tpm is not None and self._tpm.fileno() >= 0

    def finish_work(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for the TPM; say if it came to an end."""
        if not (self.working and self._tpm and self._tpm.finished(timeout)):
            return False
        self.working = False
        response = self._tpm.result()
        self._inbox.append(lambda machine: machine.completed(response))
        return True

    def _execute(self, operation: Execute) -> None:
        if self._tpm is None:
            raise TypeError("the machine executes a command, but no TPM was given with it")
        self._tpm.start(operation.packet, operation.locality)
        self.working = True
        self.finish_work(0)

    def _deliver(self, operation: Deliver) -> None:
        self._hands.deliver(self._running_order, operation.answer, "")

    def _next_order(self) -> bool:
        """Report on an order that has come to its end, or begin the next."""
        if self._closing_order and self.machine.down:
            self._hands.deliver(self._closing_order, Answer("closed"), "")
            self._closing_order = 0
            return True
        if self._reopens and self.machine.down:  # not before it has closed
            self._reopens = False
            self.machine = self.machine.reopen()
            return True
        if self._opening_order and (self.machine.ready or self.machine.down):
            # Down again: a deadline passed before the peer let go of what was.
            outcome = "connected" if self.machine.ready else "timed-out"
            self._hands.deliver(self._opening_order, Answer(outcome), "")
            self._opening_order, self._reopens = 0, False
            return True
        if not self._orders:
            return False
        if self.machine.leaves:
            number, _, _ = self._orders.popleft()
            self._hands.deliver(number, Answer("refused"), "not connected")
            return True
        if not self.machine.ready:
            return False
        number, packet, locality = self._orders.popleft()
        try:
            self.machine = self.machine.submit(packet, locality)
            self._running_order = number
        except ProtocolViolation as violation:
            self._hands.deliver(number, Answer("refused"), str(violation))
        return True
