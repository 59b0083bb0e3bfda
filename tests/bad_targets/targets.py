# SPDX-License-Identifier: MIT
"""
Targets that misbehave, one function each; its docstring names what it does wrong.

All but those that go wrong at the start do so once in a run (see ``bare.first_time``), so
that the run shows whether the next case meets an honest target again.
"""

import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from tests.bad_targets.bare import (
    END,
    FAILURE,
    FINISH,
    START,
    SUBMIT,
    WATCH,
    WRITE,
    Backend,
    Bare,
    Frontend,
    first_time,
    idle,
    raw,
)


def _in_a_command(instead: Callable[[Backend], object]) -> None:
    """A backend that is honest but for its third answer."""
    backend = Backend()
    backend.ready()
    backend.connect()
    backend.serve(instead)


def _while_connecting(instead: Callable[[Backend], object]) -> None:
    """A backend that is honest but for the moment when it finds the frontend ready."""
    backend = Backend()
    backend.ready()
    backend.connect(lambda backend: instead(backend) if first_time() else None)
    backend.serve()


def _with_an_order(instead: Callable[[Frontend, int], object]) -> None:
    """A frontend that is honest but for its third result."""
    frontend = Frontend()
    frontend.ready(can="orders")
    frontend.connect()
    frontend.serve(instead)


def _hang() -> NoReturn:
    while True:
        signal.pause()


def _die(how: str) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if how.isdecimal():
        os._exit(int(how))
    # Real-time signals but the first and last have no name of their own.
    number = signal.SIGRTMIN + 1 if how == "SIGRTMIN+1" else signal.Signals[how]
    signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
    os.kill(os.getpid(), number)


# At the start.


def honest_backend() -> None:
    """Nothing: it shows that the others do only one thing wrong."""
    _in_a_command(Backend.answer)


def honest_frontend() -> None:
    """Nothing: it shows that the others do only one thing wrong."""
    frontend = Frontend()
    frontend.ready(can="orders")
    frontend.connect()
    frontend.serve()


def never_ready() -> None:
    """Never says ready."""
    idle()


def wrong_protocol() -> None:
    """Speaks another version of the adapter page."""
    Bare().ready(protocol=2)
    idle()


def garbage_at_start() -> None:
    """Greets people where JSON is spoken."""
    raw(b"my-backend 1.0 \x1b[31mstarting\x1b[0m\n")
    idle()


def binary_at_start() -> None:
    """Writes bytes that are no text."""
    raw(bytes(range(255, 127, -1)) + b"\n")
    idle()


def endless_line() -> None:
    """Writes one line that never ends."""
    while True:
        raw(b" " * 65536)


def no_msg() -> None:
    """Writes an object without a msg."""
    raw(b'{"protocol": 1, "name": "bare"}\n')
    idle()


def nested_value() -> None:
    """Writes an object with a list in it."""
    Bare().ready(can=["orders"])
    idle()


def ready_twice() -> None:
    """Says ready a second time, with another TPM."""
    raw(2 * b'{"msg": "ready", "protocol": 1, "tpm": "2.0"}\n')  # at once, so that both are seen
    idle()


def dies_at_start(how: str) -> None:
    """Dies before it is ready."""
    sys.stderr.write("no TPM here")  # without a newline, as a crash leaves it
    sys.stderr.flush()
    _die(how)


# While connecting.


def dies_connecting(how: str) -> None:
    """Dies when the frontend is ready."""
    _while_connecting(lambda _: _die(how))


def dies_every_time(how: str) -> None:
    """Dies when the frontend is ready, whenever it is started."""
    backend = Backend()
    backend.ready()
    backend.connect(lambda _: _die(how))


def maps(domid: str, gref: str) -> None:
    """Asks to map what it may not, and gives up when that is refused."""

    def instead(backend: Backend) -> None:
        reply = backend.ask(msg="map", domid=int(domid), gref=int(gref))
        sys.exit(0 if reply["msg"] == "done" else f"{reply['msg']}: {reply['why']}")

    _while_connecting(instead)


def binds(domid: str, port: str) -> None:
    """Asks to bind a port that does not exist, and gives up when that is refused."""

    def instead(backend: Backend) -> None:
        reply = backend.ask(msg="bind", domid=int(domid), port=int(port))
        sys.exit(0 if reply["msg"] == "done" else f"{reply['msg']}: {reply['why']}")

    _while_connecting(instead)


def number(value: str) -> None:
    """Asks to map a grant reference that is not a number of 32 bits."""
    text = f'{{"msg": "map", "id": 1, "domid": 1, "gref": {value}}}\n'
    _while_connecting(lambda _: raw(text.encode()))


