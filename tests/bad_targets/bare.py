# SPDX-License-Identifier: MIT
"""
An honest backend and frontend of few lines, for programs that then do one thing wrong.

Written from ``spec/adapter.md`` and the pages alone, with the standard library alone, so
that it starts at once and everything about it can be spoilt.
"""

import json
import mmap
import os
import select
import struct
import sys
from collections.abc import Callable
from typing import Any

IDLE, SUBMIT, FINISH, CANCEL = range(4)
READ, WATCH, START, END, WRITE, EVENT, ERROR = 2, 4, 6, 7, 11, 15, 16

#: What a TPM 2.0 says that has failed: TPM_RC_FAILURE.
FAILURE = bytes.fromhex("8001 0000000a 00000101")


def first_time() -> bool:
    """Whether no program of this run has asked before; later ones are to be honest."""
    try:
        os.close(os.open(os.environ["VTPM_BAD_ONCE"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


class Bare:
    """What both roles share: the line to the judge, xenstore, the page, one port."""

    def __init__(self) -> None:
        self.orders: list[dict[str, Any]] = []
        self._input = b""
        self._stored = b""
        self._requests = 0
        self.page = 0
        self.port = -1
        self.start = self.line()
        front, back, device = (self.start[key] for key in ("frontend", "backend", "device"))
        self.front = f"/local/domain/{front}/device/vtpm/{device}"
        self.back = f"/local/domain/{back}/backend/vtpm/{front}/{device}"
        self.memory = mmap.mmap(self.start["memory_fd"], self.start["pages"] * 4096)
        self.wait_fds = [int(fd) for fd in self.start["wait_fds"].split(",")]
        self.signal_fds = [int(fd) for fd in self.start["signal_fds"].split(",")]

    # The line to the judge.

    def line(self) -> dict[str, Any]:
        """The next line from the judge; at the end of stdin the program ends."""
        while b"\n" not in self._input:
            data = os.read(0, 65536)
            if not data:
                sys.exit()
            self._input += data
        line, self._input = self._input.split(b"\n", 1)
        return dict(json.loads(line))

    def say(self, **message: object) -> None:
        raw(json.dumps(message).encode() + b"\n")

    def ready(self, **changes: object) -> None:
        self.say(
            **{"msg": "ready", "protocol": 1, "name": "bare", "tpm": "2.0", "can": ""} | changes
        )

    def ask(self, **request: object) -> dict[str, Any]:
        self._requests += 1
        self.say(id=self._requests, **request)
        while (reply := self.line())["msg"] == "order":
            self.orders.append(reply)
        return reply

    # xenstore.

    def send_store(self, op: int, payload: str, tx: int = 0, length: int | None = None) -> None:
        size = len(payload) if length is None else length
        os.write(self.start["store_fd"], struct.pack("=IIII", op, 0, tx, size) + payload.encode())

    def receive_store(self) -> list[tuple[int, bytes]]:
        data = os.read(self.start["store_fd"], 65536)
        if not data:
            sys.exit()
        self._stored += data
        messages = []
        while len(self._stored) >= 16:
            op, _, _, size = struct.unpack_from("=IIII", self._stored)
            if len(self._stored) < 16 + size:
                break
            messages.append((op, self._stored[16 : 16 + size]))
            self._stored = self._stored[16 + size :]
        return messages

    def call_store(self, op: int, payload: str, tx: int = 0) -> bytes | None:
        """The reply's payload; ``None`` for an error.  Watch events may come before it."""
        self.send_store(op, payload, tx)
        while True:
            for kind, reply in self.receive_store():
                if kind != EVENT:
                    return None if kind == ERROR else reply

    def read(self, path: str) -> str:
        return (self.call_store(READ, f"{path}\0") or b"").decode()

    def write(self, path: str, value: str, tx: int = 0) -> None:
        self.call_store(WRITE, f"{path}\0{value}", tx)

    def wait_node(self, path: str, values: tuple[str, ...]) -> None:
        self.call_store(WATCH, f"{path}\0t\0")
        while self.read(path) not in values:
            self.wait()

    # The page and the port.

    @property
    def state(self) -> int:
        return self.memory[self.page + 4]

    @state.setter
    def state(self, value: int) -> None:
        self.memory[self.page + 4] = value

    @property
    def packet(self) -> bytes:
        (length,) = struct.unpack_from("<I", self.memory, self.page)
        at = self.page + 8 + 4 * self.memory[self.page + 7]
        return self.memory[at : min(at + length, self.page + 4096)]

    def put(self, packet: bytes, state: int) -> None:
        at = self.page + 8 + 4 * self.memory[self.page + 7]
        self.memory[at : at + len(packet)] = packet
        struct.pack_into("<I", self.memory, self.page, len(packet))
        self.state = state
        self.notify()

    def notify(self) -> None:
        os.eventfd_write(self.signal_fds[self.port], 1)

    def wait(self) -> bool:
        """Wait for whatever comes first; return whether it is an event."""
        store_fd = self.start["store_fd"]
        event_fd = self.wait_fds[self.port] if self.port >= 0 else 0
        readable = select.select([0, store_fd, event_fd], [], [])[0]
        if 0 in readable:
            self.orders.append(self.line())
        if store_fd in readable:
            self.receive_store()
        if event_fd and event_fd in readable:
            os.eventfd_read(event_fd)
            return True
        return False


class Backend(Bare):
    """A backend whose TPM is out of order: it answers every request with a failure."""

    def connect(self, before: Callable[["Backend"], object] = lambda _: None) -> None:
        """``before`` is called when the frontend is ready and nothing is mapped yet."""
        self.write(f"{self.back}/feature-protocol-v2", "1")
        self.write(f"{self.back}/state", "2")
        self.wait_node(f"{self.front}/state", ("3", "4"))
        if self.read(f"{self.front}/feature-protocol-v2") != "1":
            sys.exit("the frontend speaks another protocol")
        before(self)
        frontend = self.start["frontend"]
        gref = int(self.read(f"{self.front}/ring-ref"))
        port = int(self.read(f"{self.front}/event-channel"))
        self.ask(msg="map", domid=frontend, gref=gref)
        self.page = gref * 4096
        self.port = self.ask(msg="bind", domid=frontend, port=port)["port"]
        self.write(f"{self.back}/state", "4")

    def serve(self, instead: Callable[["Backend"], object] | None = None) -> None:
        """
        Answer for ever.

        :param instead: called once in a run, in place of the third answer.
        """
        count = 0
        while True:
            if self.state == SUBMIT:
                count += 1
                if instead is not None and count == 3 and first_time():
                    instead(self)
                else:
                    self.answer()
            self.wait()

    def answer(self) -> None:
        self.put(FAILURE, FINISH)


class Frontend(Bare):
    """A frontend that takes orders."""

    def connect(self) -> None:
        backend = self.start["backend"]
        gref = self.ask(msg="grant", domid=backend)["gref"]
        self.page = gref * 4096
        self.memory[self.page : self.page + 4096] = bytes(4096)
        self.port = self.ask(msg="bind", domid=backend)["port"]
        tx = int((self.call_store(START, "\0") or b"").rstrip(b"\0"))
        nodes = {"ring-ref": gref, "event-channel": self.port, "feature-protocol-v2": 1}
        for name, value in nodes.items():
            self.write(f"{self.front}/{name}", str(value), tx)
        self.call_store(END, "T\0", tx)
        self.write(f"{self.front}/state", "3")
        self.wait_node(f"{self.back}/state", ("4",))
        self.write(f"{self.front}/state", "4")

    def serve(self, instead: Callable[["Frontend", int], object] | None = None) -> None:
        """
        Carry out orders for ever.

        :param instead: called once in a run, in place of the third result, with its order.
        """
        count = 0
        while True:
            while not self.orders:
                self.wait()
            order = self.orders.pop(0)
            if order["do"] == "stop":
                sys.exit()
            self.put(bytes.fromhex(order["packet"]), SUBMIT)
            while self.state == SUBMIT:
                self.wait()
            count += 1
            if instead is not None and count == 3 and first_time():
                instead(self, order["id"])
            else:
                self.report(order["id"])

    def report(self, order: int, outcome: str = "response") -> None:
        self.say(msg="result", id=order, packet=self.packet.hex(), **{"is": outcome})


def raw(data: bytes) -> None:
    """Write bytes to stdout as they are."""
    while data:
        data = data[os.write(1, data) :]


def idle() -> None:
    """Do nothing until stdin ends."""
    while os.read(0, 65536):
        pass
