# SPDX-License-Identifier: MIT
"""
What goes wrong around a real Xen, as far as it can be had without one: each is said in words.
"""

import contextlib
import errno
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance import engine
from conformance.cli import main
from conformance.errors import AdapterError, LabError, RecordingError
from conformance.judge import Verdict
from conformance.lab import between, build, machine, session, targets, tools
from conformance.lab.__main__ import main as lab_main
from conformance.lab.build import Lab
from conformance.lab.inside import dom0, guests
from conformance.lab.targets import LabTarget, Recipe
from conformance.links import xen, xen_devices
from conformance.links.xen_peers import ConsolePeer
from conformance.links.xenstore_wire import Message, Op, take_messages
from conformance.recorder import Recorder
from conformance.report.results import Exit
from conformance.run import Subject, alone, trace_path
from conformance.select import select as select_cases
from conformance.subjects import python_object
from tests.zoo import ANIMALS
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

PLACE = Place(1, 0, 0)

# A xenstore that refuses.


class Xenstored(threading.Thread):
    """
    Answers everything but ``refused``, for which it has an error, or closes the connection.

    :param error: name of the error; empty to close.
    """

    def __init__(self, path: Path, refused: Op, error: str) -> None:
        super().__init__(daemon=True)
        self._refused, self._error = refused, error
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()

    def run(self) -> None:
        while True:
            try:
                connection = self._socket.accept()[0]
            except OSError:
                return  # the test has ended
            with connection:
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        buffer = bytearray()
        while data := connection.recv(65536):
            buffer += data
            for message in take_messages(buffer):
                op, payload = message.op, b"0" if message.op == Op.READ else b"1\0"
                if op == Op.READ and message.payload != b"domid\0":
                    op, payload = Op.ERROR, b"ENOENT\0"
                if op == self._refused and not self._error:
                    return
                if op == self._refused:
                    op, payload = Op.ERROR, self._error.encode() + b"\0"
                connection.sendall(Message(op, message.request, message.tx, payload).pack())

    def close(self) -> None:
        """Take no further connection."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.join(10)


class Device:
    """Stands for gntdev, gntalloc and evtchn, to which these tests do not come."""

    def close(self) -> None:
        """Nothing was opened."""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Xen host but for its xenstored; the path of that one's socket."""
    path = tmp_path / "socket"
    monkeypatch.setattr(xen_devices, "_STORE_SOCKETS", (str(path),))
    monkeypatch.setattr(xen, "missing", lambda: "")
    monkeypatch.setattr(xen, "Grants", Device)
    monkeypatch.setattr(xen, "EventChannels", Device)
    return path


