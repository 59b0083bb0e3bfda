# SPDX-License-Identifier: MIT
"""
The target's side of the process link, for machines in Python.

``serve(factory)`` is the whole of a program that can be judged; what it
speaks is on the page ``spec/adapter.md``.
"""

import contextlib
import json
import mmap
import os
import select
import sys
import time
from collections.abc import Callable
from typing import Any

from conformance.driver import Driver
from conformance.links.xenstore_wire import Message, Op, take_messages
from conformance.targets import Target
from vtpm_ref.page import PAGE_SIZE
from vtpm_ref.states import Role
from vtpm_ref.steps import Answer
from vtpm_ref.xenbus import Place

#: Seconds that a frontend waits for an answer, as Linux does for unknown commands.
PATIENCE = 120.0

#: Steps after which input is looked at, even if the machine does not rest.
TURN = 64


class Ended(Exception):
    """The judge has closed stdin or ordered a stop."""


def serve(factory: Callable[[Place], Target]) -> int:
    """
    Be a target: read ``start`` from stdin, serve until stdin ends.

    :return: the exit status of the program.
    """
    with contextlib.suppress(Ended, BrokenPipeError):
        _Service(factory).run()
    return 0


class _Service:
    """The hands of one machine, made of the descriptors that the judge gave."""

    def __init__(self, factory: Callable[[Place], Target]) -> None:
        self._input = bytearray()
        self._orders: list[dict[str, Any]] = []
        start = self._next_line()
        place = Place(start["frontend"], start["backend"], start["device"])
        self._memory = mmap.mmap(start["memory_fd"], start["pages"] * PAGE_SIZE)
        self._wait_fds = [int(fd) for fd in start["wait_fds"].split(",")]
        self._signal_fds = [int(fd) for fd in start["signal_fds"].split(",")]
        self._store = _StoreClient(start["store_fd"], self._changed)
        self._page = 0
        self._port: int | None = None
        self._requests = 0
        self._target = factory(place)
        self._driver = Driver(self._target.machine, self, self._target.tpm)
        self._is_frontend = start["role"] == Role.FRONTEND.value
        family = self._target.tpm.family if self._target.tpm else self._target.family
        self._say(
            msg="ready",
            protocol=1,
            name=self._target.name,
            tpm=family.value,
            can=",".join(sorted(self._target.can)),
        )

    def run(self) -> None:
        """Step the machine while it has steps to take, else wait for input."""
        driver, expires = self._driver, None
        while True:
            steps = 0
            while driver.step():
                expires, steps = None, steps + 1
                if steps % TURN == 0:
                    self._wait(0)  # a machine that polls never rests
            patient = self._is_frontend and driver.machine.patient
            if patient and expires is None:
                expires = time.monotonic() + PATIENCE
            if expires is not None and time.monotonic() >= expires:
                driver.expired()
            else:
                self._wait(None if expires is None else expires - time.monotonic())

    def _wait(self, timeout: float | None) -> None:
        fds = [0, self._store.fd]
        if self._port is not None:
            fds.append(self._wait_fds[self._port])
        if self._driver.working and self._target.tpm:
            fds.append(self._target.tpm.fileno())
        for fd in select.select(fds, [], [], timeout)[0]:
            if fd == 0:
                self._read_input()
            elif fd == self._store.fd:
                self._store.receive()
            elif self._port is not None and fd == self._wait_fds[self._port]:
                os.eventfd_read(fd)
                self._driver.event()
            else:
                self._driver.finish_work(0)
        self._take_orders()

    # Lines.

    def _say(self, **message: object) -> None:
        os.write(1, json.dumps(message).encode() + b"\n")

    def _read_input(self) -> None:
        data = os.read(0, 65536)
        if not data:
            raise Ended
        self._input += data
        while b"\n" in self._input:
            line, _, rest = bytes(self._input).partition(b"\n")
            self._input = bytearray(rest)
            self._orders.append(json.loads(line))

    def _next_line(self) -> dict[str, Any]:
        while not self._orders:
            self._read_input()
        return self._orders.pop(0)

    def _take_orders(self) -> None:
        for order in self._orders:
            if order["do"] == "stop":
                raise Ended
            packet = bytes.fromhex(order.get("packet", ""))
            self._driver.order(order["id"], order["do"], packet, order.get("locality", 0))
        self._orders.clear()

    def _ask(self, msg: str, **fields: int) -> dict[str, Any]:
        """Send a request and wait for its reply; orders in between are kept."""
        self._requests += 1
        self._say(msg=msg, id=self._requests, **fields)
        kept: list[dict[str, Any]] = []
        while True:
            line = self._next_line()
            if line["msg"] != "order":
                self._orders = kept + self._orders
                return line
            kept.append(line)

    # The machine's hands.

    def load(self, at: int, size: int) -> bytes:
        return self._memory[self._page + at : self._page + at + size]

    def store(self, at: int, data: bytes) -> None:
        self._memory[self._page + at : self._page + at + len(data)] = data

    def notify(self) -> None:
        if self._port is not None:
            os.eventfd_write(self._signal_fds[self._port], 1)

    def grant(self, domid: int) -> int:
        gref = int(self._ask("grant", domid=domid)["gref"])
        self._page = gref * PAGE_SIZE
        return gref

    def map(self, domid: int, gref: int) -> bool:
        self._page = gref * PAGE_SIZE
        return bool(self._ask("map", domid=domid, gref=gref)["msg"] == "done")

    def bind(self, domid: int, port: int | None) -> int | None:
        fields = {"domid": domid} | ({} if port is None else {"port": port})
        self._port = self._ask("bind", **fields).get("port")
        return self._port

    def read_node(self, path: str) -> str | None:
        return self._store.read(path)

    def write_nodes(self, nodes: tuple[tuple[str, str], ...]) -> None:
        self._store.write(nodes)

    def watch_node(self, path: str) -> None:
        self._store.call(Op.WATCH, f"{path}\0{path}\0")

    def deliver(self, order: int, answer: Answer, why: str) -> None:
        packet = {"packet": answer.packet.hex()} if answer.packet else {}
        reason = {"why": why} if why else {}
        self._say(msg="result", id=order, **{"is": answer.outcome}, **packet, **reason)

    def _changed(self, path: str) -> None:
        self._driver.changed(path)


