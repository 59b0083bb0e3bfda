# SPDX-License-Identifier: MIT
"""
Whom the judge meets over real Xen, and how it speaks with them.

A program in this domain and an agent on a guest's console both speak the lines of
the adapter page; a driver without an agent says nothing and takes no orders.
"""

import json
import os
import select
import shlex
import time
import tty
from collections.abc import Callable
from typing import Any

from conformance.errors import AdapterError
from conformance.links.base import Outcome
from conformance.links.lines import (
    PROTOCOL,
    cut,
    is_agent,
    is_message,
    number,
    parse_line,
    parse_ready,
    parse_result,
)
from conformance.links.program import CONSOLE_LIMIT, LINE_LIMIT, Outlet, Program
from conformance.recorder import Recorder
from vtpm_ref.packet import Family
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

#: Seconds, before the multiplier, until the target has said that it is ready.
READY_LIMIT = 10.0

#: Seconds, before the multiplier, until a program has ended after its stdin has.
END_LIMIT = 2.0


class Peer:
    """
    A target that says nothing and takes no orders.

    :ivar family: the TPM that it speaks.
    :ivar can: what it can do, the words of the adapter page.
    :ivar exited: how it ended, or ``None`` while it runs.
    :ivar results: what has become of each order.
    :ivar has_agent: whether it turned out to take orders, though it was taken for mute.
    """

    #: Whether it has to be there before its device is.
    comes_first = False

    def __init__(self) -> None:
        self.family = Family.NONE
        self.can: frozenset[str] = frozenset()
        self.exited: str | None = None
        self.results: dict[int, Outcome] = {}
        self.has_agent = False

    def start(self, role: Role, place: Place, recorder: Recorder, scale: float) -> None:
        """
        Start it, and hear what it says of itself.

        :raises AdapterError: it does not start, or says nothing.
        """

    def stop(self) -> None:
        """End it, or let it be; safe to call twice."""

    def is_free(self, limit: float, help: Callable[[], None]) -> bool:
        """
        Whether it has let the device go, or does so within ``limit`` seconds.

        :param help: frees it from what it waits for in vain; called now and then.
        """
        help()
        return True

    def fds(self) -> list[int]:
        """Descriptors that are readable when it has said something, or ended."""
        return []

    def take(self) -> None:
        """Take in what it has said, without waiting."""

    def order(self, number: int, do: str, packet: bytes, locality: int) -> None:
        """Give it an order."""


class _Speaker(Peer):
    """A target that speaks the lines of the adapter page."""

    def __init__(self) -> None:
        super().__init__()
        self._recorder: Recorder | None = None
        self._ready = False
        self._fault = ""
        self._open: set[int] = set()
        self._outlet: Outlet | None = None

    def order(self, number: int, do: str, packet: bytes, locality: int) -> None:
        """See ``Peer.order``."""
        self._open.add(number)
        order: dict[str, Any] = {"msg": "order", "id": number, "do": do}
        if do == "send":
            order |= {"locality": locality, "packet": packet.hex()}
        self._say(order)

    def _say(self, message: dict[str, Any]) -> None:
        if self._outlet is not None:
            self._outlet.send(json.dumps(message).encode() + b"\n")

    def _say_start(self, role: Role, place: Place) -> None:
        self._say(
            {
                "msg": "start",
                "protocol": PROTOCOL,
                "role": role.value,
                "frontend": place.frontend_id,
                "backend": place.backend_id,
                "device": place.device_id,
            }
        )

    def _wait_ready(self, limit: float) -> None:
        deadline = time.monotonic() + limit
        while not self._ready:
            rest = deadline - time.monotonic()
            if self.exited is not None:
                raise AdapterError(f"the target ended before it was ready: {self.exited}")
            if rest <= 0:
                fault = f"; of what it said, not taken: {self._fault}" if self._fault else ""
                raise AdapterError(f"the target did not say 'ready' within {limit:g} s{fault}")
            self._flush()
            select.select(self.fds(), [], [], rest)
            self.take()

    def _flush(self) -> None:
        if self._outlet is not None:
            self._outlet.flush()

    def _take_line(self, line: bytes) -> None:
        """Take one line in."""
        message = parse_line(line)
        kind = message["msg"]
        if kind == "ready" and not self._ready:
            self.family, self.can = parse_ready(message)
            self._ready = True
        elif kind == "result":
            self._take_result(message)
        else:
            raise AdapterError(f"the target sent a line that has no place here: {cut(line)}")

    def _take_result(self, message: dict[str, Any]) -> None:
        order, outcome = number(message, "id"), parse_result(message)
        if order not in self._open:
            raise AdapterError(f"the target reports on order {order}, which is not open")
        self._open.discard(order)
        if self._recorder is not None:
            self._recorder.event(
                "result",
                id=order,
                outcome=outcome.outcome,
                packet=outcome.packet.hex(),
                why=outcome.why,
            )
        self.results[order] = outcome


