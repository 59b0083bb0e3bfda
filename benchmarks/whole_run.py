# SPDX-License-Identifier: MIT
"""
The whole run: all cases of both roles, recorded and judged.

Without pytest, which collects and reports.  Beside it, over the process link,
the bare start and end of the same program, once for each case and in turns
with it; over the memory link, the same cases without the judge.
"""

import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Row, say
from conformance.cases import CASES
from conformance.run import Subject, judge_file, play
from conformance.subjects import program, python_object
from conformance.targets import reference
from vtpm_ref.states import Role

#: Where ``make -C examples`` puts the programs in C.
EXAMPLES = Path(__file__).parent.parent / "examples" / "build"

_MAKERS = {Role.BACKEND: reference.backend, Role.FRONTEND: reference.frontend}


@dataclass
class Spent:
    """Seconds that the cases took, and how many there were."""

    cases: int = 0
    playing: float = 0.0
    judging: float = 0.0
    bare: float = 0.0

    @property
    def whole(self) -> float:
        """Recording and judging."""
        return self.playing + self.judging


def measure(folder: Path) -> list[Row]:
    """One row for each kind of target."""
    rows = [_in_memory(folder)]
    python = shlex.join([sys.executable, "-m", "conformance.targets.reference"])
    rows.append(_as_processes(folder, "reference, process", lambda role: f"{python} {role.value}"))
    if EXAMPLES.is_dir():
        in_c = "examples in C, process"
        rows.append(_as_processes(folder, in_c, lambda role: shlex.quote(f"{EXAMPLES / role}")))
    return rows


def _in_memory(folder: Path) -> Row:
    spent = Spent()
    subjects = {role: python_object(role, role.value, make) for role, make in _MAKERS.items()}
    for _ in range(3):
        spent = Spent()
        _run(spent, folder, subjects)
    return Row(
        f"whole run, {spent.cases} cases: reference, memory",
        f"{spent.whole:.2f} s",
        f"recording alone {spent.playing:.2f} s",
        f"{spent.whole / spent.playing:.1f}",
    )


def _as_processes(folder: Path, name: str, command: Callable[[Role], str]) -> Row:
    say(name)
    commands = {role: command(role) for role in Role}
    subjects = {role: program(role, line) for role, line in commands.items()}
    spent = Spent()
    _run(spent, folder, subjects, commands)
    return Row(
        f"whole run, {spent.cases} cases: {name}",
        f"{spent.whole:.2f} s",
        f"bare start and end {spent.bare:.2f} s",
        f"{spent.whole / spent.bare:.1f}",
    )


def _run(
    spent: Spent,
    folder: Path,
    subjects: dict[Role, Subject],
    commands: dict[Role, str] | None = None,
) -> None:
    """Play and judge every case, each followed by a bare start of its program."""
    for case in CASES.values():
        begun = time.perf_counter()
        trace = play(case, subjects[case.role], folder)
        played = time.perf_counter()
        if isinstance(trace, Path):
            judgement = judge_file(trace)
            if judgement.broken:
                broken = ", ".join(sorted(judgement.broken))
                raise RuntimeError(f"{case.id}: a target that ships breaks {broken}")
        judged = time.perf_counter()
        if commands is not None:
            argv = shlex.split(commands[case.role])
            subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        spent.bare += time.perf_counter() - judged
        spent.cases += 1
        spent.playing += played - begun
        spent.judging += judged - played
