# SPDX-License-Identifier: MIT
"""
What a guest says on its console, and what becomes of it; the console's other end is the test's.
"""

import contextlib
import json
import os
import select
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.errors import AdapterError, LabError
from conformance.lab import machine, session
from conformance.lab.build import Lab
from conformance.lab.inside import dom0, guests
from conformance.lab.inside import guest as guest_agent
from conformance.links.xen_peers import ConsolePeer
from conformance.recorder import Recorder
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

PLACE = Place(1, 0, 0)

# A dead agent.


@pytest.fixture
def console() -> Iterator[tuple[int, str]]:
    """A guest's console: the guest's end, and the path of the other."""
    guest, other = os.openpty()
    tty.setraw(other)
    path = os.ttyname(other)
    os.close(other)
    yield guest, path
    with contextlib.suppress(OSError):
        os.close(guest)


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (b"", "did not say 'ready' within 0.5 s"),
        (b'{"msg": "agent"}\n', "did not say 'ready' within 0.5 s"),
        (b"[  9.1] Kernel panic - not syncing\n", "before it was ready: its kernel panics"),
    ],
    ids=["silent", "only begun", "panic"],
)
def test_a_dead_agent(last: bytes, said: str, console: tuple[int, str], tmp_path: Path) -> None:
    """The judge waits as long as for any target, and says what it waited for."""
    guest, path = console
    os.write(guest, last)
    peer = ConsolePeer(path, comes_first=True)
    with contextlib.closing(Recorder(tmp_path / "trace", {})) as recorder:
        with pytest.raises(AdapterError, match=said):
            peer.start(Role.FRONTEND, PLACE, recorder, 0.05)
        peer.stop()


READY = b'{"msg": "ready", "protocol": 1, "tpm": "2.0", "can": "orders"}\n'


def heard(trace: Path) -> list[str]:
    """What a guest has said on its console, as the trace has it."""
    events = [json.loads(line) for line in trace.read_bytes().splitlines()]
    return [event["text"] for event in events if event["e"] == "console"]


@pytest.mark.parametrize("speaks", [False, True], ids=["no agent", "agent"])
def test_a_guest_that_is_gone(speaks: bool, console: tuple[int, str], tmp_path: Path) -> None:
    """Its console is closed without a word of farewell; what it said last is kept."""
    guest, path = console
    if speaks:
        os.write(guest, READY)
    peer = ConsolePeer(path, comes_first=False, speaks=speaks)
    with contextlib.closing(Recorder(tmp_path / "trace", {})) as recorder:
        peer.start(Role.BACKEND, PLACE, recorder, 0.05)
        os.write(guest, b"Page fault at linear address 0")
        assert select.select(peer.fds(), [], [], 10)[0]
        peer.take()
        os.close(guest)
        deadline = time.monotonic() + 10
        while peer.exited is None and time.monotonic() < deadline:
            select.select(peer.fds(), [], [], 1)
            peer.take()
        assert (peer.exited, peer.fds()) == ("its console is gone", [])
        assert not peer.is_free(0.1, lambda: None)
        peer.stop()
    assert heard(tmp_path / "trace")[-1] == "Page fault at linear address 0"


def test_an_agent_writes_json_as_it_likes(console: tuple[int, str], tmp_path: Path) -> None:
    """And what lies on the console from before this run is no fault of it."""
    guest, path = console
    old = b'{"msg":"result","id":3,"is":"closed"}\n{"msg":"told",\n'
    os.write(guest, old + READY.replace(b" ", b""))
    peer = ConsolePeer(path, comes_first=True)
    with contextlib.closing(Recorder(tmp_path / "trace", {})) as recorder:
        peer.start(Role.FRONTEND, PLACE, recorder, 0.5)
        peer.stop()
    assert heard(tmp_path / "trace") == old.decode().splitlines()


def test_an_agent_of_another_version(console: tuple[int, str], tmp_path: Path) -> None:
    """Why its word was not taken is in the message."""
    guest, path = console
    os.write(guest, READY.replace(b"1,", b"9,"))
    peer = ConsolePeer(path, comes_first=True)
    said = "did not say 'ready' within 0.5 s; .* speaks version 9 of the adapter page"
    with contextlib.closing(Recorder(tmp_path / "trace", {})) as recorder:
        with pytest.raises(AdapterError, match=said):
            peer.start(Role.FRONTEND, PLACE, recorder, 0.05)
        peer.stop()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"msg": "result", "id": 1, "is": "respon[  12.3] tpm tpm0: error -62', "is not JSON"),
        ('{"msg": "result", "id": 1, "is": "response", "packet": "8z"}', "not in hexadecimal"),
        ('{"msg": "result", "id": 99, "is": "response"}', "order 99, which is not open"),
        ('{"msg": "agent"}', "no place here"),
    ],
    ids=["torn", "no digits", "unknown order", "begins again"],
)
def test_a_line_of_an_agent_that_makes_no_sense(
    line: str, said: str, console: tuple[int, str], tmp_path: Path
) -> None:
    """It is the adapter's fault, not the target's silence, and the trace shows it."""
    guest, path = console
    os.write(guest, READY)
    peer = ConsolePeer(path, comes_first=True)
    with contextlib.closing(Recorder(tmp_path / "trace", {})) as recorder:
        peer.start(Role.FRONTEND, PLACE, recorder, 0.5)
        peer.order(1, "send", b"\0", 0)
        os.write(guest, line.encode() + b"\n")
        assert select.select(peer.fds(), [], [], 10)[0]
        with pytest.raises(AdapterError, match=said):
            peer.take()
        peer.stop()
    assert heard(tmp_path / "trace") == [line]


