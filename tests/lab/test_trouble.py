# SPDX-License-Identifier: MIT
"""
What goes wrong in or around the lab: said in words, exit 3, and nothing left running.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conformance.lab import build, cpio, images
from conformance.lab.build import Lab
from tests.lab.conftest import ROOT, judge, machines


def wait(ready: Callable[[], bool], limit: float = 90.0) -> bool:
    """Whether ``ready()`` comes true within ``limit`` seconds."""
    deadline = time.monotonic() + limit
    while not (done := ready()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return done


@pytest.fixture
def running(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A judge in the middle of a run, with its machines up."""
    command = [sys.executable, "-m", "conformance.cli", "run", "frontend", "--lab", "linux"]
    process = subprocess.Popen(
        [*command, "--traces", str(tmp_path / "traces")],
        cwd=ROOT,
        env={**os.environ, "VTPM_LAB": str(build.default().folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert wait(lambda: bool(machines()))
        assert wait(lambda: len(list((tmp_path / "traces").glob("*.jsonl"))) > 3)
        yield process
    finally:
        process.kill()
        process.communicate()
        assert wait(lambda: not machines())


def test_kill_of_the_judge(running: "subprocess.Popen[str]") -> None:
    """Killed without a chance to clean up, the judge takes its machines with it."""
    running.kill()
    running.communicate()
    assert wait(lambda: not machines())


def test_interrupt(running: "subprocess.Popen[str]") -> None:
    """Ctrl-C ends the run with exit 130 and a report up to there."""
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "interrupted; up to there" in out


def test_kill_of_the_machine(running: "subprocess.Popen[str]") -> None:
    """A machine that dies costs its case; the run goes on and says where it was."""
    os.kill(min(machines()), signal.SIGKILL)
    out, _ = running.communicate(timeout=240)
    assert "TROUBLE" in out and "ended" in out and "console" in out
    # A MUST that Linux breaks outranks the trouble.
    assert running.returncode in (1, 3)


@pytest.fixture
def altered(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab of its own to damage, without copies of the large files."""
    folder = tmp_path / "lab"
    (folder / "snapshot").mkdir(parents=True)
    for name in ("memory", "devices"):
        (folder / "snapshot" / name).symlink_to(lab.snapshot / name)
    shutil.copy(lab.snapshot / "facts.json", folder / "snapshot")
    monkeypatch.setenv("VTPM_LAB", str(folder))
    return folder


def test_no_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none was built, the message says how to build one."""
    monkeypatch.setenv("VTPM_LAB", str(tmp_path / "nowhere"))
    done = judge("run", "frontend", "--lab", "linux", folder=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "there is no lab in" in done.stderr and "make lab" in done.stderr


def test_a_snapshot_of_another_qemu(altered: Path, tmp_path: Path) -> None:
    """A snapshot that another QEMU saved is not tried."""
    path = altered / "snapshot/facts.json"
    facts = json.loads(path.read_text())
    facts["key"]["QEMU"] = "1.0"
    path.write_text(json.dumps(facts))
    done = judge("run", "frontend", "--lab", "linux", folder=tmp_path)
    assert done.returncode == 3
    assert "was saved with another QEMU (1.0, now" in done.stderr and "make lab" in done.stderr


def test_a_damaged_snapshot(altered: Path, tmp_path: Path) -> None:
    """A snapshot that was cut off does not come up, and its console is named."""
    devices = altered / "snapshot/devices"
    data = devices.read_bytes()
    devices.unlink()
    devices.write_bytes(data[: len(data) // 2])
    done = judge("run", "frontend", "--lab", "linux", folder=tmp_path)
    assert done.returncode == 3
    assert "vtpm-conformance: " in done.stderr and "Traceback" not in done.stderr


def _guest(lab: Lab, tmp_path: Path, init: str) -> str:
    """``--lab`` for a Linux guest whose only program is a static busybox with ``init``."""
    root = images.Root(build.default().root)
    initrd = tmp_path / "initrd"
    entries = [
        *root.closure([r"bin/busybox"]),
        *(cpio.folder(name) for name in ("dev", "proc", "sys")),
        cpio.file("init", f"#!/bin/busybox sh\n{init}\n".encode(), executable=True),
    ]
    with initrd.open("wb") as out:
        cpio.write(out, entries)
    return f"guest:{lab.images / 'vmlinux'},{initrd}"


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("exit 1", "the guest does not come up; its console:"),
        ("while :; do /bin/busybox yes flood; done", "floods its console"),
    ],
    ids=["panic", "flood"],
)
def test_a_guest_that_does_not_come_up(init: str, message: str, lab: Lab, tmp_path: Path) -> None:
    """The stage and what the guest said last are in the message."""
    target = _guest(lab, tmp_path, init)
    done = judge("run", "backend", "--lab", target, folder=tmp_path / "traces")
    assert done.returncode == 3
    assert "stage guest" in done.stderr and message in done.stderr


def test_a_guest_that_hangs_on_its_way_up(lab: Lab, tmp_path: Path) -> None:
    """Nobody writes for its device; what it said last is in the console's log."""
    mount = "/bin/busybox mount -t devtmpfs dev /dev"
    init = f"{mount}; echo half the way up >/dev/hvc0; exec /bin/busybox sleep 1000"
    target = _guest(lab, tmp_path, init)
    done = judge("run", "backend", "--lab", target, folder=tmp_path / "traces")
    assert done.returncode == 3
    assert "stage target: the guest does not take notice of its device: " in done.stderr
    assert "/state stayed 1 for 30 s; did it hang on the way up?; see" in done.stderr
    console = tmp_path / "traces/console-lab-0.log"
    assert "half the way up" in console.read_text(errors="replace")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 7", "the target ended before it was ready: exit status 7"),
        ("exec sleep 100", "the target did not say 'ready' within"),
    ],
    ids=["ends", "silent"],
)
def test_a_program_that_does_not_start(script: str, message: str, tmp_path: Path) -> None:
    """Trouble before the first case is the adapter's."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    done = judge("run", "backend", "--lab", f"exec:{program}", folder=tmp_path / "traces")
    assert done.returncode == 3
    assert message in done.stderr


def test_a_xenstored_that_dies(tmp_path: Path) -> None:
    """What the judge was about to do fails in words, and names stage and console."""
    program = tmp_path / "program"
    ready = '{"msg": "ready", "protocol": 1, "name": "x", "tpm": "none", "can": ""}'
    program.write_text(
        "#!/bin/sh\nkill -9 $(cat /run/xenstored.pid)\n" + f"echo '{ready}'\ncat >/dev/null\n"
    )
    program.chmod(0o755)
    done = judge("run", "backend", "--lab", f"exec:{program}", folder=tmp_path / "traces")
    assert done.returncode == 3
    assert "stage target: xenstored has closed its connection; see" in done.stderr
    assert "console-" in done.stderr


def test_an_agent_that_dies(lab: Lab, tmp_path: Path) -> None:
    """A guest that ends when the judge first speaks to it is not waited for."""
    init = """exec <>/dev/hvc0 >&0; echo '{"msg": "agent"}'; read -r start"""
    target = _guest(lab, tmp_path, f"/bin/busybox mount -t devtmpfs dev /dev; {init}")
    done = judge("run", "frontend", "--lab", target, folder=tmp_path / "traces")
    assert done.returncode == 3
    assert "stage target: the target ended before it was ready: its " in done.stderr
    assert "; see" in done.stderr and "console-" in done.stderr


def test_no_memory_for_the_machine(tmp_path: Path) -> None:
    """A limit on the size of files is met as a full disk is; no machine is started."""
    limit = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20,) * 2)"
    run = "sys.argv = ['judge', 'run', 'frontend', '--lab', 'linux']"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{limit}; {run}; runpy.run_module('conformance.cli', None, '__main__')",
        ],
        cwd=tmp_path,
        env={**os.environ, "VTPM_LAB": str(build.default().folder)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "stage memory: no 768 MiB for the machine: File too large" in done.stderr


@pytest.mark.parametrize(
    ("target", "role"),
    [
        ("linux", "backend"),
        ("exec:/no/such/program", "backend"),
        ("guest:/no/such/kernel", "backend"),
        ("moon", "backend"),
    ],
)
def test_what_there_is_not(target: str, role: str, tmp_path: Path) -> None:
    """A target that the lab cannot hold is a usage error."""
    done = judge("run", role, "--lab", target, folder=tmp_path)
    assert done.returncode == 4
    assert done.stderr.startswith(f"vtpm-conformance: --lab {target}")


def test_a_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without QEMU on the path, ``make lab`` names its Debian package."""
    done = subprocess.run(
        [sys.executable, "-m", "conformance.lab"],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "VTPM_LAB": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3
    assert "apt-get install qemu-system-x86 mmdebstrap" in done.stderr
