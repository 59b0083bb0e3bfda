# SPDX-License-Identifier: MIT
"""Whatever a target does, it gets its verdict, the run goes on, and nothing is lost or left."""

import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.errors import AdapterError
from conformance.links.joint import Joint
from conformance.links.lines import parse_line
from conformance.links.memory import EVIDENCE
from conformance.recorder import Recorder
from conformance.run import header_of
from conformance.targets import reference
from conformance.trace import Console, Exit, Silence, TraceReader
from tests.bad_targets import objects
from tests.bad_targets.harness import (
    JUDGE,
    Judge,
    command,
    descriptors,
    environment,
    survivors,
)
from vtpm_ref.packet import build
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

#: Seconds; only a machine that hangs takes so long.
PATIENCE = 60.0

#: Multiplies the limits where one has to pass; elsewhere they are as they are.
SHORT = "0.2"

#: For each kind of target: the case that meets its misbehaviour, and one that comes later.
CONNECT = (
    "connecting.backend-connects/initialised",
    "connecting.serves-initialised/three-exchanges",
)
ANSWER = ("exchange.answered/three-exchanges", "packet.response-tag/unknown-ordinal")
TAKE = ("exchange.response-taken/10-bytes", "packet.request-fits/4088")
SUBMIT = ("exchange.waits-for-answer/three-exchanges", "packet.request-fits/4088")


@pytest.fixture
def judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Judge]:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    before = descriptors()
    yield Judge(tmp_path, capsys)
    assert descriptors() == before
    assert survivors(tmp_path) == []


# Trouble before the first case: the run ends at once.


@pytest.mark.parametrize(
    ("name", "how", "message"),
    [
        ("never_ready", [], "the target did not say 'ready' within 2 s"),
        (
            "wrong_protocol",
            [],
            "the target speaks version 2 of the adapter page; this judge speaks 1",
        ),
        (
            "garbage_at_start",
            [],
            "the target printed what is not JSON on its stdout:"
            r" 'my-backend 1.0 \x1b[31mstarting\x1b[0m'",
        ),
        (
            "binary_at_start",
            [],
            r"the target printed what is not JSON on its stdout: '\\xff\\xfe\\xfd\\xfc",
        ),
        ("endless_line", [], "the target printed a line of more than 32768 bytes"),
        (
            "no_msg",
            [],
            """the target printed a line without a msg: '{"protocol": 1, "name": "bare"}'""",
        ),
        ("nested_value", [], "'can' of a line of the target is not flat: "),
        ("ready_twice", [], "the target said 'ready' a second time"),
        ("dies_at_start", ["3"], "the target ended before it was ready: exit status 3"),
        ("dies_at_start", ["SIGSEGV"], "the target ended before it was ready: killed by SIGSEGV"),
        ("dies_at_start", ["SIGKILL"], "the target ended before it was ready: killed by SIGKILL"),
        (
            "dies_at_start",
            ["SIGRTMIN+1"],
            "the target ended before it was ready: killed by signal 35",
        ),
    ],
)
def test_trouble_at_the_start(judge: Judge, name: str, how: list[str], message: str) -> None:
    ran = judge.run("backend", *ANSWER, target=command(name, *how), scale=SHORT)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith(f"vtpm-conformance: {message}")
    assert ran.err.count("\n") == 1
    [trace] = ran.traces
    events = list(TraceReader(trace))
    if name == "dies_at_start":
        assert [e.text for e in events if isinstance(e, Console)] == ["no TPM here"]


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("/nowhere/backend", 3, "cannot start '/nowhere/backend': No such file or directory"),
        ("/etc/passwd", 3, "cannot start '/etc/passwd': Permission denied"),
        ("/bin/true", 3, "the target ended before it was ready: exit status 0"),
        ("backend 'one", 4, "--exec backend 'one: No closing quotation"),
        ("", 4, "--exec names no command"),
    ],
)
def test_what_is_no_program(judge: Judge, target: str, code: int, message: str) -> None:
    ran = judge.run("backend", target=target)
    assert (ran.code, ran.out, ran.err) == (code, "", f"vtpm-conformance: {message}\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{}", "a line without a msg"),
        (b"[]", "a line without a msg"),
        (b'{"msg": 1}', "a line without a msg"),
        (b'{"msg": "map"', "what is not JSON"),
        (b'{"msg": "map"} {"msg": "map"}', "what is not JSON"),
        ('{"msg": "\u00e4"}'.encode(), "what is not JSON"),
        ('{"msg": "map"}'.encode("utf-16"), "what is not JSON"),
        (b"[" * 30_000, "what is not JSON"),
        (b'{"msg": "map", "id": ' + b"9" * 30_000 + b"}", "what is not JSON"),
        (b'{"msg": "map", "id": {"more": 1}}', "'id' of a line of the target is not flat"),
    ],
)
def test_lines_that_are_none(line: bytes, message: str) -> None:
    with pytest.raises(AdapterError, match=message) as raised:
        parse_line(line)
    assert len(str(raised.value)) < 400 and "\n" not in str(raised.value)