# A guest on its way up.


def come_up(console: tuple[int, str], *words: bytes, stays: bool = True) -> bool:
    """What is found of a guest that says ``words`` on its console."""
    guest, path = console
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(fd)
        for word in words:
            os.write(guest, word)
        if not stays:
            os.close(guest)
        return guests.follow(fd, time.monotonic() + 10, 0.01)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("words", "speaks"),
    [
        ([b"booting\r\n", b'{"msg": "agent", "kernel": "6"}\r\n'], True),
        ([b'{"kernel":"6","ms', b'g":"agent"}\n'], True),
        ([b'booting {"msg": "agent"}\n', b'{"msg": "hello"}\n', b'{"msg": [\n'], False),
    ],
    ids=["as the page has it", "compact", "none"],
)
def test_a_guest_with_or_without_an_agent(
    words: list[bytes], speaks: bool, console: tuple[int, str]
) -> None:
    """Without one it has come up when it says nothing more."""
    assert come_up(console, *words) is speaks


def test_a_guest_that_ends_on_its_way_up(console: tuple[int, str]) -> None:
    """It is not waited for."""
    with pytest.raises(LabError, match=r"does not come up; its console: .*it is gone"):
        come_up(console, b"halfway\r\n", stays=False)


def test_an_agent_that_is_heard_late(console: tuple[int, str], tmp_path: Path) -> None:
    """It counts, though the guest was taken for one without."""
    guest, path = console
    peer = ConsolePeer(path, comes_first=False, speaks=False)
    with contextlib.closing(Recorder(tmp_path / "trace", {})) as recorder:
        peer.start(Role.FRONTEND, PLACE, recorder, 1.0)
        found = []
        for line in (b"booting\n", b'{"msg": "agent"}\n'):
            os.write(guest, line)
            assert select.select(peer.fds(), [], [], 10)[0]
            peer.take()
            found.append(peer.has_agent)
        peer.stop()
    assert found == [False, True]


# What guests have said.


def test_consoles_of_guests_are_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each from where the last reply ended; of a flood, the end."""
    monkeypatch.setattr(dom0, "CONSOLES", tmp_path)
    monkeypatch.setattr(dom0, "MOST_CONSOLE", 8)
    consoles = dom0.Consoles()
    assert consoles.news() == b""
    log = tmp_path / "guest-linux.log"
    log.write_text("one\n")
    assert (consoles.news(), consoles.news()) == (b"one\n", b"")
    with log.open("a") as more:
        more.write("a long line\n")
    (tmp_path / "guest-target.log").write_text("two\n")
    assert consoles.news() == b"ng line\ntwo\n"


class Talks:
    """Stands for a machine whose guest says something while a case is played."""

    def send(self, request: dict[str, object], data: bytes, limit: float, stage: str) -> None:
        """It is asked."""

    def receive(self, limit: float, stage: str) -> tuple[dict[str, object], bytes]:
        """It answers."""
        return {"ok": True, "value": 1, "console": 9}, b"the traceOops: 1\r\n"


def test_what_a_guest_said_is_kept_with_its_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes with the reply, and goes to the machine's console."""
    monkeypatch.setattr(Lab, "facts", lambda self: {"guest": "1", "bytecode": ""})
    monkeypatch.setattr(machine, "resume", lambda snapshot, console: Talks())
    console = tmp_path / "console"
    opened = session.Session(Lab(tmp_path), console)
    console.write_text("(XEN) before\n")
    assert opened.call("what", 1.0, case="page.size/x") == (1, b"the trace")
    assert console.read_bytes() == b"(XEN) before\n--- guest, page.size/x ---\nOops: 1\n"


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            b"3,381,6510567,-;tpm tpm0: error -62\n DEVICE=c10\n",
            "[    6.510567] tpm tpm0: error -62",
        ),
        (b"30,9,5,-,caller=T1;systemd: started\n", ""),
    ],
    ids=["error", "information"],
)
def test_errors_of_the_guests_kernel(record: bytes, said: str) -> None:
    """The agent says them, with their time, so that they tear none of its own lines."""
    assert guest_agent.error_in(record) == said
