# SPDX-License-Identifier: MIT
"""A second real TPM behind the reference backend: swtpm, both families, in a process of its own."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from conformance import engine
from conformance.errors import AdapterError
from conformance.links.joint import Joint
from conformance.report.results import Exit
from conformance.select import select as select_cases
from conformance.subjects import program
from conformance.targets import emulator, swtpm
from conformance.targets.swtpm import Swtpm
from tests.tpm import FAMILIES, GET_RANDOM, LIMIT, code, create_primary, joints, run, states
from vtpm_ref.packet import Family, build
from vtpm_ref.states import Role, State

ROOT = Path(__file__).parents[1]
needs_swtpm = pytest.mark.skipif(bool(swtpm.available()), reason="not run: apt-get install swtpm")

#: How each family says that it failed: TPM_RC_FAILURE, TPM_FAIL.
FAILURE = {Family.TPM20: 0x101, Family.TPM12: 9}


def ended(pidfd: int) -> bool:
    """Whether a process that may be nobody's child ends within the limit."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(LIMIT * 1000))


@pytest.fixture(autouse=True)
def released() -> Iterator[None]:
    yield
    swtpm.release()


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[[Family], Joint]]:
    """Makes a reference frontend that is connected to a backend with swtpm."""
    with joints(tmp_path, {Family.TPM20: swtpm.backend, Family.TPM12: swtpm.backend12}) as make:
        yield make


def test_the_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator, "PROGRAM", "swtpm-is-not-here")
    assert swtpm.available() == "apt-get install swtpm"
    with pytest.raises(AdapterError, match="apt-get install swtpm"):
        Swtpm()


