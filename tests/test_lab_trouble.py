# SPDX-License-Identifier: MIT
"""
What goes wrong around a real Xen, as far as it can be had without one: each is said in words.
"""

import contextlib
import errno
import json
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance import engine
from conformance.cli import main
from conformance.errors import AdapterError, LabError, RecordingError
from conformance.judge import Verdict
from conformance.lab import between, build, machine, session, targets, tools
from conformance.lab.build import Lab
from conformance.lab.targets import LabTarget, Recipe
from conformance.links import xen, xen_devices
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


# What guests have said.


# A package that has moved on.


# A build that is stopped. What fetches has children of its own, and cleans up when told.