@given(st.binary(max_size=100))
def test_any_line_is_taken_or_refused(line: bytes) -> None:
    try:
        assert isinstance(parse_line(line)["msg"], str)
    except AdapterError as error:
        assert str(error).isprintable()


# Misbehaviour in a case: its verdict, then the next case with a fresh target.


@dataclass(frozen=True)
class Bad:
    """
    What a target does, and what must come of it.

    :param verdict: of the clause of the first case.
    :param waits: the judge waits until a limit has passed.
    :param shown: patterns that the report shows.
    :param broken: what else the first case sees broken.
    """

    words: str
    cases: tuple[str, str]
    code: int
    verdict: str
    shown: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    waits: bool = False

    @property
    def role(self) -> str:
        return "frontend" if self.cases in (TAKE, SUBMIT) else "backend"


def silent(words: str, *shown: str, broken: tuple[str, ...] = ()) -> Bad:
    """A backend that gives no answer and goes on."""
    return Bad(
        words,
        ANSWER,
        1,
        "broken",
        (r"happened   state stayed SUBMIT within 0.4 s", *shown),
        broken,
        waits=True,
    )


def trouble(words: str, cases: tuple[str, str], message: str) -> Bad:
    """A target whose adapter breaks its page."""
    shown = (rf"TROUBLE  {cases[0]}: {message}",)
    return Bad(words, cases, 3, "inconclusive", shown, waits="closes" in words)


def refused(words: str, step: str) -> Bad:
    """A backend that ends when it does not get what it may not have."""
    steps = (
        rf"{step}: refused, no such",
        "stderr: refused: no such",
        "the target ends: exit status 1",
    )
    return Bad(words, CONNECT, 1, "broken", steps)