class _StoreClient:
    """Speaks xenstore's wire protocol over a connected socket."""

    def __init__(self, fd: int, changed: Callable[[str], None]) -> None:
        self.fd = fd
        self._changed = changed
        self._buffer = bytearray()
        self._replies: list[Message] = []

    def receive(self) -> None:
        """Take what has come; watch events are passed on at once."""
        data = os.read(self.fd, 65536)
        if not data:
            raise Ended
        self._buffer += data
        for message in take_messages(self._buffer):
            if message.op == Op.WATCH_EVENT:
                self._changed(message.payload.split(b"\0")[0].decode())
            else:
                self._replies.append(message)

    def call(self, op: Op, payload: str, tx: int = 0) -> Message:
        """Send one message and wait for its reply."""
        os.write(self.fd, Message(op, 0, tx, payload.encode()).pack())
        while not self._replies:
            self.receive()
        return self._replies.pop(0)

    def read(self, path: str) -> str | None:
        reply = self.call(Op.READ, f"{path}\0")
        return None if reply.op == Op.ERROR else reply.payload.decode()

    def write(self, nodes: tuple[tuple[str, str], ...]) -> None:
        """Write nodes, several in one transaction, again if it met another."""
        while True:
            tx = 0
            if len(nodes) > 1:
                tx = int(self.call(Op.TRANSACTION_START, "\0").payload.rstrip(b"\0"))
            for path, text in nodes:
                self.call(Op.WRITE, f"{path}\0{text}", tx)
            if not tx or self.call(Op.TRANSACTION_END, "T\0", tx).payload != b"EAGAIN\0":
                return


if __name__ == "__main__":
    sys.exit("this module is imported by targets; see conformance.targets.reference")
