# SPDX-License-Identifier: MIT
"""
The target's side of the process link and of real Xen, for machines in Python.

``serve(factory)`` is the whole of a program that can be judged; what it
speaks is on the page ``spec/adapter.md``.
"""

import contextlib
import json
import os
import select
import sys
import time
from collections.abc import Callable
from typing import Any

from conformance.driver import Driver
from conformance.errors import AdapterError
from conformance.grounds import ground_of
from conformance.links.xenstore_wire import Message, Op, take_messages
from conformance.targets import Target
from vtpm_ref.states import Role
from vtpm_ref.steps import Answer
from vtpm_ref.xenbus import Place

#: Seconds that a frontend waits for an answer, as Linux does for unknown commands.
PATIENCE = 120.0

#: Seconds after which a TPM without a descriptor is asked again whether it is done.
ASK = 0.02

#: Steps after which input is looked at, even if the machine does not rest.
TURN = 64


class Ended(Exception):
    """The judge has closed stdin or ordered a stop."""


def serve(factory: Callable[[Place], Target]) -> int:
    """
    Be a target: read ``start`` from stdin, serve until stdin ends.

    :return: the exit status of the program; a target that cannot be made says why on stderr.
    """
    try:
        with contextlib.suppress(Ended, BrokenPipeError):
            _Service(factory).run()
    except AdapterError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


class _Service:
    """
    What one program has: its lines, its store, and a side for each frontend it meets.

    A frontend has one side; a backend that can serve many looks for further
    directories below its own.
    """

    def __init__(self, factory: Callable[[Place], Target]) -> None:
        self._input = bytearray()
        self.orders: list[dict[str, Any]] = []
        self._requests = 0
        start = self._next_line()
        self.ground = ground_of(start, self.ask)
        self.store = _StoreClient(self.ground.store_fd, self._changed)
        self._place = Place(start["frontend"], start["backend"], start["device"])
        self._target = factory(self._place)
        self._sides = {self._place: _Side(self, self._target)}
        self._is_frontend = start["role"] == Role.FRONTEND.value
        self._unmet = False
        family = self._target.tpm.family if self._target.tpm else self._target.family
        self.say(
            msg="ready",
            protocol=1,
            name=self._target.name,
            tpm=family.value,
            can=",".join(sorted(self._target.can)),
        )
        if self._target.another is not None:
            self.store.watch(self._place.backend_home)

    def run(self) -> None:
        """Step the machines while they have steps to take, else wait for input."""
        first, expires = self._sides[self._place].driver, None
        while True:
            steps = 0
            while any([side.driver.step() for side in self._sides.values()]):
                expires, steps = None, steps + 1
                if steps % TURN == 0:
                    self._wait(0)  # a machine that polls never rests
            patient = self._is_frontend and first.machine.patient
            if patient and expires is None:
                expires = time.monotonic() + PATIENCE
            if expires is not None and time.monotonic() >= expires:
                first.expired()
            else:
                self._wait(None if expires is None else expires - time.monotonic())

    def _wait(self, timeout: float | None) -> None:
        if self._unmet:  # seen while something else was read
            self._meet()
            return
        if self.orders:  # came while something else was awaited
            self._take_orders()
            return
        events = self.ground.fds()
        working = [side.driver for side in self._sides.values() if side.driver.working]
        fds = [0, self.store.fd, *events]
        tpm_fd = self._target.tpm.fileno() if working and self._target.tpm else -1
        if tpm_fd >= 0:
            fds.append(tpm_fd)
        elif working:  # a TPM without a descriptor is asked
            timeout = 0 if timeout == 0 else ASK
        ready = select.select(fds, [], [], timeout)[0]
        for fd in ready:
            if fd == 0:
                self._read_input()
            elif fd == self.store.fd:
                self.store.receive()
            elif fd in events:
                ports = self.ground.take(fd)
                for side in self._sides.values():
                    if side.port in ports:
                        side.driver.event()
        if tpm_fd in ready or (working and tpm_fd < 0):
            for driver in working:
                driver.finish_work(0 if tpm_fd >= 0 else ASK)
        self._take_orders()

    def _changed(self, path: str, token: str) -> None:
        """The watch ``token`` fired; a further frontend may have come."""
        if token == self._place.backend_home:
            self._unmet = True
            return
        for side in self._sides.values():
            if path.startswith((side.place.frontend_dir + "/", side.place.backend_dir + "/")):
                side.driver.changed(path)

    def _meet(self) -> None:
        """Serve every frontend that has a directory here and none of our sides."""
        self._unmet = False
        home, another = self._place.backend_home, self._target.another
        for domid in self.store.directory(home):
            for device in self.store.directory(f"{home}/{domid}"):
                place = Place(int(domid), self._place.backend_id, int(device))
                if another is not None and place not in self._sides:
                    self._sides[place] = _Side(self, another(place))

    # Lines.

    def say(self, **message: object) -> None:
        """Write one line to the judge."""
        os.write(1, json.dumps(message).encode() + b"\n")

    def ask(self, msg: str, **fields: int) -> dict[str, Any]:
        """Send a request and wait for its reply; orders in between are kept."""
        self._requests += 1
        self.say(msg=msg, id=self._requests, **fields)
        kept: list[dict[str, Any]] = []
        while True:
            line = self._next_line()
            if line["msg"] != "order":
                self.orders = kept + self.orders
                return line
            kept.append(line)

    def _read_input(self) -> None:
        data = os.read(0, 65536)
        if not data:
            raise Ended
        self._input += data
        while b"\n" in self._input:
            line, _, rest = bytes(self._input).partition(b"\n")
            self._input = bytearray(rest)
            self.orders.append(json.loads(line))

    def _next_line(self) -> dict[str, Any]:
        while not self.orders:
            self._read_input()
        return self.orders.pop(0)

    def _take_orders(self) -> None:
        driver = self._sides[self._place].driver
        for order in self.orders:
            if order["do"] == "stop":
                raise Ended
            packet = bytes.fromhex(order.get("packet", ""))
            driver.order(order["id"], order["do"], packet, order.get("locality", 0))
        self.orders.clear()