BAD = [
    Bad("honest_backend", ANSWER, 0, "kept"),
    Bad("honest_frontend", TAKE, 0, "kept"),
    # While connecting.
    Bad("dies_connecting SIGSEGV", CONNECT, 1, "broken", ("happened .* killed by SIGSEGV",)),
    refused("maps 1 63", "backend maps page 63"),
    refused("maps 7 8", "backend maps page 8"),
    refused("maps 1 4294967295", "backend maps page 4294967295"),
    refused("binds 1 31", "backend binds to port 31"),
    refused("binds 7 1", "backend binds to port 1"),
    refused("binds 1 4294967295", "backend binds to port 4294967295"),
    Bad("takes_what_is_refused", CONNECT, 0, "kept"),
    trouble("number 4294967296", CONNECT, "gref of the target's map is 4294967296; it has to be"),
    trouble("number true", CONNECT, "gref of the target's map is true; it has to be"),
    trouble("number '[8]'", CONNECT, "'gref' of a line of the target is not flat"),
    trouble(
        "long_store_message", CONNECT, "the target sent .* to xenstore: a payload of 4097 bytes"
    ),
    Bad("endless_transaction", CONNECT, 0, "kept"),
    Bad(
        "floods_store",
        CONNECT,
        1,
        "broken",
        (r"happened   state 2 while the frontend's is 3",),
        waits=True,
    ),
    # In the middle of a command.
    Bad(
        "dies_in_a_command 3", ANSWER, 1, "broken", ("happened   the target ended: exit status 3",)
    ),
    Bad("dies_in_a_command SIGSEGV", ANSWER, 1, "broken", ("happened .*: killed by SIGSEGV",)),
    Bad("dies_in_a_command SIGKILL", ANSWER, 1, "broken", ("happened .*: killed by SIGKILL",)),
    Bad("dies_in_a_command SIGRTMIN+1", ANSWER, 1, "broken", ("happened .*: killed by signal 35",)),
    trouble(
        "garbage_in_a_command", ANSWER, ".* is not JSON on its stdout: 'executing command 0x17b'"
    ),
    trouble(
        "surrogate_in_a_command", ANSWER, r"the target sent a line with the unknown msg '\\ud800'"
    ),
    trouble("closes stdin", ANSWER, "the target closed its stdin but goes on"),
    trouble("closes stdout", ANSWER, "the target closed its stdout but goes on"),
    trouble("closes store", ANSWER, "the target closed its xenstore socket but goes on"),
    silent("closes stderr"),
    silent("closes eventfds"),
    silent("never_answers"),
    silent("answers_late"),
    silent("stops_itself"),
    silent(
        "floods_events", "backend notifies, [0-9]+ times", broken=("exchange.event-per-change",)
    ),
    silent("floods_stderr", "stderr     retrying", r"stderr     \(and [0-9]+ more lines\)"),
    silent("floods_requests", "backend maps page 8"),
    silent("swaps_its_eventfds"),
    Bad("resizes_memory", ANSWER, 0, "kept"),
    Bad("counts_to_the_limit", ANSWER, 0, "kept", (), ("exchange.event-per-change",)),
    Bad(
        "writes_state_7",
        ANSWER,
        1,
        "broken",
        ("happened   state stayed the unknown value 7",),
        ("states.backend-writes",),
        waits=True,
    ),
    Bad(
        "writes_length_ffffffff",
        ANSWER,
        1,
        "kept",
        ("happened .*4294967295",),
        ("packet.response-fits",),
    ),
    Bad(
        "writes_255_extra_pages",
        ANSWER,
        1,
        "kept",
        (r"happened   nr_extra_pages \(byte 7\): 0x00 became 0xff",),
        ("states.backend-fields",),
    ),
    # Frontends.
    Bad("frontend_dies SIGABRT", TAKE, 1, "broken", ("the target ends: killed by SIGABRT",)),
    Bad(
        "never_reports",
        TAKE,
        1,
        "broken",
        ("the judge waits for a result: not within 0.4 s",),
        waits=True,
    ),
    Bad(
        "never_reads_orders",
        TAKE,
        2,
        "inconclusive",
        ("was not reached: waited for a request: silence",),
        waits=True,
    ),
    trouble(
        "reports 100 response 00", TAKE, "the target reports on order 103, which it was not given"
    ),
    trouble("reports 0 great 00", TAKE, "a result is 'great'; it can be response, cancelled, "),
    trouble("reports 0 response xyz", TAKE, "the packet of a result is not in hexadecimal digits"),
    trouble("reports_twice", TAKE, "the target reports on order 3, which it was not given or has"),
    trouble("frontend_closes_stdin", SUBMIT, "the target closed its stdin but goes on"),
    Bad(
        "takes_all_pages",
        TAKE,
        2,
        "inconclusive",
        ("waited for nodes of the frontend",),
        waits=True,
    ),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.words)
