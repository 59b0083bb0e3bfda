# SPDX-License-Identifier: MIT
"""
What goes wrong while the lab is built or a machine is started: each is said in words.
"""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conformance.errors import LabError
from conformance.lab import build, machine
from conformance.lab.__main__ import main as lab_main
from conformance.lab.build import Lab

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
