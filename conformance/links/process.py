# SPDX-License-Identifier: MIT
"""
The process link: the target is a program, in any language.

What it inherits and says is on the page ``spec/adapter.md``.  The judge sees
the page only when it looks, so stores of the target are sampled; requests,
xenstore operations and orders pass through its hands and are exact.
"""

import contextlib
import json
import mmap
import os
import select
import shlex
import socket
import time
from collections.abc import Callable
from typing import Any

from conformance.errors import AdapterError
from conformance.links.base import ALWAYS_EXACT, Link
from conformance.links.connection import Connection
from conformance.links.lines import (
    PROTOCOL,
    REQUESTS,
    cut,
    number,
    parse_line,
    parse_ready,
    parse_result,
)
from conformance.links.program import Outlet, Program, readable, sealed_memory
from conformance.links.requests import Requests
from conformance.links.xenstore_wire import StoreServer, take_messages
from conformance.recorder import Recorder
from vtpm_ref.page import PAGE_SIZE
from vtpm_ref.states import Role
from vtpm_ref.steps import parse_number
from vtpm_ref.xenbus import Place

#: What is seen of a program: see the module's docstring.
EVIDENCE = {**ALWAYS_EXACT, "loads": "none", "stores": "sampled", "events": "exact"}

#: Seconds, before the multiplier, until a started program says that it is ready.
START_LIMIT = 10.0

#: Seconds, before the multiplier, until it has ended after its stdin has.
END_LIMIT = 2.0

#: Wake-ups within one wait after which events are only counted every 10 ms.
FLOOD = 100