def test_misbehaviour(judge: Judge, bad: Bad) -> None:
    start = time.monotonic()
    target, scale = command(*shlex.split(bad.words)), SHORT if bad.waits else "1"
    ran = judge.run(bad.role, *bad.cases, target=target, scale=scale)
    assert time.monotonic() - start < PATIENCE
    first, later = bad.cases
    assert "Traceback" not in ran.out + ran.err
    assert ran.err == ""
    for pattern in bad.shown:
        assert re.search(pattern, ran.out), ran.out
    own = {first.split("/")[0]} if bad.verdict == "broken" else set()
    assert set(ran.cases[first]["broken"]) == own | set(bad.broken)
    assert ran.verdicts[first.split("/")[0]] == bad.verdict
    assert ran.code == bad.code
    if bad.words not in ("takes_all_pages", "never_reads_orders"):  # they do so every time
        assert ran.cases[later]["broken"] == []
        assert (ran.cases[later]["trouble"], ran.verdicts[later.split("/")[0]]) == ("", "kept")
    for trace in ran.traces:
        assert list(TraceReader(trace))


def test_the_judge_of_the_same_traces_finds_the_same(judge: Judge) -> None:
    ran = judge.run("backend", *ANSWER, target=command("writes_state_7"), scale=SHORT)
    checked = judge("check", *map(str, ran.traces))
    assert checked.code == ran.code == 1
    assert set(re.findall(r"BROKEN  (\S+)", checked.out)) == set(ran.cases[ANSWER[0]]["broken"])


@pytest.mark.parametrize(
    ("field", "value"),
    [("state", "7"), ("length", "4294967295"), ("nr_extra_pages", "255")],
)
def test_a_frontend_that_leaves_impossible_values(judge: Judge, field: str, value: str) -> None:
    ran = judge.run("frontend", *SUBMIT, target=command("submits", field), scale=SHORT)
    expected = {
        "state": "states.frontend-writes",
        "length": "packet.request-fits",
        "nr_extra_pages": "page.no-extra-pages",
    }
    assert ran.code == 1
    assert expected[field] in ran.cases[SUBMIT[0]]["broken"]
    assert re.search(rf"happened .*\b{value}", ran.out)
    assert ran.cases[SUBMIT[1]]["broken"] == []


def test_a_target_that_ignores_the_end_of_stdin(judge: Judge) -> None:
    ran = judge.run("backend", *ANSWER, target=command("ignores_end"), scale=SHORT)
    message = "the target did not end within 0.4 s of its stdin's end and was killed"
    assert ran.code == 3
    assert [case["trouble"] for case in ran.cases.values()] == [message, message]
    # What it had done until then still counts.
    assert [ran.verdicts[case.split("/")[0]] for case in ANSWER] == ["kept", "kept"]


def test_a_target_that_reads_back_its_own_signals(judge: Judge) -> None:
    # Whether the judge sees one of them is a matter of luck.
    ran = judge.run("backend", *ANSWER, target=command("eats_its_signals"), scale=SHORT)
    assert ran.code == 1
    assert ran.verdicts["exchange.answered"] == "broken"
    assert ran.cases[ANSWER[1]]["broken"] == []


@pytest.mark.parametrize("how", ["group", "session"])
def test_a_child_that_is_left_is_ended(judge: Judge, how: str) -> None:
    ran = judge.run("backend", *ANSWER, target=command("leaves_child", how))
    child = Path(f"{environment(judge.folder)['VTPM_BAD_ONCE']}.child")
    assert int(child.read_text()) not in survivors(judge.folder)
    assert ran.code == 1
    assert "happened   the target ended: exit status 0" in ran.out
    assert ran.cases[ANSWER[1]]["broken"] == []
    # The child holds stdout open; the end is seen at once all the same.
    events = list(TraceReader(ran.folder / "traces/exchange.answered__three-exchanges.jsonl"))
    assert [e.how for e in events if isinstance(e, Exit)] == ["exit status 0"]
    assert all(e.certain for e in events if isinstance(e, Silence))


def test_a_target_that_dies_before_any_case_is_reached_is_no_success(judge: Judge) -> None:
    ran = judge.run("backend", "packet.response-tag", target=command("dies_every_time", "SIGSEGV"))
    assert ran.code == 2
    assert "was not reached: waited for Connected of the backend: killed by SIGSEGV" in ran.out