class _Side:
    """The hands of one machine."""

    def __init__(self, service: _Service, target: Target) -> None:
        self._service = service
        self._ground = service.ground
        self._page = memoryview(b"")
        self.port = 0
        self.place: Place = target.machine.place
        self.driver = Driver(target.machine, self, target.tpm)

    def load(self, at: int, size: int) -> bytes:
        return bytes(self._page[at : at + size])

    def store(self, at: int, data: bytes) -> None:
        self._page[at : at + len(data)] = data

    def notify(self) -> None:
        if self.port:
            self._ground.notify(self.port)

    def grant(self, domid: int) -> int:
        gref, self._page = self._ground.grant(domid)
        return gref

    def map(self, domid: int, gref: int) -> bool:
        view = self._ground.map(domid, gref)
        if view is not None:
            self._page = view
        return view is not None

    def bind(self, domid: int, port: int | None) -> int | None:
        bound = self._ground.bind(domid, port)
        self.port = bound or 0
        return bound

    def unmap(self, gref: int) -> None:
        self._ground.unmap(gref)

    def unbind(self, port: int) -> None:
        self._ground.unbind(port)
        self.port = 0

    def revoke(self, gref: int) -> bool:
        return self._ground.revoke(gref)

    def read_node(self, path: str) -> str | None:
        return self._service.store.read(path)

    def write_nodes(self, nodes: tuple[tuple[str, str], ...]) -> None:
        self._service.store.write(nodes)

    def watch_node(self, path: str) -> None:
        self._service.store.watch(path)

    def deliver(self, order: int, answer: Answer, why: str) -> None:
        packet = {"packet": answer.packet.hex()} if answer.packet else {}
        reason = {"why": why} if why else {}
        self._service.say(msg="result", id=order, **{"is": answer.outcome}, **packet, **reason)


class _StoreClient:
    """Speaks xenstore's wire protocol over a connected socket."""

    def __init__(self, fd: int, changed: Callable[[str, str], None]) -> None:
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
                path, token = message.payload.decode().split("\0")[:2]
                self._changed(path, token)
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

    def directory(self, path: str) -> list[str]:
        """Names of the nodes right below ``path``, none if there is no such node."""
        reply = self.call(Op.DIRECTORY, f"{path}\0")
        names = [] if reply.op == Op.ERROR else reply.payload.decode().split("\0")
        return [name for name in names if name]

    def watch(self, path: str) -> None:
        """Have ``changed`` called for ``path``; a second time it is watched already."""
        self.call(Op.WATCH, f"{path}\0{path}\0")

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