@pytest.mark.parametrize(
    ("refused", "error", "said"),
    [
        (
            Op.WRITE,
            "EACCES",
            "xenstored refuses WRITE /local/domain/3/device/vtpm/0/backend: EACCES",
        ),
        (Op.MKDIR, "ENOSPC", "xenstored refuses MKDIR /local/domain/3/device/vtpm/0: ENOSPC"),
        (Op.WATCH, "E2BIG", "xenstored refuses WATCH /local/domain/3/device/vtpm/0: E2BIG"),
        (Op.TRANSACTION_START, "ENOSPC", "xenstored refuses TRANSACTION_START: ENOSPC"),
        (Op.TRANSACTION_END, "EAGAIN", "xenstored refuses the transaction that makes"),
        (Op.SET_PERMS, "", "xenstored has closed its connection"),
    ],
    ids=lambda value: value.name if isinstance(value, Op) else "",
)
def test_a_xenstore_that_refuses(
    refused: Op, error: str, said: str, host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operation, the node and the error's name; exit 3."""
    store = Xenstored(host, refused, error)
    store.start()
    try:
        traces = str(host.parent / "traces")
        assert main(["run", "frontend", "--xen", "3", "--traces", traces]) == 3
    finally:
        store.close()
    assert said in capsys.readouterr().err


def test_a_xenstore_that_is_gone(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A socket that nobody listens on is named."""
    socket.socket(socket.AF_UNIX).bind(str(host))
    assert main(["run", "backend", "--xen", "3", "--traces", str(host.parent / "traces")]) == 3
    assert f"xenstored at {host}: Connection refused" in capsys.readouterr().err


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


# What comes out of a machine.


class Dom0:
    """
    Stands for a machine in which every case ends in the same way.

    :param smoke: the target starts all the same when no case is played.
    """

    def __init__(
        self, error: Exception | None = None, data: bytes = b"", *, smoke: bool = False
    ) -> None:
        self._error, self._data, self._smoke = error, data, smoke
        self.guest, self.open = 1, True
        self.played: list[object] = []

    def call(self, what: str, limit: float, **request: object) -> tuple[object, bytes]:
        """What became of the case."""
        self.played.append(request["case"])
        if self._error is not None and not (self._smoke and not request["case"]):
            raise self._error
        return {"skipped": "", "disorder": False, "agent": False}, self._data

    def close(self) -> None:
        """It has been ended."""
        self.open = False


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabTarget:
    """A target in a lab that is not asked what it is made of."""
    monkeypatch.setattr(Lab, "facts", lambda self: {"guest": "1", "Xen": "4", "Linux": "6"})
    return LabTarget(Lab(tmp_path), Recipe(Role.FRONTEND, "linux"), tmp_path / "traces")


@pytest.mark.parametrize(("case", "stage"), [("", "stage target"), ("a/b", "case a/b")])
@pytest.mark.parametrize("kind", ["AdapterError", "StoreRefused", "Ended"])
def test_what_fails_in_dom0_names_its_stage_and_its_log(
    kind: str,
    case: str,
    stage: str,
    target: LabTarget,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the machine in which it failed is ended, its trace kept."""
    dom0 = Dom0(session.CallFailed(kind, "the agent is dead", "", b"what there was\n"))
    monkeypatch.setattr(targets, "Session", lambda lab, console: dom0)
    with pytest.raises((AdapterError, LabError)) as failed:
        target.play(case, {}, tmp_path / "traces/trace", 1.0)
    target.close()
    said = str(failed.value)
    assert said.startswith(stage) and "the agent is dead" in said
    assert said.endswith(f"see {tmp_path}/traces/console-lab-0.log")
    assert failed.value.exit_code == 3
    assert not dom0.open
    assert (tmp_path / "traces/trace").read_text() == "what there was\n"


def test_closing_while_a_machine_is_being_restored(
    target: LabTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No case is played in it any more."""
    restoring, dom0 = threading.Event(), Dom0()

    def restore(lab: Lab, console: Path) -> Dom0:
        restoring.set()
        deadline = time.monotonic() + 10
        while not target._closed and time.monotonic() < deadline:
            threading.Event().wait(0.001)
        return dom0

    monkeypatch.setattr(targets, "Session", restore)
    outcome: list[BaseException] = []

    def play() -> None:
        try:
            target.play("a/b", {}, tmp_path / "trace", 1.0)
        except BaseException as error:
            outcome.append(error)

    player = threading.Thread(target=play)
    player.start()
    assert restoring.wait(10)
    target.close()
    player.join(10)
    assert [str(error) for error in outcome] == ["the lab has been closed"]
    assert not dom0.open and dom0.played == []


class Slow:
    """Stands for a machine whose guest's agent speaks only in the first case."""

    guest = 1

    def __init__(self) -> None:
        self.speaks: list[bool] = []
        self.created: dict[str, object] = {}

    def put(self, path: str, data: bytes, *, executable: bool) -> None:
        """The guest's files."""

    def call(self, what: str, limit: float, **request: Any) -> tuple[object, bytes]:
        """The guest comes up without a word, or plays a case."""
        if "peer" not in request:
            self.created = {"limit": limit, **request}
            return {"domid": 2, "speaks": False}, b""
        self.speaks.append(request["peer"]["speaks"])
        skipped = "" if self.speaks[-1] else "the target does not declare the capability 'orders'"
        return {"skipped": skipped, "disorder": False, "agent": True}, b""

    def close(self) -> None:
        """The machine is ended."""


def test_a_guest_that_is_slow_to_come_up(
    target: LabTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has as long as the multiplier gives, and what it could not be asked is asked again."""
    slow = Slow()
    monkeypatch.setattr(targets, "Session", lambda lab, console: slow)
    guest = LabTarget(Lab(tmp_path), Recipe(Role.FRONTEND, "guest"), tmp_path / "traces")
    assert guest.play("a/b", {}, tmp_path / "trace", 3.0) == ""
    assert guest.play("a/c", {}, tmp_path / "trace", 3.0) == ""
    guest.close()
    assert slow.speaks == [False, True, True]
    assert slow.created == {"limit": 3.0 * targets.GUEST_LIMIT, "scale": 3.0, "files": []}


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


# What is played once for several cases.


def test_cases_that_do_the_same_share_what_was_recorded(
    target: LabTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its own trace, under its own name."""
    path = tmp_path / "recorded"
    with contextlib.closing(Recorder(path, {"case": "closing.page-kept/ordered"})):
        pass
    dom0 = Dom0(data=path.read_bytes())
    monkeypatch.setattr(targets, "Session", lambda lab, console: dom0)
    cases = ["closing.page-kept/ordered", "closing.closed-last/ordered", "page.zeroed/at-connect"]
    target.plan(cases)
    paths = [trace_path(tmp_path / "traces", case) for case in cases[:2]]
    for case, where in zip(cases, paths, strict=False):
        assert target.play(case, {"case": case}, where, 1.0) == ""
    target.close()
    found = [json.loads(path.read_bytes().splitlines()[0])["case"] for path in paths]
    assert found == cases[:2]
    assert dom0.played.count(cases[0]) == 1 and cases[1] not in dom0.played


def subject_in(target: LabTarget) -> Subject:
    """What a run judges, that lives in ``target``."""
    seen = xen.evidence(Role.FRONTEND, log=True)
    return Subject("a driver", Role.FRONTEND, "xen", seen, None, target)


def record(case: str, folder: Path) -> bytes:
    """The trace of a frontend that breaks ``closing.closed-last`` in ``case``."""
    old = python_object(Role.FRONTEND, "an earlier target", ANIMALS["LooksWhenClosed"].make)
    engine.run(old, select_cases([Role.FRONTEND], [case]), folder)
    return trace_path(folder, case).read_bytes()


@pytest.mark.parametrize(
    "error",
    [
        session.CallFailed("AdapterError", "it does not start", "", b""),
        session.CallFailed("Ended", "did not end within 1 s", "", b""),
        LabError("the machine has ended"),
    ],
    ids=["adapter", "case", "machine"],
)
def test_no_trace_of_an_earlier_run_is_judged(
    error: Exception, target: LabTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for a case that leaves none of its own, nor for one that would be lent it."""
    cases = ["closing.page-kept/ordered", "closing.closed-last/ordered"]
    folder = tmp_path / "traces"
    assert all(record(case, folder) for case in cases)
    dom0 = Dom0(error, smoke=True)
    monkeypatch.setattr(targets, "Session", lambda lab, console: dom0)
    run = engine.run(subject_in(target), select_cases([Role.FRONTEND], cases), folder)
    assert all(entry.trouble for entry in run.cases)
    assert (run.broken(), run.exit_code) == ([], Exit.TROUBLE)
    left = [path for case in cases if (path := trace_path(folder, case)).exists()]
    assert not any(path.read_bytes() for path in left)


def test_what_a_case_showed_before_it_was_cut_off_is_judged(
    target: LabTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is broken counts; of the rest only the case's own clause is left unclear."""
    breaks, other = "closing.closed-last/ordered", "page.zeroed/at-connect"
    trace = record(breaks, tmp_path / "recorded")
    cut = trace[: trace.rindex(b'{"e":"footer"')] + bytes(1000)
    dom0 = Dom0(session.CallFailed("Ended", "did not end within 1 s", "", cut), smoke=True)
    monkeypatch.setattr(targets, "Session", lambda lab, console: dom0)
    selection = select_cases([Role.FRONTEND], [breaks, other])
    run = engine.run(subject_in(target), selection, tmp_path / "traces")
    assert ["did not end within 1 s" in entry.trouble for entry in run.cases] == [True, True]
    assert {clause.id for clause, _ in run.broken()} == {"closing.closed-last"}
    assert run.exit_code is Exit.BROKEN
    unclear = {c.id for c, _, verdict, _ in run.verdicts() if verdict is Verdict.INCONCLUSIVE}
    assert unclear == {"page.zeroed"}


@pytest.mark.parametrize("name", ["tools", "between"])
def test_tools_that_are_interrupted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and the exit code of an interruption."""

    def interrupted(lab: Lab, console: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(between, "opened", interrupted)
    monkeypatch.setattr(tools, "opened", interrupted)
    monkeypatch.setattr("sys.argv", ["between", str(tmp_path)])
    assert {"tools": tools.main, "between": between.main}[name]() == Exit.INTERRUPTED
    assert capsys.readouterr().err == f"{name}: interrupted\n"


def test_consoles_of_an_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are removed when a run begins, but not by one that is refused its folder."""
    monkeypatch.setattr(Lab, "facts", lambda self: {"guest": "1", "Xen": "4", "Linux": "6"})
    error = LabError("it does not come up")
    monkeypatch.setattr(targets, "Session", lambda lab, console: Dom0(error))
    console = tmp_path / "console-lab-0.log"
    console.write_text("of the run that is under way")
    run = ["run", "frontend", "--lab", "linux", "page", "--traces", str(tmp_path)]
    with alone(tmp_path):
        assert main(run) == 4
    assert "another run records here" in capsys.readouterr().err
    assert console.exists()
    assert main(run) == 3
    assert not console.exists()


@pytest.mark.parametrize("name", ["out", "code.zip", "target.cfg"])
def test_a_program_may_have_any_name(name: str, tmp_path: Path) -> None:
    """Its file in dom0 is not among those of the lab, which would take its place."""
    program = tmp_path / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    recipe = targets._program(Role.BACKEND, str(program))
    assert list(recipe.files) == [recipe.command] == [f"/tmp/target/{name}"]


# A full disk. The limit on a file's size fails as one does, and needs no disk to be filled.


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process grows beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_trace_that_does_not_fit(
    target: LabTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, and no machine goes on."""
    dom0 = Dom0(data=bytes(300_000))
    monkeypatch.setattr(targets, "Session", lambda lab, console: dom0)
    path = tmp_path / "traces/trace"
    with full_disk(200_000), pytest.raises(RecordingError, match=f"{path}: cannot be written"):
        target.play("a/b", {}, path, 1.0)
    target.close()
    assert not dom0.open


def test_a_machine_whose_memory_does_not_fit(tmp_path: Path) -> None:
    """No machine is started, and its size is in the message."""
    with full_disk(1 << 20), pytest.raises(LabError, match="stage memory: no 768 MiB"):
        machine.resume(tmp_path, tmp_path / "console")


def test_a_console_that_cannot_be_written(tmp_path: Path) -> None:
    """It is named before anything runs."""
    memory = os.memfd_create("test")
    console = tmp_path / "none/console"
    with pytest.raises(LabError, match=f"{console}: cannot be written: No such file"):
        machine.Machine(memory, console, [])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(memory)


@pytest.mark.parametrize("stage", ["packages", "images", "snapshot"])
def test_a_lab_that_does_not_fit(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the stage and the folder; the half of it is gone, what was made stays."""

    def makes(lab: Lab, fresh: Path) -> None:
        fresh.write_bytes(b"made")

    def fills(lab: Lab, fresh: Path) -> None:
        fresh.mkdir()
        with full_disk(1000):
            (fresh / "big").write_bytes(bytes(2000))
            (fresh / "big").open("ab").write(b"more")

    steps = {"packages": "_fetch", "images": "_make_images", "snapshot": "_save"}
    for name, step in steps.items():
        monkeypatch.setattr(build, step, fills if name == stage else makes)
    monkeypatch.setattr(build, "missing_tools", lambda names: "")
    monkeypatch.setattr(build, "_snapshot_key", lambda lab: "key")
    with pytest.raises(LabError, match=f"stage {stage}: {tmp_path}.*: {os.strerror(errno.EFBIG)}"):
        build.build(Lab(tmp_path), lambda said: None)
    assert not (tmp_path / "fresh").exists()
    made = {name for name in steps if (tmp_path / f"{name}.key").exists()}
    assert made == set(list(steps)[: list(steps).index(stage)])


# A machine that does not answer.

#: Stands for QEMU: greets on its monitor, takes one order, and then does what is behind it.
QEMU = """#!/usr/bin/env python3
import re, signal, socket, sys
fd = re.search("id=monitor,fd=([0-9]+)", " ".join(sys.argv))[1]
monitor = socket.socket(fileno=int(fd))
monitor.sendall(b'{"QMP": {}}\\n')
monitor.recv(1000)
monitor.sendall(b'{"return": {}}\\n')
"""


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of QEMU's name that stays and says nothing."""
    program = tmp_path / "bin" / machine.QEMU
    program.parent.mkdir()
    program.write_text(QEMU + "signal.pause()\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


def test_a_panic_while_the_lab_is_built(
    qemu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """QEMU ends with Xen: stage and console are named."""
    qemu.write_text(QEMU + "print('Panic on CPU 0')\n")
    monkeypatch.setattr(build, "_fetch", lambda lab, fresh: fresh.write_bytes(b""))
    monkeypatch.setattr(build, "_make_images", lambda lab, fresh: fresh.mkdir())
    monkeypatch.setattr(build, "_snapshot_key", lambda lab: "key")
    monkeypatch.setattr(build, "missing_tools", lambda names: "")
    monkeypatch.setenv("VTPM_LAB", str(tmp_path / "lab"))
    assert lab_main() == 3
    console = tmp_path / "lab/boot.log"
    ended = f"stage boot: QEMU has ended (status 0); its console is in {console}"
    assert capsys.readouterr().err == f"lab: {ended}\n"
    assert "Panic" in console.read_text()


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "no answer within 0.1 s"), (1 << 22, "bytes of a request are not taken within 0.1 s")],
    ids=["answer", "request"],
)
def test_a_server_in_dom0_that_hangs(size: int, said: str, qemu: Path, tmp_path: Path) -> None:
    """Whatever it leaves undone, it is waited for as long as it may take."""
    running = machine.boot(tmp_path, tmp_path / "console")
    try:
        with pytest.raises(LabError, match=f"stage load: .*{said}.*/console"):
            running.send({"do": "load"}, bytes(size), 0.1, "stage load")
            running.receive(0.1, "stage load")
    finally:
        running.end()


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


# A package that has moved on.


def test_a_package_that_has_moved_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What apt says of it is in the message, and where the rest is."""
    fetcher = tmp_path / "bin/mmdebstrap"
    fetcher.parent.mkdir()
    why = "E: Unable to locate package xen-utils-4.17"
    fetcher.write_text(f"#!/bin/sh\necho 'I: running apt-get'\necho '{why}' >&2\nexit 25\n")
    fetcher.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fetcher.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(build, "missing_tools", lambda names: "")
    lab = Lab(tmp_path / "lab")
    with pytest.raises(LabError) as failed:
        build.build(lab, lambda said: None)
    assert str(failed.value) == f"stage packages: {why}; see {lab.folder}/packages.log"
    assert {path.name for path in lab.folder.iterdir()} == {"packages.log"}


# A build that is stopped. What fetches has children of its own, and cleans up when told.

FETCHER = """#!/bin/sh
trap 'rm -r "$TMPDIR/root"; : >"$TMPDIR/../cleaned"; exit 1' TERM
mkdir "$TMPDIR/root"
sleep 1000 &
echo $! >"$TMPDIR/../child"
wait
"""


def wait_for(ready: Callable[[], bool], limit: float = 20.0) -> None:
    """Until ``ready()``; fails if that takes longer than ``limit`` seconds."""
    deadline = time.monotonic() + limit
    while not ready():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


@pytest.fixture
def building(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """``make lab`` while it fetches, in ``tmp_path / "lab"``."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("mmdebstrap", machine.QEMU):
        (programs / name).write_text(FETCHER)
        (programs / name).chmod(0o755)
    lab = tmp_path / "lab"
    path = f"{programs}:{os.environ['PATH']}"
    process = subprocess.Popen(
        [sys.executable, "-m", "conformance.lab"],
        env={**os.environ, "PATH": path, "VTPM_LAB": str(lab)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            wait_for(lambda: (lab / "child").exists() and (lab / "child").read_text() != "")
            yield process
        finally:
            process.kill()


def is_over(pid: int) -> bool:
    """Whether a process that nobody may wait for has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_build_that_is_stopped(
    how: signal.Signals, building: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    """What it started ends as well, after it has cleaned up."""
    lab = tmp_path / "lab"
    child = int((lab / "child").read_text())
    assert not is_over(child)
    building.send_signal(how)
    _, said = building.communicate(timeout=20)
    wait_for(lambda: is_over(child))
    wait_for(lambda: (lab / "cleaned").exists())
    if how is signal.SIGINT:
        assert building.returncode == 130 and "lab: interrupted" in said
        assert not (lab / "scratch").exists()


def test_a_root_that_belongs_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a fetcher that was killed has left is removed with its own means."""
    fetcher = tmp_path / "bin/mmdebstrap"
    fetcher.parent.mkdir()
    fetcher.write_text('#!/bin/sh\n[ "$1" = --unshare-helper ] && shift && exec "$@"\n')
    fetcher.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fetcher.parent}:{os.environ['PATH']}")
    scratch = tmp_path / "scratch"
    theirs = scratch / "root/theirs"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("")
    remove = shutil.rmtree

    def refuses(path: Path) -> None:
        if theirs.exists():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(theirs))
        remove(path)

    monkeypatch.setattr(shutil, "rmtree", refuses)
    build._clear(scratch)
    assert not scratch.exists()
    theirs.parent.mkdir(parents=True)
    theirs.write_text("")
    fetcher.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(LabError, match=f"{theirs}: Permission denied; remove {scratch} as root"):
        build._clear(scratch)
