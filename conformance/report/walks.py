# SPDX-License-Identifier: MIT
"""
The report of long walks: a line for each round, what broke in words, the summary last.
"""

import time

from conformance.judge import Verdict
from conformance.report import terminal
from conformance.report.results import RunResult
from conformance.report.terminal import Output
from conformance.walks.session import TROUBLE, Found, Session


class Progress:
    """Writes a line when a round has ended, and when a walk has broken something."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._start = time.monotonic()

    def __call__(self, session: Session, seed: int, broken: str) -> None:
        """A round has ended, or ``broken`` was seen broken and is about to be shrunk."""
        if broken:
            self._out.write(f"seed {seed}: {broken} seen broken; looking for the shortest walk\n")
            return
        speed = session.moves / max(time.monotonic() - self._start, 0.001)
        done = f"{session.walks} walks, {session.moves} moves, {speed:.0f} a second"
        self._out.write(f"seed {seed}: nothing new broken; so far {done}\n")


def report(session: Session, repeat: str, out: Output) -> None:
    """
    Write everything that a person needs after walks, the summary last.

    :param repeat: the command line that repeats a round, but for its seed.
    """
    for found in session.found:
        out.write("\n" + "\n".join(_found(session.run, found, repeat)) + "\n")
    for path, why in session.unclear:
        out.write(f"\nINCONCLUSIVE  a walk could not go on: {why}\n  trace      {path}\n")
    out.write("\n" + "\n".join(_summary(session)) + "\n")


def _found(run: RunResult, found: Found, repeat: str) -> list[str]:
    """The block of one walk that broke something."""
    lines = []
    if found.again is not None:
        lines += [f"INCONCLUSIVE  {found.sought}: broken in a walk that did not break it again"]
        lines += [f"  trace      {found.judgement.path}", f"  again      {found.again}"]
    elif found.sought == TROUBLE:
        lines += [f"TROUBLE  {found.judgement.trouble}", f"  trace      {found.judgement.path}"]
    else:
        broken = {clause.id: (clause, result) for clause, result in run.broken()}
        for id in sorted(found.judgement.broken, key=lambda id: id != found.sought):
            lines += terminal.failure(run, *broken[id])
    short = "the shortest found" if found.shrunk else "interrupted before it was shrunk"
    lines += [f"  walk       {short}:"]
    lines += [f"    {number:4}  {move}" for number, move in enumerate(found.moves, 1)]
    lines += ["          at the end, as of every walk, connected and one exchange"]
    return [*lines, f"  repeat     {repeat} --seed {found.seed}"]


def _summary(session: Session) -> list[str]:
    """The last lines: what was judged, how much of it, the verdict."""
    run, counts = session.run, session.run.counts()
    observed = counts[Verdict.KEPT] + counts[Verdict.BROKEN]
    said = terminal.verdict(run)
    unsure = len(session.unclear) + sum(1 for found in session.found if found.again)
    if unsure:
        said += f", {unsure} walk{'' if unsure == 1 else 's'} inconclusive"
    tpm = f", TPM {run.tpm}" if run.tpm else ""
    roles = " and ".join(role.value for role in run.roles)
    return [
        f"target     {run.target} ({roles}, {run.link} link{tpm})",
        f"walks      {session.walks} of {session.moves} moves"
        + (", legal and hostile" if session.hostile else ", all legal"),
        "clauses    " + ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict),
        f"verdict    {said}; {observed} of {sum(counts.values())} observed;"
        f" exit {int(session.exit_code)}",
    ]