def takes_what_is_refused() -> None:
    """Asks for what it may not have, is refused, and goes on as it should."""

    def instead(backend: Backend) -> None:
        refused = [
            backend.ask(msg="map", domid=7, gref=8),
            backend.ask(msg="map", domid=1, gref=63),
            backend.ask(msg="map", domid=1, gref=0xFFFFFFFF),
            backend.ask(msg="bind", domid=1, port=31),
            backend.ask(msg="bind", domid=1, port=0xFFFFFFFF),
            backend.ask(msg="bind", domid=7),
            backend.ask(msg="grant", domid=7),
            backend.ask(msg="revoke", gref=8),
            backend.ask(msg="unmap", gref=8),
            backend.ask(msg="unbind", port=1),
        ]
        if {reply["msg"] for reply in refused} != {"refused"}:
            sys.exit(f"expected only refusals: {refused}")

    _while_connecting(instead)


def takes_all_pages() -> None:
    """Is granted pages and ports until there are none, and does not connect."""
    frontend = Frontend()
    frontend.ready(can="orders")
    domid = frontend.start["backend"]
    for kind in ("grant", "bind"):
        count = 0
        while frontend.ask(msg=kind, domid=domid)["msg"] == "done":
            count += 1
        sys.stderr.write(f"{kind} {count}\n")
    idle()


def floods_store() -> None:
    """Writes nodes for ever and reads no reply."""

    def instead(backend: Backend) -> None:
        backend.send_store(WATCH, f"{backend.back}\0t\0")
        while True:
            backend.send_store(WRITE, f"{backend.back}/note\0{'x' * 1000}")

    _while_connecting(instead)


def endless_transaction() -> None:
    """Writes new nodes in one transaction for ever."""

    def instead(backend: Backend) -> None:
        tx = int((backend.call_store(START, "\0") or b"").rstrip(b"\0"))
        count = 0
        while backend.call_store(WRITE, f"{backend.back}/node-{count}\0x", tx) is not None:
            count += 1
        sys.stderr.write(f"{count} nodes\n")
        backend.call_store(END, "F\0", tx)

    _while_connecting(instead)


def long_store_message() -> None:
    """Announces a message to xenstore that is longer than one can be."""
    _while_connecting(lambda backend: backend.send_store(WRITE, "x", length=4097))


# In the middle of a command.


def dies_in_a_command(how: str) -> None:
    """Dies in place of an answer."""
    _in_a_command(lambda _: _die(how))


def garbage_in_a_command() -> None:
    """Prints a debug line on stdout in place of an answer."""
    _in_a_command(lambda _: raw(b"executing command 0x17b\n"))


def surrogate_in_a_command() -> None:
    """Says what is JSON, but no text: half a surrogate pair."""
    _in_a_command(lambda _: raw(b'{"msg": "\\ud800"}\n'))


def never_answers() -> None:
    """Takes a request and gives no answer."""
    _in_a_command(lambda _: idle())


def says_when_it_hangs() -> None:
    """Takes a request, writes its number into a fifo, and gives no answer."""

    def instead(backend: Backend) -> None:
        with open(f"{os.environ['VTPM_BAD_ONCE']}.fifo", "w") as file:
            file.write(str(os.getpid()))
        idle()

    _in_a_command(instead)


def answers_late() -> None:
    """Answers when nobody waits any more."""

    def instead(backend: Backend) -> None:
        idle()
        backend.answer()

    _in_a_command(instead)


def stops_itself() -> None:
    """Is stopped in the middle of a command, as by a debugger."""
    _in_a_command(lambda _: os.kill(os.getpid(), signal.SIGSTOP))


def floods_events() -> None:
    """Notifies for ever."""

    def instead(backend: Backend) -> None:
        while True:
            backend.notify()

    _in_a_command(instead)


def floods_stderr() -> None:
    """Writes on stderr for ever."""

    def instead(backend: Backend) -> None:
        while True:
            os.write(2, b"retrying\n" * 1000)

    _in_a_command(instead)


def colours_the_terminal() -> None:
    """Writes on stderr what clears a screen, and dies."""

    def instead(backend: Backend) -> None:
        os.write(2, b"\x1b[2Jall is well\x1b[0m\r\n")
        os._exit(1)

    _in_a_command(instead)


def floods_requests() -> None:
    """Sends requests for ever and reads no reply."""

    def instead(backend: Backend) -> None:
        while True:
            backend.say(msg="map", id=1, domid=1, gref=8)

    _in_a_command(instead)


def closes(what: str) -> None:
    """Closes its stdin, stdout, stderr or xenstore socket, and hangs."""

    def instead(backend: Backend) -> None:
        fds = {
            "stdin": [0],
            "stdout": [1],
            "stderr": [2],
            "store": [backend.start["store_fd"]],
            "eventfds": [*backend.wait_fds, *backend.signal_fds],
        }[what]
        for fd in fds:
            os.close(fd)
        _hang()

    _in_a_command(instead)


def resizes_memory() -> None:
    """Tries to shrink, grow and unseal the shared memory, and goes on."""

    def instead(backend: Backend) -> None:
        for size in (0, 4096, 1 << 30):
            try:
                os.ftruncate(backend.start["memory_fd"], size)
                sys.exit(f"the memory can be made {size} bytes large")
            except PermissionError:
                pass
        backend.answer()

    _in_a_command(instead)