def test_a_tpm_that_still_works_may_still_answer(judge: Judge) -> None:
    """Silence is certain only when nothing can come any more."""
    trace = judge.folder / "vtpm-traces/exchange.answered__three-exchanges.jsonl"
    for name, certain in (("never_finishes", False), ("raises", True)):
        target = ("--object", f"tests.bad_targets.objects:{name}")
        ran = judge("run", "backend", *target, "--traces", str(trace.parent), ANSWER[0])
        assert ran.code == 1
        silences = [e for e in TraceReader(trace) if isinstance(e, Silence)]
        assert silences and all(e.certain is certain for e in silences)


def test_the_same_between_two_targets(judge: Judge) -> None:
    header = header_of(Role, link="memory", target="two", evidence=EVIDENCE)
    path = judge.folder / "joint.jsonl"
    with closing(Recorder(path, header)) as recorder:
        joint = Joint(Place(), recorder, reference.frontend, objects.never_finishes)
        joint.connect()
        assert joint.exchange(build(0x8001, 0x17B, b"\0\x10")).outcome == "timed-out"
        assert joint.working
    [silence] = [e for e in TraceReader(path) if isinstance(e, Silence)]
    assert (silence.awaited, silence.certain) == ("the result of an order", False)


# The judge itself.


@dataclass
class Hanging:
    """A judge in its own process, and the target that hangs in its first case."""

    judge: subprocess.Popen[str]
    trace: Path
    target: int

    def end(self) -> tuple[int, str, str]:
        out, err = self.judge.communicate(timeout=PATIENCE)
        return self.judge.returncode, out, err


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where a judge that hangs would make temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def hanging(tmp_path: Path, temporary: Path, judge: Judge) -> Iterator[Callable[..., Hanging]]:
    """Starts a judge and comes back when its target has a request that it never answers."""
    started: list[subprocess.Popen[str]] = []

    def start() -> Hanging:
        fifo = f"{environment(tmp_path)['VTPM_BAD_ONCE']}.fifo"
        os.mkfifo(fifo)
        reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        target = command("says_when_it_hangs")
        process = subprocess.Popen(
            [*JUDGE, "run", "backend", "--exec", target, "--timeout-multiplier", "1000", *ANSWER],
            cwd=tmp_path,
            env=os.environ | {"TMPDIR": str(temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        try:
            assert select.select([reading], [], [], PATIENCE)[0]
            number = int(os.read(reading, 100))
        finally:
            os.close(reading)
        return Hanging(
            process, tmp_path / f"vtpm-traces/{ANSWER[0].replace('/', '__')}.jsonl", number
        )

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ends(pid: int) -> None:
    """Wait until a process that is not ours has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([pidfd], [], [], PATIENCE)[0]
    finally:
        os.close(pidfd)


def test_a_killed_judge_loses_nothing(
    judge: Judge, hanging: Callable[[], Hanging], temporary: Path
) -> None:
    """Nothing that was recorded is lost, and nothing but that is left."""
    run = hanging()
    os.kill(run.judge.pid, signal.SIGKILL)
    assert run.end()[0] == -signal.SIGKILL
    ends(run.target)
    assert list(temporary.iterdir()) == []
    reader = TraceReader(run.trace, incomplete=True)
    last = list(reader)[-1]
    assert (type(last).__name__, reader.complete) == ("Notify", False)

    plain = judge("check", str(run.trace))
    assert plain.code == 4
    assert plain.err == (
        f"vtpm-conformance: {run.trace}: refused: line {reader.line + 1}: cut off: there is no"
        " footer, so the run was interrupted (--incomplete judges what is there)\n"
    )
    checked = judge("check", "--incomplete", str(run.trace))
    assert checked.code == 2
    assert "INCONCLUSIVE  exchange.answered: the trace is incomplete" in checked.out


def test_ctrl_c_ends_with_a_summary(judge: Judge, hanging: Callable[[], Hanging]) -> None:
    run = hanging()
    os.kill(run.judge.pid, signal.SIGINT)
    code, out, err = run.end()
    assert (code, err) == (130, "")
    assert "cases      0 run, 0 not applicable, 2 not run\n" in out
    assert out.splitlines()[-1].startswith(
        "verdict    interrupted; up to there no clause seen broken"
    )
    assert out.endswith("exit 130\n")
    ends(run.target)
    assert list(TraceReader(run.trace))


def test_a_full_disk(tmp_path: Path, judge: Judge) -> None:
    # The limit on a file's size fails as a full disk does, and needs no disk to be filled.
    limit = "import resource, os, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000,) * 2);"
    limited = [sys.executable, "-c", f"{limit} os.execv(sys.argv[1], sys.argv[1:])"]
    target = command("floods_store")
    done = subprocess.run(
        [*limited, *JUDGE, "run", "backend", "--exec", target, *CONNECT],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    trace = tmp_path / f"vtpm-traces/{CONNECT[0].replace('/', '__')}.jsonl"
    assert (done.returncode, done.stderr) == (3, "")
    said = "File too large; what was recorded up to here is kept"
    assert f"TROUBLE  {CONNECT[0]}: vtpm-traces/{trace.name}: {said}" in done.stdout
    assert "cases      1 run, 0 not applicable, 1 not run" in done.stdout
    assert "Traceback" not in done.stdout
    reader = TraceReader(trace, incomplete=True)
    events = list(reader)
    assert len(events) > 100 and trace.stat().st_size > 200_000
    checked = judge("check", str(trace))
    assert checked.code == 4 and f"line {reader.line + 1}: cut off" in checked.err


def test_too_few_descriptors(tmp_path: Path, judge: Judge) -> None:
    limit = "import resource, os, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60));"
    limited = [sys.executable, "-c", f"{limit} os.execv(sys.argv[1], sys.argv[1:])"]
    done = subprocess.run(
        [*limited, *JUDGE, "run", "backend", "--exec", command("honest_backend"), *ANSWER],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "vtpm-conformance: the target could not be started: Too many open files\n"
    )


@pytest.mark.parametrize("folder", ["/dev/null/traces", "/proc/traces"])
def test_traces_that_cannot_be_written(judge: Judge, folder: str) -> None:
    ran = judge.run("backend", "--traces", folder, target=command("honest_backend"))
    assert (ran.code, ran.out) == (3, "")
    assert re.fullmatch(rf"vtpm-conformance: {folder}: cannot be written: [A-Z].*\n", ran.err)


def test_two_runs_do_not_share_a_folder(judge: Judge, hanging: Callable[[], Hanging]) -> None:
    run = hanging()
    folder = str(run.trace.parent)
    ran = judge.run("backend", "--traces", folder, target=command("honest_backend"))
    assert (ran.code, ran.out) == (4, "")
    assert ran.err == (
        f"vtpm-conformance: {folder}: another run records here; name another folder\n"
    )
    os.kill(run.judge.pid, signal.SIGINT)
    assert run.end()[0] == 130
    ends(run.target)


def test_whoever_reads_the_report_may_go_away(tmp_path: Path, judge: Judge) -> None:
    process = subprocess.Popen(
        [
            *JUDGE,
            "run",
            "backend",
            "--exec",
            command("never_answers"),
            *ANSWER,
            *("--timeout-multiplier", SHORT),
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(PATIENCE) == 1


def test_the_users_own_pytest_settings_change_nothing(tmp_path: Path, judge: Judge) -> None:
    (tmp_path / "conftest.py").write_text("raise SystemExit('conftest.py was read')\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--bogus'\n")
    (tmp_path / "test_own.py").write_text("raise SystemExit('test_own.py was read')\n")
    done = subprocess.run(
        [*JUDGE, "run", "backend", "--exec", command("honest_backend"), *ANSWER],
        cwd=tmp_path,
        env=os.environ
        | {
            "PYTEST_ADDOPTS": "--no-such-option -x",
            "PYTEST_PLUGINS": "no_such_plugin",
            "PYTEST_THEME": "no-such-theme",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "cases      2 run, 0 not applicable\n" in done.stdout