class ProcessLink(Link):
    """
    A target that is started as ``command``, without a shell.

    :param scale: multiplier of every limit, for slow machines.
    """

    def __init__(
        self, judged: Role, place: Place, recorder: Recorder, command: str, scale: float = 1.0
    ) -> None:
        self._memory_fd = sealed_memory(self.PAGES * PAGE_SIZE)
        super().__init__(judged, place, recorder)
        self._command = command
        self._scale = scale
        self._in_use: dict[int, int] = {}
        self._wait_fds: list[int] = []
        self._signal_fds: list[int] = []
        self._program: Program | None = None
        self._socket: socket.socket | None = None
        self._requests = Requests(self)
        self._open_orders: set[int] = set()
        self._published: int | None = None
        self._ready = False
        self._silent = False
        self._wakes = 0
        self._owes_read = False
        self._store_buffer = bytearray()

    def _make_memory(self) -> Any:
        self._map = mmap.mmap(self._memory_fd, self.PAGES * PAGE_SIZE)
        return self._map

    def start(self) -> None:
        """See ``Link.start``."""
        flags = os.EFD_NONBLOCK | os.EFD_CLOEXEC
        for _ in range(self.PORTS):
            self._wait_fds.append(os.eventfd(0, flags))
            self._signal_fds.append(os.eventfd(0, flags))
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._socket = ours
        fds = [self._memory_fd, theirs.fileno(), *self._wait_fds, *self._signal_fds]
        try:
            self._program = Program(shlex.split(self._command), fds, self.recorder)
        finally:
            store_fd = theirs.fileno()
            theirs.close()
        self._outlet = Outlet(ours.fileno())
        domid = self.first.domid_of(self.judged)
        self._server = StoreServer(self.store_, domid, self._send_store)
        self._poll = select.poll()
        program = self._program
        for fd in (program.stdout, program.stderr, program.pidfd, ours.fileno()):
            self._poll.register(fd, select.POLLIN)
        self._poll.register(program.stdin_fd, 0)  # its other end closed is an error, never input
        self._say_start(store_fd)
        self._wait_ready()

    def stop(self) -> None:
        """See ``Link.stop``; the target gets the time to end by itself."""
        try:
            if self._program is not None and self._socket is not None:
                # A target that waits for xenstore is not to wait for ever.
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
                self._end(self._program, END_LIMIT * self._scale)
        finally:
            self._program = None
            self._give_back()

    def _end(self, program: Program, limit: float) -> None:
        if program.end(limit) or self._silent:
            return
        what = f"the target did not end within {limit:g} s of its stdin's end and was killed"
        self.recorder.event("trouble", what=what)

    def _give_back(self) -> None:
        for fd in (*self._wait_fds, *self._signal_fds):
            os.close(fd)
        self._wait_fds, self._signal_fds = [], []
        if self._socket is not None:
            self._socket.close()
        if self._memory_fd >= 0:
            for connection in self.connections:
                connection.release()
            self.memory.release()
            self._map.close()
            os.close(self._memory_fd)
            self._memory_fd = -1

    def silence(self, awaited: str, seconds: float, connection: Connection | None = None) -> None:
        """See ``Link.silence``; a target that is silent need not be told that it hangs."""
        self._silent = True
        super().silence(awaited, seconds, connection)

    def wait(
        self,
        ready: Callable[[], bool],
        limit: float,
        awaited: str,
        connection: Connection | None = None,
        *,
        eager: bool = False,
    ) -> bool:
        """See ``Link.wait``."""
        self._wakes = 0
        deadline = time.monotonic() + limit
        while not ready():
            rest = deadline - time.monotonic()
            if rest <= 0 or self.exited is not None:
                self.silence(awaited, limit, connection)
                return False
            self._pump(0 if eager else rest)
        return True

    def settle(self, connection: Connection, limit: float, *, nodes: bool = False) -> None:
        """See ``Link.settle``; until it has read its eventfd, or followed its watch."""
        deadline = time.monotonic() + min(limit, 0.5 * self._scale)
        while self.exited is None and time.monotonic() < deadline:
            if not (self._owes_read if nodes else self._event_pending(connection)):
                break
            self._pump(0.001)
        if self.exited is None:
            self._pump(0)  # what it said before it took the event

    def bind(
        self, connection: Connection, role: Role, domid: int, remote: int | None
    ) -> int | None:
        """See ``Link.bind``; a target that binds finds one event pending."""
        port = super().bind(connection, role, domid, remote)
        if port is None:
            return None
        if role is self.judged:
            self._use_port(connection, port)
            if remote is not None:
                self.signal(connection)
        elif remote is not None:
            self._use_port(connection, remote)
        return port

    def unbind(self, connection: Connection, role: Role, port: int) -> bool:
        """See ``Link.unbind``."""
        if role is self.judged and self._in_use.get(connection.number) == port:
            self._poll.unregister(self._signal_fds[self._in_use.pop(connection.number)])
        return super().unbind(connection, role, port)

    def _use_port(self, connection: Connection, port: int) -> None:
        """From here on, ``port`` is the target's one that counts."""
        if (before := self._in_use.get(connection.number)) is not None:
            self._poll.unregister(self._signal_fds[before])
        self._in_use[connection.number] = port
        self._poll.register(self._signal_fds[port], select.POLLIN)

    def _observe(
        self, domid: int, op: str, path: str, value: str | None, tx: int, ok: bool
    ) -> None:
        """See ``Link._observe``; a page is looked at in the moment it is published."""
        super()._observe(domid, op, path, value, tx, ok)
        if self.judged is not Role.FRONTEND or domid != self.place.frontend_id:
            return
        if op == "write" and path == self.place.path(Role.FRONTEND, "ring-ref"):
            self._published = parse_number(value)
        if self._published is not None and (op == "end" or not tx):
            gref, self._published = self._published, None
            if gref in self._granted:
                self.recorder.sample(bytes(self.page_of(gref)))

    # What goes to the target.

    def signal(self, connection: Connection) -> None:
        """See ``Link.signal``."""
        port = self._in_use.get(connection.number)
        if port is None or not (self.judged is Role.FRONTEND or self.joined(connection)):
            return
        try:
            os.eventfd_write(self._wait_fds[port], 1)
        except BlockingIOError:
            return  # a counter that the target has filled itself is an event already

    def _order(self, number: int, do: str, packet: bytes, locality: int) -> None:
        self._open_orders.add(number)
        order = {"msg": "order", "id": number, "do": do}
        if do == "send":
            order |= {"locality": locality, "packet": packet.hex()}
        self._say(order)

    def _say(self, message: dict[str, Any]) -> None:
        if self._program is not None:
            self._program.stdin.send(json.dumps(message).encode() + b"\n")

    def _say_start(self, store_fd: int) -> None:
        place = self.place
        self._say(
            {
                "msg": "start",
                "protocol": PROTOCOL,
                "role": self.judged.value,
                "frontend": place.frontend_id,
                "backend": place.backend_id,
                "device": place.device_id,
                "memory_fd": self._memory_fd,
                "pages": self.PAGES,
                "store_fd": store_fd,
                "wait_fds": ",".join(map(str, self._wait_fds)),
                "signal_fds": ",".join(map(str, self._signal_fds)),
            }
        )

    def _send_store(self, data: bytes) -> None:
        self._owes_read = self._owes_read or data[0] == 15
        self._outlet.send(data)

    # What comes from the target.

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_LIMIT * self._scale
        while not self._ready:
            rest = deadline - time.monotonic()
            if self.exited is not None:
                raise AdapterError(f"the target ended before it was ready: {self.exited}")
            if rest <= 0:
                limit = START_LIMIT * self._scale
                raise AdapterError(f"the target did not say 'ready' within {limit:g} s")
            self._pump(rest)

    def _pump(self, timeout: float) -> None:
        """Wait for whatever comes first from the target, and take it in."""
        program = self._program
        assert program is not None
        program.stdin.flush()
        self._outlet.flush()
        event_fds = {self._signal_fds[port]: at for at, port in self._in_use.items()}
        if self._wakes > FLOOD:
            timeout = self._hold_back(list(event_fds), timeout)
        for fd, _ in self._poll.poll(max(0, int(timeout * 1000 + 0.999))):
            if fd in event_fds:
                self._take_events(fd, self.connections[event_fds[fd]])
            elif fd == program.stdout:
                self._take_output(program)
            elif fd == program.stderr:
                if not program.take_errors():
                    self._forget(fd)
            elif fd == program.pidfd:
                self._take_end(program)
                return
            elif fd == program.stdin_fd:
                self._forget(fd)
                self._must_be_over(program, "stdin")
            else:
                self._take_store(program)

    def _hold_back(self, event_fds: list[int], timeout: float) -> float:
        """Let a flood of events add up for 10 ms instead of taking each."""
        for fd in event_fds:
            self._poll.unregister(fd)
        self._poll.poll(10)
        for fd in event_fds:
            self._poll.register(fd, select.POLLIN)
        return max(0.0, timeout - 0.01)

    def _take_events(self, fd: int, connection: Connection) -> None:
        try:
            count = os.eventfd_read(fd)
        except BlockingIOError:
            return  # the target has read its own notification
        self._wakes += 1
        if self.judged is Role.FRONTEND or self.joined(connection):
            connection.events += count
        self.recorder.notify(self.judged, count, connection.number)

    def _take_output(self, program: Program) -> None:
        for line in program.take_lines():
            self._take_line(line)
        if program.ended:
            self._forget(program.stdout)
            self._must_be_over(program, "stdout")

    def _take_store(self, program: Program) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._forget(self._socket.fileno())
            self._must_be_over(program, "xenstore socket")
            return
        self._store_buffer += data
        for message in take_messages(self._store_buffer):
            self._owes_read = False
            self._server.handle(message)

    def _take_end(self, program: Program) -> None:
        """The target has ended; what it did before comes first."""
        self._forget(program.pidfd)
        for at, port in self._in_use.items():
            self._take_events(self._signal_fds[port], self.connections[at])
        self._take_store(program)
        self._take_output(program)
        self.exited = program.exit_status()
        self.recorder.event("exit", how=self.exited)

    def _forget(self, fd: int) -> None:
        """Do not listen to ``fd`` any more, if one still does."""
        with contextlib.suppress(KeyError):
            self._poll.unregister(fd)

    def _must_be_over(self, program: Program, closed: str) -> None:
        """A channel was closed, which happens when the target ends."""
        if not program.is_over(0.5 * self._scale):
            raise AdapterError(f"the target closed its {closed} but goes on")

    def _take_line(self, line: bytes) -> None:
        message = parse_line(line)
        kind = message["msg"]
        if kind == "ready":
            self._take_ready(message)
        elif kind == "result":
            self._take_result(message)
        elif kind in REQUESTS:
            self._say(self._requests.answer(message))
        else:
            raise AdapterError(f"the target sent a line with the unknown msg {kind!r}: {cut(line)}")

    def _take_ready(self, message: dict[str, Any]) -> None:
        if self._ready:
            raise AdapterError("the target said 'ready' a second time")
        self.family, self.can = parse_ready(message)
        self._ready = True

    def _take_result(self, message: dict[str, Any]) -> None:
        order, outcome = number(message, "id"), parse_result(message)
        if order not in self._open_orders:
            raise AdapterError(
                f"the target reports on order {order}, which it was not given"
                " or has reported on already"
            )
        self._open_orders.discard(order)
        packet = outcome.packet.hex()
        self.recorder.event(
            "result", id=order, outcome=outcome.outcome, packet=packet, why=outcome.why
        )
        self.results[order] = outcome

    def _event_pending(self, connection: Connection) -> bool:
        port = self._in_use.get(connection.number)
        return port is not None and readable(self._wait_fds[port])