def writes_state_7() -> None:
    """Leaves a state in the page that does not exist."""

    def instead(backend: Backend) -> None:
        backend.put(FAILURE, 7)

    _in_a_command(instead)


def writes_length_ffffffff() -> None:
    """Leaves a length of 4294967295 in the page."""

    def instead(backend: Backend) -> None:
        backend.memory[backend.page : backend.page + 4] = b"\xff" * 4
        backend.state = FINISH
        backend.notify()

    _in_a_command(instead)


def writes_255_extra_pages() -> None:
    """Leaves 255 extra pages in the page."""

    def instead(backend: Backend) -> None:
        backend.memory[backend.page + 8 : backend.page + 18] = FAILURE
        backend.memory[backend.page : backend.page + 8] = b"\x0a\0\0\0\x01\0\0\xff"
        backend.state = FINISH
        backend.notify()

    _in_a_command(instead)


def swaps_its_eventfds() -> None:
    """Takes the list to wait on for the list to signal on, and fills all counters."""

    def instead(backend: Backend) -> None:
        for fd in backend.wait_fds:
            os.eventfd_write(fd, 0xFFFFFFFFFFFFFFFE)
        idle()

    _in_a_command(instead)


def eats_its_signals() -> None:
    """Reads back each signal that it gives."""

    def instead(backend: Backend) -> None:
        fd = backend.signal_fds[backend.port]
        while True:
            backend.notify()
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(fd)

    _in_a_command(instead)


def counts_to_the_limit() -> None:
    """Answers, with as many notifications as an eventfd can count."""

    def instead(backend: Backend) -> None:
        backend.memory[backend.page + 8 : backend.page + 18] = FAILURE
        backend.memory[backend.page : backend.page + 4] = b"\x0a\0\0\0"
        backend.state = FINISH
        os.eventfd_write(backend.signal_fds[backend.port], 0xFFFFFFFFFFFFFFFE)

    _in_a_command(instead)


def leaves_child(how: str) -> None:
    """Starts a process that goes on, and goes away itself."""

    def instead(backend: Backend) -> None:
        reading, writing = os.pipe()
        if os.fork() == 0:
            if how == "session":
                os.setsid()
            for sign in (signal.SIGHUP, signal.SIGTERM):
                signal.signal(sign, signal.SIG_IGN)
            with open(f"{os.environ['VTPM_BAD_ONCE']}.child", "w") as file:
                file.write(str(os.getpid()))
            os.close(writing)
            _hang()
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)

    _in_a_command(instead)


def ignores_end() -> None:
    """Goes on when its stdin has ended."""
    try:
        honest_backend()
    except SystemExit:
        _hang()


# Frontends.


def frontend_dies(how: str) -> None:
    """Dies in place of a result."""
    _with_an_order(lambda *_: _die(how))


def never_reports() -> None:
    """Carries out an order and never says so."""
    _with_an_order(lambda *_: idle())


def never_reads_orders() -> None:
    """Never reads its stdin."""
    frontend = Frontend()
    frontend.ready(can="orders")
    frontend.connect()
    frontend.orders.clear()
    _hang()


def reports(id: str, outcome: str, packet: str, why: str = "") -> None:
    """Reports what is no report: see the arguments."""

    def instead(frontend: Frontend, order: int) -> None:
        number = order + int(id)
        frontend.say(msg="result", id=number, packet=packet, why=why, **{"is": outcome})

    _with_an_order(instead)


def reports_twice() -> None:
    """Reports on one order twice."""

    def instead(frontend: Frontend, order: int) -> None:
        report = {"msg": "result", "id": order, "is": "response", "packet": frontend.packet.hex()}
        raw(2 * (json.dumps(report).encode() + b"\n"))  # at once, so that both are seen

    _with_an_order(instead)


def frontend_closes_stdin() -> None:
    """Closes its stdin and goes on."""

    def instead(frontend: Frontend, order: int) -> None:
        frontend.report(order)
        os.close(0)
        _hang()

    _with_an_order(instead)


def submits(field: str) -> None:
    """Leaves an impossible value in the page with its fourth request."""
    frontend = Frontend()
    frontend.ready(can="orders")
    frontend.connect()
    at, value = {
        "state": (4, b"\x07"),
        "length": (0, b"\xff\xff\xff\xff"),
        "nr_extra_pages": (7, b"\xff"),
    }[field]

    def instead(frontend: Frontend, order: int) -> None:
        frontend.report(order)
        while not frontend.orders:
            frontend.wait()
        frontend.put(bytes.fromhex(frontend.orders.pop(0)["packet"]), frontend.state)
        frontend.memory[frontend.page + at : frontend.page + at + len(value)] = value
        if at != 4:
            frontend.state = SUBMIT
        frontend.notify()
        idle()

    frontend.serve(instead)
