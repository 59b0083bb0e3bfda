# SPDX-License-Identifier: MIT
"""What the tests on a real Xen share: a lab, and proof that nothing of it is left."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.errors import LabError
from conformance.lab import build
from conformance.lab.build import Lab

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session", autouse=True)
def lab() -> Lab:
    """The lab that ``make lab`` has built."""
    os.environ.update([MARK])
    if missing := build.missing_tools(list(build.TOOLS)):
        pytest.skip(f"not run: {missing}")
    built = build.default()
    try:
        built.facts()
    except LabError as error:
        pytest.skip(f"not run: {error}")
    return built


#: What every process that these tests start has in its environment.
MARK = "VTPM_LAB_TESTS", str(os.getpid())


def machines() -> set[int]:
    """Every QEMU that these tests started and that runs, by its process id."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended meanwhile
        is_machine = command.startswith(b"qemu-system-x86_64") and b"id=line" in command
        if is_machine and "=".join(MARK).encode() in environment:
            found.add(int(entry.name))
    return found


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Whatever a test does, no machine of its own outlives it."""
    before = machines()
    yield
    assert not machines() - before


def judge(
    *arguments: str, folder: Path, timeout: float = 240
) -> "subprocess.CompletedProcess[str]":
    """Run the command line with its traces in ``folder``."""
    command = [sys.executable, "-m", "conformance.cli", *arguments, "--traces", str(folder)]
    environment = {**os.environ, "VTPM_LAB": str(build.default().folder)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout
    )
