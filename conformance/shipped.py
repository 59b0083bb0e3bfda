# SPDX-License-Identifier: MIT
"""
The main job: judge every target that ships, and real tools on a real TPM.

``make conformance`` runs this.  What lacks a Debian package is not run, and
the last line says so with the command that installs it.
"""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from conformance import clauses, engine, expect
from conformance.errors import ConformanceError
from conformance.judge import Verdict
from conformance.report import terminal
from conformance.report.results import CaseResult, Exit, RunResult, worst
from conformance.run import Subject, judge_file
from conformance.select import select
from conformance.subjects import program, python_object
from conformance.targets import Target, libtpms, reference, swtpm, tools
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

#: Where the traces and results of the main job go.
FOLDER = Path("build/conformance")

#: Where the files of known deviations are, and that of a real TPM 1.2.
EXPECTED = Path(__file__).parent / "expected"
_TPM12 = "tpm-1.2.toml"


@dataclass(frozen=True)
class Shipped:
    """
    One target that ships.

    :param missing: says what to install before it can run; empty if nothing.
    :param expected: the file of what it is known to break, empty if nothing.
    """

    name: str
    role: Role
    subject: Callable[[], Subject]
    missing: Callable[[], str] = lambda: ""
    expected: str = ""


def _reference(role: Role) -> str:
    return shlex.join([sys.executable, "-m", "conformance.targets.reference", role.value])


_MAKERS = {Role.BACKEND: reference.backend, Role.FRONTEND: reference.frontend}


def _in_memory(role: Role) -> Shipped:
    name = f"reference {role.value}"
    return Shipped(f"{name}, memory", role, lambda: python_object(role, name, _MAKERS[role]))


def _as_process(role: Role) -> Shipped:
    name = f"reference {role.value}, process"
    return Shipped(name, role, lambda: program(role, _reference(role)))


def _in_c(role: Role) -> Shipped:
    return _written(f"example {role.value} in C", role, role.value)


def _written(name: str, role: Role, built: str) -> Shipped:
    return Shipped(name, role, lambda: program(role, f"examples/build/{built}"))


def _real(
    name: str, make: Callable[[Place], Target], missing: Callable[[], str], expected: str = ""
) -> Shipped:
    role, name = Role.BACKEND, f"{name} backend"
    return Shipped(name, role, lambda: python_object(role, name, make), missing, expected)


SHIPPED = (
    *(make(role) for make in (_in_memory, _as_process, _in_c) for role in Role),
    _written("backend from the pages in C", Role.BACKEND, "from_pages"),
    _real("libtpms 2.0", libtpms.backend, libtpms.available),
    _real("libtpms 1.2", libtpms.backend12, libtpms.available, _TPM12),
    _real("swtpm 2.0", swtpm.backend, swtpm.available),
    _real("swtpm 1.2", swtpm.backend12, swtpm.available, _TPM12),
)


def main() -> int:
    """Judge all; return the exit code of the worst."""
    codes: list[Exit] = []
    missing: list[str] = []
    verdicts = 0
    jobs: list[tuple[str, Callable[[], RunResult], str]] = [
        (entry.name, partial(_judge, entry), entry.missing()) for entry in SHIPPED
    ]
    jobs.append(("tpm2-tools across the page", _judge_tools, tools.available()))
    for name, job, install in jobs:
        if install:
            print(f"{name:<30} not run: {install}")
            missing.append(install)
            continue
        try:
            run = job()
            codes.append(run.exit_code)
            verdicts += _show(name, run)
        except ConformanceError as error:
            print(f"{name:<30} {error}")
            codes.append(Exit(error.exit_code))
    print(f"\n{verdicts} verdicts, traces in {FOLDER}/")
    print(not_run(missing))
    return worst(codes)


def not_run(missing: list[str]) -> str:
    """The last line: how many targets were not run, and what would make them run."""
    if not missing:
        return "not run: nothing"
    packages = {name for line in missing for name in line.removeprefix("apt-get install ").split()}
    targets = f"{len(missing)} target{'' if len(missing) == 1 else 's'}"
    return f"not run: {targets}; apt-get install {' '.join(sorted(packages))}"


def _judge(entry: Shipped) -> RunResult:
    folder = FOLDER / entry.name.replace(" ", "-").replace(",", "")
    known = expect.load(EXPECTED / entry.expected) if entry.expected else {}
    return engine.run(entry.subject(), select([entry.role]), folder, expected=known)


def _judge_tools() -> RunResult:
    """Run the real tools, show what they print, judge both sides of the page."""
    path = FOLDER / "tpm2-tools.jsonl"
    ended = tools.run_tools(path)
    for tool in ended:
        lines = (tool.stdout or tool.stderr).strip().split("\n")
        print(f"  $ {shlex.join(tool.argv)}\n  {' '.join(line.strip() for line in lines[:2])}")
    judgement = judge_file(path)
    roles = tuple(Role(name) for name in judgement.header.judged)
    binding = [clause for clause in clauses.load().values() if clause.status != "proposed"]
    run = RunResult(judgement.header.target, "memory", roles, binding)
    failed = [tool.name for tool in ended if tool.status]
    trouble = f"failed: {', '.join(failed)}" if failed else ""
    run.add(CaseResult(path.name, judgement=judgement, trouble=trouble))
    return run


def _show(name: str, run: RunResult) -> int:
    """One line for a target that broke nothing new, everything for one that did."""
    counts = run.counts()
    observed = counts[Verdict.KEPT] + counts[Verdict.BROKEN]
    broken = {clause.id for clause, _ in run.broken()}
    if run.exit_code is not Exit.OK or broken - run.expected.keys():
        print(f"{name}:")
        terminal.report(run, sys.stdout)
    else:
        said = "broken as expected" if broken else "no clause seen broken"
        named = f"{', '.join(sorted(broken))} " if broken else ""
        print(f"{name:<30} {named}{said}, {observed} of {sum(counts.values())} observed")
    return observed


if __name__ == "__main__":
    sys.exit(main())