def test_a_program_that_is_no_swtpm_is_refused_with_what_it_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "swtpm"
    broken.write_text("#!/bin/sh\necho no such option >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(emulator, "PROGRAM", str(broken))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(AdapterError, match="exit status 3; it said: no such option"):
        Swtpm()
    assert len(os.listdir("/proc/self/fd")) == before


def test_as_a_program_it_says_what_is_missing(tmp_path: Path) -> None:
    start = {"msg": "start", "frontend": 1, "backend": 0, "device": 0, "pages": 1}
    descriptors = {"store_fd": 0, "wait_fds": "0", "signal_fds": "0"}
    with (tmp_path / "memory").open("w+b") as memory:
        memory.truncate(4096)
        line = json.dumps(start | descriptors | {"memory_fd": memory.fileno()})
        ran = subprocess.run(
            [sys.executable, "-m", "conformance.targets.swtpm"],
            input=f"{line}\n",
            env={**os.environ, "PATH": str(tmp_path), "PYTHONPATH": str(ROOT)},
            pass_fds=(memory.fileno(),),
            capture_output=True,
            text=True,
            check=False,
        )
    said = "the program swtpm is missing: apt-get install swtpm\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (3, "", said)


@needs_swtpm
def test_a_12_is_used_again_only_if_it_is_as_good_as_new() -> None:
    """It takes long to start, and GetRandom leaves no trace in it."""

    first = swtpm.give(Family.TPM12)
    run(first, GET_RANDOM[Family.TPM12])
    assert swtpm.give(Family.TPM12) is first
    first.start(GET_RANDOM[Family.TPM12], 0)  # nobody fetches the result
    second = swtpm.give(Family.TPM12)
    run(second, build(0xC1, 0x53))  # ContinueSelfTest
    third = swtpm.give(Family.TPM12)
    third.emulator.process.kill()
    run(third, GET_RANDOM[Family.TPM12])
    assert len({first, second, third, swtpm.give(Family.TPM12)}) == 4
    assert swtpm.give(Family.TPM20).family is Family.TPM20


@needs_swtpm
def test_several_run_side_by_side() -> None:
    with closing(Swtpm()) as one, closing(Swtpm(Family.TPM12)) as other:
        one.start(GET_RANDOM[Family.TPM20], 0)
        assert code(run(other, GET_RANDOM[Family.TPM12])) == 0
        assert one.finished(LIMIT)


@needs_swtpm
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("number", range(4), ids=["empty", "no header", "too short", "too large"])
def test_a_malformed_packet_never_reaches_swtpm(family: Family, number: int) -> None:
    """swtpm would wait for ever for the rest of a packet that says it is longer."""
    whole = GET_RANDOM[family]
    packet = [b"", whole[:2], whole[:-1], build(0x8001, 0x17B, bytes(4079))][number]
    size = {Family.TPM20: 0x142, Family.TPM12: 0x19}
    with closing(Swtpm(family, patience=LIMIT)) as tpm:
        assert code(run(tpm, packet)) == size[family]
        assert code(run(tpm, whole)) == 0


@needs_swtpm
@pytest.mark.parametrize("family", FAMILIES)
def test_a_crash_is_said_and_answered(family: Family, capfd: pytest.CaptureFixture[str]) -> None:
    with closing(Swtpm(family)) as tpm:
        tpm.emulator.process.kill()
        assert code(run(tpm, GET_RANDOM[family])) == FAILURE[family]
        assert code(run(tpm, GET_RANDOM[family])) == FAILURE[family]
    said = capfd.readouterr().err
    assert said.startswith("swtpm has ended: signal 9")
    assert said.endswith("; every command fails from now on\n")
    assert said.count("\n") == 1


@needs_swtpm
@pytest.mark.parametrize("locality", [0, 1])
def test_one_that_hangs_is_said_ended_and_answered(
    locality: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whether it hangs on the data or on the control socket."""
    with closing(Swtpm(patience=1.0)) as tpm:
        tpm.emulator.process.send_signal(signal.SIGSTOP)
        assert code(run(tpm, GET_RANDOM[Family.TPM20], locality)) == FAILURE[Family.TPM20]
        assert tpm.emulator.process.wait(LIMIT) == -signal.SIGKILL
    assert "no answer within 1 s" in capfd.readouterr().err


@needs_swtpm
def test_closing_while_a_command_runs(capfd: pytest.CaptureFixture[str]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(4):
        tpm = Swtpm()
        tpm.start(create_primary(b"close %d" % number), 0)
        tpm.close()
        tpm.close()
        assert tpm.emulator.process.returncode is not None
    assert len(os.listdir("/proc/self/fd")) == before
    assert capfd.readouterr().err == ""


#: A user that is killed, and what it does just before.
USER = """
import os, signal, sys
from conformance.targets.swtpm import Swtpm
tpm = Swtpm()
process = tpm.emulator.process
print(process.pid, flush=True)
sys.stdin.read()
{last}
os.kill(os.getpid(), signal.SIGKILL)
"""
LAST_ACTS = {
    "idle": "",
    "short command": f"tpm.start(bytes.fromhex('{GET_RANDOM[Family.TPM20].hex()}'), 0)",
    "long command": f"tpm.start(bytes.fromhex('{create_primary(b'killed').hex()}'), 0)",
    "stopped": "process.send_signal(signal.SIGSTOP)",
}


@needs_swtpm
@pytest.mark.parametrize("last", LAST_ACTS)
def test_nothing_is_left_of_a_killed_user(tmp_path: Path, last: str) -> None:
    """The swtpm ends, and no file was ever made."""
    killed = subprocess.Popen(
        [sys.executable, "-c", USER.format(last=LAST_ACTS[last])],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert killed.stdin is not None and killed.stdout is not None
    pidfd = os.pidfd_open(int(killed.stdout.readline()))
    try:
        killed.stdin.close()
        assert killed.wait(LIMIT) == -signal.SIGKILL
        assert ended(pidfd)
    finally:
        os.close(pidfd)
        killed.stdout.close()
    assert list(tmp_path.iterdir()) == []


@needs_swtpm
def test_a_cancelled_command_completes_across_the_page(
    connect: Callable[[Family], Joint],
) -> None:
    """The outcome that libtpms does not give: FINISH over CANCEL, with the whole response."""
    joint = connect(Family.TPM20)
    order = joint.order("send", create_primary(b"cancel"))
    assert joint.wait(lambda: joint.working, LIMIT, "a TPM that works")
    joint.order("cancel")
    outcome = joint.outcome(order)
    assert (outcome.outcome, code(outcome.packet)) == ("response", 0)
    joint.recorder.close()
    assert ("frontend", State.CANCEL) in states(joint.recorder.path)


@needs_swtpm
@pytest.mark.parametrize("family", FAMILIES)
def test_the_program_is_judged_as_any_other(family: Family, tmp_path: Path) -> None:
    command = f"{sys.executable} -m conformance.targets.swtpm {family.value}"
    chosen = select_cases([Role.BACKEND], ["exchange"])
    result = engine.run(program(Role.BACKEND, command), chosen, tmp_path)
    assert result.exit_code is Exit.OK
