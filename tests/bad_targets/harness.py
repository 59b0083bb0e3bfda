# SPDX-License-Identifier: MIT
"""
How the tests have a bad target judged, and what they look at afterwards.
"""

import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conformance import cli

ROOT = Path(__file__).parents[2]

#: The judge itself, as a command.
JUDGE = (sys.executable, "-m", "conformance.cli")


def command(name: str, *how: str) -> str:
    """The command that starts the bad target ``name``."""
    return shlex.join([sys.executable, "-m", "tests.bad_targets", name, *how])


def environment(folder: Path) -> dict[str, str]:
    """What a bad target needs to know."""
    return {"PYTHONPATH": str(ROOT), "VTPM_BAD_ONCE": str(folder / "once")}


@dataclass(frozen=True)
class Ran:
    """What a run of the judge left: its exit code, its output, its results."""

    code: int
    out: str
    err: str
    results: list[dict[str, Any]]
    folder: Path

    @property
    def cases(self) -> dict[str, dict[str, Any]]:
        return {line["id"]: line for line in self.results if line["kind"] == "case"}

    @property
    def verdicts(self) -> dict[str, str]:
        return {line["id"]: line["verdict"] for line in self.results if line["kind"] == "clause"}

    @property
    def traces(self) -> list[Path]:
        return sorted(self.folder.glob("traces/*.jsonl"))


class Judge:
    """The command line of the judge, in this process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ran:
        """Run the command line; results are read from ``results.jsonl``, if there are any."""
        self._capsys.readouterr()
        code = cli.main(arguments)
        out, err = self._capsys.readouterr()
        file = self.folder / "results.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return Ran(code, out, err, [json.loads(line) for line in lines], self.folder)

    def run(self, role: str, *arguments: str, target: str, scale: str = "1") -> Ran:
        """Judge ``target`` with its limits multiplied by ``scale``."""
        results = self.folder / "results.jsonl"
        results.unlink(missing_ok=True)
        traces = self.folder / "traces"
        return self(
            *("run", role, "--exec", target, "--traces", str(traces), "--jsonl", str(results)),
            *("--timeout-multiplier", scale, *arguments),
        )


def descriptors() -> set[str]:
    """What this process has open."""
    return {f"{fd} {os.readlink(fd)}" for fd in Path("/proc/self/fd").iterdir() if fd.exists()}


def survivors(folder: Path) -> list[int]:
    """Processes that were started with the environment of the bad targets of ``folder``."""
    mark = f"VTPM_BAD_ONCE={environment(folder)['VTPM_BAD_ONCE']}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            values = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark in values:
            found.append(int(process.name))
    return found
