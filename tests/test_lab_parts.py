# SPDX-License-Identifier: MIT
"""
The parts of the lab that need no lab: archives, kernels, the store's log, data.
"""

import gzip
import io
import json
import lzma
import os
import re
import socket
import struct
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conformance import expect, measured
from conformance.cases import CASES
from conformance.clauses import load as load_clauses
from conformance.cli import main
from conformance.errors import AdapterError, LabError, UsageError
from conformance.lab import build, cpio, images, kernel, session
from conformance.lab.build import Lab
from conformance.links import xen, xen_devices, xen_store
from conformance.links.xen import evidence
from conformance.links.xen_devices import StoreClient
from conformance.links.xen_peers import Peer
from conformance.links.xen_store import RealStore, StoreLog
from conformance.links.xenstore_wire import Message, Op, take_messages
from conformance.recorder import Recorder
from conformance.report.results import Exit, RunResult
from conformance.run import header_of, judge_file
from conformance.select import select
from conformance.trace import Target, TraceReader
from conformance.watching import redacted
from tests.bad_targets.harness import ROOT
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

# Archives.


def entries_of(archive: bytes) -> dict[str, bytes]:
    """Name and content of each entry, read as the kernel's documentation has it."""
    found: dict[str, bytes] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        size, length = fields[6], fields[11]
        name = archive[at + 110 : at + 110 + length - 1].decode()
        start = (at + 110 + length + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found[name] = archive[start : start + size]
        at = (start + size + 3) & ~3


def test_an_archive_holds_files_and_the_folders_they_lie_in() -> None:
    """Each folder comes once, before what lies in it."""
    out = io.BytesIO()
    cpio.write(out, [cpio.file("a/b/one", b"1"), cpio.file("a/b/two", b"22"), cpio.link("l", "a")])
    found = entries_of(out.getvalue())
    assert list(found) == ["a", "a/b", "a/b/one", "a/b/two", "l"]
    assert (found["a/b/two"], found["l"]) == (b"22", b"a")
    assert len(out.getvalue()) % 512 == 0


# Kernels.


def bz_image(payload: bytes) -> bytes:
    """A bzImage with one setup sector, as Documentation/x86/boot.rst lays it out."""
    head = bytearray(2 * 512)
    head[0x1F1] = 1
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", head, 0x248, 16, len(payload))
    return bytes(head) + bytes(16) + payload + b"behind"


@pytest.mark.parametrize(
    "pack",
    [lambda elf: lzma.compress(elf) + b"size", lambda elf: gzip.compress(elf) + b"size"],
    ids=["xz", "gzip"],
)
def test_a_kernel_is_taken_out_of_its_image(pack: object) -> None:
    """What is packed in a bzImage comes out as it was."""
    elf = b"\x7fELF" + bytes(range(256)) * 20
    assert kernel.vmlinux(bz_image(pack(elf))) == elf  # type: ignore[operator]


@pytest.mark.parametrize(
    "image",
    [b"\x7fELF" + bytes(2000), bz_image(b"\x28\xb5\x2f\xfd zstd"), bz_image(b"\xfd7zXZ no")],
)
def test_a_kernel_that_cannot_be_taken_apart_stays_as_it_is(image: bytes) -> None:
    """Xen starts a bzImage as well, only later."""
    assert kernel.vmlinux(image) == image


# Roots.


def elf(*libraries: str) -> bytes:
    return b"\x7fELF\0" + b"\0".join(name.encode() for name in libraries) + b"\0"


@pytest.fixture
def root(tmp_path: Path) -> images.Root:
    """A few files of which some name others."""
    path = tmp_path / "root.tar"
    files = {
        "./bin/busybox": elf(),
        "./usr/bin/tool": elf("libone.so.1"),
        "./lib/libone.so.1.2": elf("long_libtwo.so.2"),
        "./lib/libtwo.so.2": elf(),
        "./lib/libother.so.3": elf(),
    }
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("./lib/libone.so.1")
        link.type, link.linkname = tarfile.SYMTYPE, "libone.so.1.2"
        tar.addfile(link)
    return images.Root(path)


def test_a_program_brings_its_libraries(root: images.Root) -> None:
    """Through links, and where a name is stored as the tail of a longer one."""
    found = [entry.name for entry in root.closure([r"usr/bin/.*"])]
    assert found == ["lib/libone.so.1", "lib/libone.so.1.2", "lib/libtwo.so.2", "usr/bin/tool"]


def test_what_a_root_lacks_is_named(root: images.Root) -> None:
    """A package without the file that it should hold is trouble of the lab."""
    with pytest.raises(LabError, match="holds no lab/boot/xen"):
        root.one(r"lab/boot/xen")


# Code for dom0.


def test_code_goes_compiled_where_both_pythons_are_the_same() -> None:
    """Otherwise as source, which any Python takes."""
    import importlib.util
    import zipfile

    same = importlib.util.MAGIC_NUMBER.hex()
    with zipfile.ZipFile(io.BytesIO(session.code(same))) as archive:
        assert "conformance/links/xen.pyc" in archive.namelist()
        assert "vtpm_ref/page.pyc" in archive.namelist()
    with zipfile.ZipFile(io.BytesIO(session.code("other"))) as archive:
        assert "conformance/cases/base.py" in archive.namelist()
        assert not [name for name in archive.namelist() if "pytest" in name or "report" in name]


def test_where_the_lab_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``VTPM_LAB``, or ``build/lab``."""
    monkeypatch.setenv("VTPM_LAB", str(tmp_path))
    assert build.default() == Lab(tmp_path)
    monkeypatch.delenv("VTPM_LAB")
    assert build.default().folder == Path("build/lab").absolute()


# The store's log.

HEAD = "20261124 20:44:07"
FRONTEND = "/local/domain/1/device/vtpm/0"


class Log:
    """A log file that grows, and what was recorded of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_text("before\n")
        self.seen: list[tuple[object, ...]] = []
        self.log = StoreLog(path, [Place()], 1, lambda *event: self.seen.append(event))

    def add(self, *lines: str) -> None:
        """xenstored writes to its log."""
        with self._path.open("a") as out:
            out.write("".join(f"{line}\n" for line in lines))

    def grow(self, *lines: str) -> None:
        """The same, and the judge takes it in."""
        self.add(*lines)
        self.log.drain()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


def test_writes_of_a_transaction_carry_its_number(log: Log) -> None:
    """A relative path starts in the target's home; other devices are left out."""
    log.grow(
        f"IN 0xa {HEAD} TRANSACTION_START ( )",
        f"OUT 0xa {HEAD} TRANSACTION_START (3 )",
        f"IN 0xa {HEAD} WRITE (device/vtpm/0/ring-ref 8)",
        "wrl: dom    0     11  msec",
        f"OUT 0xa {HEAD} WRITE (OK )",
        f"IN 0xa {HEAD} WRITE (device/vif/0/state 1)",
        f"OUT 0xa {HEAD} WRITE (OK )",
        f"IN 0xa {HEAD} TRANSACTION_END (T )",
        f"OUT 0xa {HEAD} WATCH_EVENT (device/vtpm/0/ring-ref FF )",
        f"OUT 0xa {HEAD} TRANSACTION_END (OK )",
    )
    assert log.seen == [
        (False, "start", "", None, 3, True),
        (False, "write", f"{FRONTEND}/ring-ref", "8", 3, True),
        (False, "end", "", None, 3, True),
    ]


def test_a_refused_or_repeated_operation_is_recorded_as_such(log: Log) -> None:
    """A transaction that met another has not taken effect."""
    log.grow(
        f"IN 0xa {HEAD} WRITE ({FRONTEND}/state 3)",
        f"OUT 0xa {HEAD} ERROR (EACCES )",
        f"IN 0xa {HEAD} TRANSACTION_START ( )",
        f"OUT 0xa {HEAD} TRANSACTION_START (4 )",
        f"IN 0xa {HEAD} RM ({FRONTEND}/ring-ref )",
        f"OUT 0xa {HEAD} RM (OK )",
        f"IN 0xa {HEAD} TRANSACTION_END (T )",
        f"OUT 0xa {HEAD} ERROR (EAGAIN )",
    )
    assert log.seen == [
        (False, "write", f"{FRONTEND}/state", "3", 0, False),
        (False, "start", "", None, 4, True),
        (False, "rm", f"{FRONTEND}/ring-ref", None, 4, True),
        (False, "end", "", None, 4, False),
    ]


def test_operations_are_recorded_in_the_order_in_which_they_were_taken(log: Log) -> None:
    """One that has no reply yet holds back those after it."""
    log.grow(
        f"IN 0xa {HEAD} WRITE ({FRONTEND}/state 3)",
        f"IN 0xb {HEAD} WRITE ({FRONTEND}/state 4)",
        f"OUT 0xb {HEAD} WRITE (OK )",
    )
    assert log.seen == []
    log.grow(f"OUT 0xa {HEAD} WRITE (OK )")
    assert [event[3] for event in log.seen] == ["3", "4"]


class Own:
    """The judge's own connection: what it reads is in the log when it is answered."""

    def __init__(self, log: Log) -> None:
        self.asked = 0
        self._log = log

    def read(self, path: str) -> None:
        """Read a node that is not there."""
        self.asked += 1
        self._log.add(f"IN 0xe {HEAD} READ ({path} )", f"OUT 0xe {HEAD} ERROR (ENOENT )")


def test_what_the_log_has_shown_already_is_not_waited_for(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event of a watch may have had the log read before the answer was taken."""
    own = Own(log)
    log.log.find_own(own)  # type: ignore[arg-type]
    own.read(f"{FRONTEND}/state")
    log.log.drain()
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waits"))
    log.log.drain(own.asked)


def test_an_answer_that_the_log_does_not_show_yet_is_waited_for(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Own(log)
    log.log.find_own(own)  # type: ignore[arg-type]
    late = [f"IN 0xe {HEAD} WRITE ({FRONTEND}/state 4)", f"OUT 0xe {HEAD} WRITE (OK )"]
    monkeypatch.setattr("time.sleep", lambda seconds: log.add(*late))
    log.log.drain(own.asked + 1)
    assert log.seen == [(True, "write", f"{FRONTEND}/state", "4", 0, True)]


def test_a_log_that_does_not_show_the_judge(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without knowing its own connection it would put its writes down to the target."""
    own = Own(log)
    monkeypatch.setattr(log, "add", lambda *lines: None)
    monkeypatch.setattr(xen_store, "_LOG_LIMIT", 0.01)
    slow = StoreLog(tmp_path / "log", [Place()], 1, lambda *event: None, 3.0)
    with pytest.raises(AdapterError, match=f"{tmp_path}/log does not show within 0.03 s what it"):
        slow.find_own(own)  # type: ignore[arg-type]


def test_an_answer_that_the_log_never_shows(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and what the log does show is recorded."""
    own = Own(log)
    log.log.find_own(own)  # type: ignore[arg-type]
    log.add(f"IN 0xa {HEAD} WRITE ({FRONTEND}/state 3)", f"OUT 0xa {HEAD} WRITE (OK )")
    monkeypatch.setattr(log.log, "_limit", 0.01)
    with pytest.raises(AdapterError, match=r"does not show within 0\.01 s what it has answered"):
        log.log.drain(own.asked + 1)
    assert log.seen == [(False, "write", f"{FRONTEND}/state", "3", 0, True)]


@pytest.fixture
def xenstored(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """xenstored's end of the connection that is made next."""
    theirs, ours = socket.socketpair()
    monkeypatch.setattr(xen_devices, "connect_store", ours.detach)
    with theirs:
        yield theirs


def says(xenstored: socket.socket, *messages: tuple[Op, int, str]) -> None:
    """xenstored sends these at once: operation, number of the request, payload."""
    xenstored.sendall(b"".join(Message(op, n, 0, s.encode()).pack() for op, n, s in messages))


def test_who_is_told_of_a_change_may_ask_the_store(xenstored: socket.socket) -> None:
    """While another question is open: each gets the reply to its own."""
    said: list[str | None] = []

    def told(path: str, token: str) -> None:
        says(xenstored, (Op.READ, 2, "of the second"))
        said.append(client.read("second"))

    client = StoreClient(told)
    says(xenstored, (Op.READ, 1, "of the first"), (Op.WATCH_EVENT, 0, "second\0token\0"))
    assert client.read("first") == "of the first"
    assert said == ["of the second"]
    client.close()


def test_without_a_log_changes_are_sampled_in_their_order(xenstored: socket.socket) -> None:
    """And what the judge has written itself is not put down to the target."""
    place, home = Place(), Place().backend_dir
    changed = [(Op.WATCH_EVENT, 0, f"{home}{node}\0{1}\0") for node in ("", "/f", "/state")]
    own = (Op.WATCH_EVENT, 0, f"{home}/online\0{1}\0")
    says(xenstored, (Op.WATCH, 1, "OK\0"), *changed, (Op.WRITE, 2, "OK\0"), own)
    says(xenstored, (Op.READ, 3, "1"), (Op.READ, 4, "2"), own, (Op.READ, 5, "0"))
    seen: list[tuple[object, ...]] = []
    store = RealStore(1, lambda *event: seen.append(event), None)
    store.follow(place, Role.BACKEND)
    store.write(0, f"{home}/online", "0")
    store.pump()
    store.close()
    assert seen == [
        (True, "write", f"{home}/online", "0", 0, True),
        (False, "write", f"{home}/f", "1", 0, True),
        (False, "write", f"{home}/state", "2", 0, True),
        (False, "write", f"{home}/online", "0", 0, True),
    ]


@pytest.mark.parametrize(
    ("uuid", "backend"),
    [("3a1ed0d8-3bf6-4a9c-8e0e-000000000001", None), (None, "/local/domain/0/backend/vtpm/1/0")],
    ids=["a vTPM of its own", "half a device"],
)
def test_a_device_that_is_in_use_is_left_alone(
    xenstored: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    uuid: str | None,
    backend: str | None,
) -> None:
    """Nothing of it is removed or written, and a free number is asked for."""
    monkeypatch.setattr(xen, "missing", lambda: "")
    monkeypatch.setattr(xen, "Grants", object)
    monkeypatch.setattr(xen, "EventChannels", object)
    said = [(Op.READ, text) if text else (Op.ERROR, "ENOENT\0") for text in (uuid, backend)]
    numbered = [(op, number, text) for number, (op, text) in enumerate(said, 2)]
    says(xenstored, (Op.READ, 1, "0"), *numbered)
    header = header_of([Role.FRONTEND], link="xen", target="test", evidence={})
    with closing(Recorder(tmp_path / "trace", header)) as recorder:
        link = xen.XenLink(Role.FRONTEND, Place(), recorder, Peer())
        with pytest.raises(AdapterError, match=r"in use, .* a free number, as in 1/1"):
            link.start()
    asked = take_messages(bytearray(xenstored.recv(4096)))
    assert {message.op for message in asked} == {Op.READ}


def test_without_a_log_nodes_are_only_sampled() -> None:
    """And what a backend maps is seen by nobody."""
    assert evidence(Role.BACKEND, log=False)["nodes"] == "sampled"
    assert evidence(Role.BACKEND, log=True)["grants"] == "none"
    assert evidence(Role.FRONTEND, log=True)["grants"] == "exact"


@pytest.mark.skipif(os.path.exists("/dev/xen/gntdev"), reason="this is a Xen host")
def test_outside_of_xen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing is named, and nothing was tried."""
    assert main(["run", "backend", "--xen", "3/1", "--traces", str(tmp_path)]) == 3
    assert "no Xen host" in capsys.readouterr().err


def test_what_is_no_domain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A domid is a number."""
    assert main(["run", "backend", "--xen", "moon", "--traces", str(tmp_path)]) == 4
    assert "expected DOMID or DOMID/DEVICE" in capsys.readouterr().err


@pytest.mark.skipif(os.path.exists("/dev/xen/gntdev"), reason="this is a Xen host")
def test_watch_outside_of_xen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing is named; the traces say that nothing was seen."""
    assert main(["watch", "3", "4/1", "--traces", str(tmp_path)]) == 3
    assert "no Xen host" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "message"), [(["3", "x"], "expected DOMID"), (["3", "3"], "nothing between them")]
)
def test_watch_of_nothing(
    names: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two domains are needed."""
    assert main(["watch", *names, "--traces", str(tmp_path)]) == 4
    assert message in capsys.readouterr().err


def test_what_a_packet_says_is_not_recorded() -> None:
    """The page's header and the packet's own stay; all behind them is zero."""
    assert redacted(0, b"\xff" * 30) == b"\xff" * 18 + bytes(12)
    assert redacted(8, b"\xff" * 14) == b"\xff" * 10 + bytes(4)
    assert redacted(100, b"\xff" * 3) == bytes(3)


# Known deviations.

ENTRY = '[[deviation]]\nclause = "{clause}"\nreason = "r"\nlink = "l"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[deviation", "is no TOML"),
        ("[[deviations]]\n", "expected .*deviation.* tables and nothing else"),
        (ENTRY.format(clause="no.such"), "there is no clause 'no.such'"),
        (2 * ENTRY.format(clause="page.size"), "page.size is named twice"),
        ('[[deviation]]\nclause = "page.size"\n', "expected clause, reason, link"),
        (ENTRY.format(clause="page.size").replace('"r"', '" "'), "texts that say something"),
        (ENTRY.format(clause="page.size").replace('"r"', "1"), "texts that say something"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(text: str, message: str, tmp_path: Path) -> None:
    """With its name, the entry, and what is wrong with it."""
    path = tmp_path / "known.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        expect.load(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(UsageError, match=r"none\.toml: cannot be read"):
        expect.load(tmp_path / "none.toml")


def test_what_is_written_can_be_read_again(tmp_path: Path) -> None:
    """Whatever letters a reason has."""
    known = expect.Deviation("page.size", 'it says "no" \\ ü', "page.html")
    path = tmp_path / "known.toml"
    path.write_text(expect.text([known]), encoding="utf-8")
    assert expect.load(path) == {"page.size": known}


def test_every_file_that_ships_names_clauses_that_there_are() -> None:
    """They are read as any other."""
    folder = Path(expect.__file__).parent / "expected"
    assert [expect.load(path) for path in folder.glob("*.toml")]


def run_of(verdicts: dict[str, str], known: dict[str, expect.Deviation]) -> RunResult:
    """A run over some clauses with the given verdicts."""
    clauses = [load_clauses()[id] for id in verdicts]
    run = RunResult("t", "memory", (Role.BACKEND,), clauses, expected=known)
    for id, verdict in verdicts.items():
        result = SimpleNamespace(
            verdict=verdict, findings=[], occasions=1, breaches=0, unclear="", inapplicable=""
        )
        run.results[id, Role.BACKEND] = result  # type: ignore[assignment]
    return run


@pytest.mark.parametrize(
    ("verdict", "named", "code"),
    [
        ("broken", True, Exit.OK),
        ("broken", False, Exit.BROKEN),
        ("kept", True, Exit.BROKEN),
        ("kept", False, Exit.OK),
        ("not exercised", True, Exit.OK),
    ],
)
def test_what_is_expected_decides(verdict: str, named: bool, code: Exit) -> None:
    """Known and broken passes; known and kept fails, and so does broken and unknown."""
    from conformance.judge import Verdict
    from conformance.report.results import CaseResult

    clause = "packet.response-fits"
    known = {clause: expect.Deviation(clause, "r", "l")} if named else {}
    run = run_of({clause: Verdict(verdict)}, known)
    run.cases = [CaseResult(case.id, case) for case in CASES.values() if case.clause == clause]
    assert run.exit_code is code


# Measured results.


def lines_of(broken: str = "", trace: Path = Path(), *, xen: str = "4.17") -> list[dict[str, Any]]:
    """What ``run --jsonl`` writes of all cases; one clause is broken, the others are kept."""
    whole = select([Role.FRONTEND])
    header = {"kind": "header", "target": "Linux", "roles": ["frontend"], "link": "xen"}
    finding = {"allowed": "a", "happened": "h", "trace": str(trace), "line": 3}
    return [
        header | {"versions": {"Xen": xen}},
        *(
            {"kind": "case", "id": case.id, "trouble": "", "internal": False}
            for case in whole.cases
        ),
        *(
            {"kind": "clause", "id": clause.id, "verdict": verdict, "findings": [finding]}
            for clause in whole.clauses
            for verdict in ["broken" if clause.id == broken else "kept"]
        ),
        {"kind": "footer", "exit": int(bool(broken))},
    ]


def measure(lines: list[dict[str, Any]], folder: Path, *more: str) -> int:
    """Take ``lines`` into the results in ``folder``."""
    run = folder.parent / "run.jsonl"
    run.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return measured.main([str(run), "--folder", str(folder), *more])


def test_results_of_known_versions_have_to_be_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A difference fails and is named; other versions add a file, with the trace."""
    trace, folder = tmp_path / "page.size__x.jsonl", tmp_path / "results"
    trace.write_text("trace\n")
    broken, kept = lines_of("page.size", trace), lines_of()
    assert measure(broken, folder) == 0
    (first,) = folder.glob("*.json")
    saved = json.loads(first.read_text())
    assert (saved["verdicts"]["page.size"], list(saved["broken"])) == ("broken", ["page.size"])
    assert (folder / saved["broken"]["page.size"]["trace"]).read_text() == "trace\n"
    assert measure(broken, folder) == 0
    assert measure(kept, folder) == 1
    assert "page.size: broken, now kept" in capsys.readouterr().out
    assert measure(lines_of(xen="4.18"), folder) == 0
    assert len(list(folder.glob("*.json"))) == 2
    assert measure(kept, folder, "--replace", "--origin", "a lab elsewhere") == 0
    assert json.loads(first.read_text())["origin"] == "a lab elsewhere"


@pytest.mark.parametrize(
    ("without", "changed", "said"),
    [
        ({"kind": "footer"}, {}, "it has no footer, so it was cut off"),
        ({}, {"footer": {"exit": 130}}, "it ended with exit 130, expected 0 or 1"),
        ({}, {"footer": {"exit": 2}}, "it ended with exit 2, expected 0 or 1"),
        ({"id": "page.pad-zero/request"}, {}, "it lacks page.pad-zero/request;"),
        ({"kind": "case"}, {}, r"it lacks page.byte-order/\S+ and \d+ more;"),
        ({"id": "time.patience"}, {}, "it lacks verdicts of time.patience;"),
        ({}, {"case": {"trouble": "a"}}, r"there was trouble in page.byte-order/\S+ and \d+ more;"),
        ({}, {"case": {"internal": True}}, "there was trouble in"),
    ],
    ids=["cut off", "interrupted", "unclear", "case", "cases", "clause", "trouble", "defect"],
)
def test_a_run_that_is_not_whole_is_no_result(
    without: dict[str, str],
    changed: dict[str, dict[str, Any]],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What was not played, or did not end well, says nothing of what the target does."""
    lines = [
        line | changed.get(line["kind"], {})
        for line in lines_of()
        if not without or any(line.get(key) != value for key, value in without.items())
    ]
    folder = tmp_path / "results"
    assert measure(lines, folder) == 4
    assert re.search(f"run.jsonl: is no result of a whole run: {said}", capsys.readouterr().err)
    assert not folder.exists()


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    """A file of something else, or none."""
    (tmp_path / "run.jsonl").write_text("{}\n")
    assert measured.main([str(tmp_path / "run.jsonl"), "--folder", str(tmp_path)]) == 4
    assert measured.main([str(tmp_path / "none"), "--folder", str(tmp_path)]) == 4


def test_results_that_ship_are_whole() -> None:
    """Each names what ran, and its traces still show what broke."""
    for path in measured.FOLDER.glob("*.json"):
        run = json.loads(path.read_text())
        assert run["target"] and run["versions"] and run["date"] and run["link"], path.name
        assert set(run["broken"]) == {c for c, v in run["verdicts"].items() if v == "broken"}
        for clause, finding in run["broken"].items():
            assert clause in judge_file(measured.FOLDER / finding["trace"]).broken, path.name


def test_the_page_lists_what_is_not_run_on_linux() -> None:
    """All cases that need what the driver, as it was measured, does not declare; no other."""
    trace = next((measured.FOLDER / "traces").glob("xen-tpmfront-*"))
    can = next(event.can for event in TraceReader(trace) if isinstance(event, Target)).split(",")
    cases = [case for case in CASES.values() if case.role is Role.FRONTEND and case.needs]
    left_out = [case.id for case in cases if not set(case.needs.split(",")) <= set(can)]
    page = (ROOT / "spec/measured.md").read_text(encoding="utf-8")
    table = page.partition("they are not run:")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\S+)` \|", table, re.MULTILINE)) == sorted(left_out)