class ProgramPeer(_Speaker):
    """
    A program in this domain, that reaches the devices by itself.

    :param command: started without a shell.
    """

    def __init__(self, command: str) -> None:
        super().__init__()
        self._command = command
        self._program: Program | None = None
        self._scale = 1.0

    def start(self, role: Role, place: Place, recorder: Recorder, scale: float) -> None:
        """See ``Peer.start``."""
        self._recorder, self._scale = recorder, scale
        self._program = Program(shlex.split(self._command), [], recorder)
        self._outlet = self._program.stdin
        self._say_start(role, place)
        self._wait_ready(READY_LIMIT * scale)

    def fds(self) -> list[int]:
        """See ``Peer.fds``."""
        program = self._program
        if program is None or self.exited is not None:
            return []
        return [program.stdout, program.stderr, program.pidfd]

    def take(self) -> None:
        """See ``Peer.take``."""
        program = self._program
        if program is None or self.exited is not None:
            return
        ended = select.select([program.pidfd], [], [], 0)[0]
        program.take_errors()
        for line in program.take_lines():
            self._take_line(line)
        if ended:
            self.exited = program.exit_status()
            if self._recorder is not None:
                self._recorder.event("exit", how=self.exited)
        elif program.ended and not program.is_over(0.5 * self._scale):
            raise AdapterError("the target closed its stdout but goes on")

    def stop(self) -> None:
        """See ``Peer.stop``."""
        program, self._program, self._outlet = self._program, None, None
        if program is None:
            return
        limit = END_LIMIT * self._scale
        if not program.end(limit) and self._recorder is not None:
            what = f"the target did not end within {limit:g} s of its stdin's end and was killed"
            self._recorder.event("trouble", what=what)


class ConsolePeer(_Speaker):
    """
    A guest and what it says on its console, where it may have an agent.

    What is no line of the adapter page is the guest's free text: its kernel speaks on
    the same console.

    :param path: the terminal that is the console's other end.
    :param comes_first: whether it has to be there before its device is, as a driver's
        agent has, which lets the last device go first.
    :param speaks: whether there is an agent; without one it is only listened to.

    :ivar told: what a guest of the lab has told, by the number of the question.
    """

    def __init__(self, path: str, *, comes_first: bool, speaks: bool = True) -> None:
        super().__init__()
        self.comes_first = comes_first
        self._speaks = speaks
        self.told: dict[int, dict[str, Any]] = {}
        self._asked = 0
        self._path = path
        self._fd = -1
        self._rest = b""
        self._lines = 0

    def start(self, role: Role, place: Place, recorder: Recorder, scale: float) -> None:
        """See ``Peer.start``."""
        self._recorder = recorder
        self._fd = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        tty.setraw(self._fd, 0)  # now; with what has been said already
        if self._speaks:
            self._outlet = Outlet(self._fd)
            self._say_start(role, place)
            self._wait_ready(READY_LIMIT * scale)

    def fds(self) -> list[int]:
        """See ``Peer.fds``."""
        return [] if self._fd < 0 or self.exited is not None else [self._fd]

    def take(self) -> None:
        """See ``Peer.take``."""
        self._flush()
        try:
            data = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_LIMIT or not data:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            text = line.strip(b"\r")
            if self._speaks and is_message(text):
                self._take_line(text)
            elif text:
                self._free_text(text)
                self.has_agent |= is_agent(text)
        if not data:  # the other end is closed, as xenconsoled does it when a domain ends
            self._end("its console is gone")

    def stop(self) -> None:
        """See ``Peer.stop``."""
        if self._fd >= 0:
            self._say({"msg": "order", "id": 0, "do": "stop"})
            os.close(self._fd)
            if self._lines > CONSOLE_LIMIT and self._recorder is not None:
                more = self._lines - CONSOLE_LIMIT
                self._recorder.event("console", text=f"(and {more} more lines)")
        self._fd, self._outlet = -1, None

    def is_free(self, limit: float, help: Callable[[], None]) -> bool:
        """See ``Peer.is_free``; a driver's agent is asked."""
        help()
        if not self.comes_first or self.exited is not None or self._fd < 0:
            return self.exited is None
        question = self.ask({"msg": "gone", "limit": limit})
        deadline = time.monotonic() + 2 * limit
        while question not in self.told and time.monotonic() < deadline:
            select.select([self._fd], [], [], 0.02)
            self.take()
            help()
        return bool(self.told.get(question, {}).get("gone"))

    def ask(self, message: dict[str, Any]) -> int:
        """Ask a guest of the lab for more than the adapter page knows; the question's number."""
        self._asked += 1
        self._say(message | {"id": self._asked})
        return self._asked

    def _free_text(self, line: bytes) -> None:
        self._lines += 1
        text = line[:LINE_LIMIT].decode("utf-8", "backslashreplace")
        if self._recorder is not None and self._lines <= CONSOLE_LIMIT:
            self._recorder.event("console", text=text)
        if "Kernel panic" in text:
            self._end("its kernel panics")

    def _end(self, how: str) -> None:
        if self.exited is None:
            self.exited = how
            if self._recorder is not None:
                self._recorder.event("exit", how=how)

    def _take_line(self, line: bytes) -> None:
        try:
            message = parse_line(line)
            if message["msg"] == "told":
                self.told[number(message, "id")] = message
            elif message["msg"] == "agent" and not self._ready:
                self._free_text(line)
            else:
                super()._take_line(line)
        except AdapterError as error:
            self._free_text(line)
            if self._ready:
                raise
            self._fault = str(error)  # it may be older than this run


#: Makes a peer; a case has a fresh one.
MakePeer = Callable[[], Peer]
