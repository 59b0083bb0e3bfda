# SPDX-License-Identifier: MIT
"""
The report that people read: marks as cases end, one block for each broken
clause, the summary last.
"""

import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from conformance import clauses
from conformance.clauses import Clause
from conformance.expect import Deviation
from conformance.judge import ClauseResult, Verdict
from conformance.report import steps
from conformance.report.results import CaseResult, RunResult
from conformance.rules import Finding

#: One mark for each case, by what came of its own clause.
MARKS = {
    Verdict.BROKEN: "B",
    Verdict.INCONCLUSIVE: "?",
    Verdict.KEPT: ".",
    Verdict.NOT_EXERCISED: "-",
    Verdict.NOT_OBSERVABLE: "o",
    Verdict.NOT_APPLICABLE: "n",
}

_WIDTH = 88


class Output(Protocol):
    """Where a report goes."""

    def write(self, text: str, /) -> object:
        """Write ``text``."""


class Progress:
    """Writes a mark as each case ends, a line for each page."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._page = ""

    def case(self, entry: CaseResult) -> None:
        """One case has ended."""
        page = entry.name.split(".")[0]
        if page != self._page:
            self._out.write(f"{'' if not self._page else chr(10)}{page:<12}")
            self._page = page
        self._out.write(mark(entry))

    def end(self) -> None:
        """All cases have ended."""
        if self._page:
            marks = ", ".join(f"{m} {v.value}" for v, m in MARKS.items())
            self._out.write(f"\n\n({marks}, W only a SHOULD broken, E trouble)\n")


def mark(entry: CaseResult) -> str:
    """The mark of one case."""
    if entry.judgement is not None and entry.judgement.broken:
        levels = [clauses.load()[id].level for id in entry.judgement.broken]
        return MARKS[Verdict.BROKEN] if any(level.startswith("MUST") for level in levels) else "W"
    if entry.trouble or entry.internal or (entry.judgement and entry.judgement.trouble):
        return "E"
    if entry.skipped:
        return MARKS[Verdict.NOT_APPLICABLE]
    if entry.not_reached:
        return MARKS[Verdict.INCONCLUSIVE]
    results = entry.results_of(entry.case.clause) if entry.case else []
    return MARKS[results[0].verdict] if results else MARKS[Verdict.NOT_EXERCISED]


def report(run: RunResult, out: Output, *, tracebacks: bool = False) -> None:
    """Write everything that a person needs after a run, the summary last."""
    for clause, result in run.broken():
        known = run.expected.get(clause.id)
        block = failure(run, clause, result) if known is None else _known(run, known, result)
        out.write("\n" + "\n".join(block) + "\n")
    for deviation in run.unexpected():
        out.write(f"\nUNEXPECTED PASS  {deviation.clause}: kept, but expected to be broken:\n")
        out.write(f"  {deviation.reason} ({deviation.link})\n")
    for line in _uncertain(run):
        out.write(f"{line}\n")
    for entry in run.cases:
        if entry.internal:
            out.write(
                f"\nINTERNAL ERROR in {entry.name}: a defect of the judge; please report it\n"
            )
            out.write(
                textwrap.indent(entry.internal if tracebacks else _last(entry.internal), "  ")
            )
    out.write("\n" + "\n".join(summary(run)) + "\n")


def failure(run: RunResult, clause: Clause, result: ClauseResult) -> list[str]:
    """The block of one broken clause."""
    path, finding = _shown(run, clause, result)
    case = _case_of(run, path)
    word = "BROKEN" if run.counts_as_must(clause) else "WARNING"
    lines = [f"{word}  {clause.id}  ({clause.level}, {result.role.value}, {clause.status})"]
    lines += textwrap.wrap(clause.text, _WIDTH, initial_indent="  ", subsequent_indent="  ")
    lines += [f"  read it    spec/{clause.page}.md:{clause.line} ({clause.page}.html#{clause.id})"]
    if case is not None and case.case is not None:
        lines.append(f"  case       {case.name}: {case.case.about}")
    lines += [
        f"  allowed    {finding.allowed}",
        f"  happened   {finding.happened}",
        f"  trace      {path}, line {finding.line}",
    ]
    lines += _steps(Path(path), finding.line)
    if run.repeat and case is not None:
        lines.append(f"  repeat     {run.repeat} {shlex.quote(case.name)}")
        if not result.can_pass or run.link == "process":
            lines.append("             (stores were only sampled: a repeat may not show it)")
    others = _other_cases(run, clause, path)
    if others:
        shown = ", ".join(others[:3]) + (" ..." if len(others) > 3 else "")
        lines.append(f"  also in    {len(others)} more: {shown}")
    return lines


def _known(run: RunResult, deviation: Deviation, result: ClauseResult) -> list[str]:
    """The few lines of a broken clause of which the reason is known."""
    path, finding = _shown(run, clauses.load()[deviation.clause], result)
    return [
        f"EXPECTED  {deviation.clause}: {deviation.reason} ({deviation.link})",
        f"  happened   {finding.happened}",
        f"  trace      {path}, line {finding.line}",
    ]


def summary(run: RunResult) -> list[str]:
    """The last lines: what was judged, the counts, the verdict."""
    counts = run.counts()
    total = sum(counts.values())
    observed = counts[Verdict.KEPT] + counts[Verdict.BROKEN]
    skipped = sum(1 for entry in run.cases if entry.skipped)
    roles = " and ".join(role.value for role in run.roles)
    tpm = f", TPM {run.tpm}" if run.tpm else ""
    left = f", {run.planned - len(run.cases)} not run" if run.planned > len(run.cases) else ""
    lines = [
        f"target     {run.target} ({roles}, {run.link} link{tpm})",
        f"cases      {len(run.cases) - skipped} run, {skipped} not applicable{left}",
        "clauses    " + ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict),
    ]
    code = run.exit_code
    lines.append(f"verdict    {verdict(run)}; {observed} of {total} observed; exit {int(code)}")
    return lines


def verdict(run: RunResult) -> str:
    """What was seen broken, in a few words."""
    broken = [clause.id for clause, _ in run.broken()]
    expected = sum(1 for id in broken if id in run.expected)
    musts = len(run.broken(musts_only=True))
    shoulds = len(broken) - expected - musts
    if musts:
        said = f"{musts} broken"
    elif shoulds:
        said = f"no MUST seen broken, {shoulds} SHOULD broken"
    else:
        said = "nothing else seen broken" if expected else "no clause seen broken"
    passes = f", {len(run.unexpected())} kept against expectation" if run.unexpected() else ""
    text = (f"{expected} broken as expected, " if expected else "") + said + passes
    return f"interrupted; up to there {text}" if run.interrupted else text


def _steps(path: Path, line: int) -> Iterator[str]:
    """The steps around ``line`` of a trace, and what the target said last."""
    for number, text, offending in steps.excerpt(path, line):
        yield f"    {'>>' if offending else '  '} {number:4}  {text}"
    yield from (f"  stderr     {text}" for text in steps.console(path))


def _not_reached(run: RunResult) -> Iterator[str]:
    """The first case that never came to its stimulus, with its last steps."""
    failed = [e for e in run.cases if e.judgement and e.judgement.setup_failed]
    if not failed or failed[0].judgement is None:
        return
    judgement = failed[0].judgement
    path, last = Path(judgement.path), judgement.events
    yield f"\nNOT REACHED  {failed[0].name}: {judgement.setup_failed}"
    yield f"  trace      {path}, line {last}"
    yield from _steps(path, last)
    if run.repeat:
        yield f"  repeat     {run.repeat} {shlex.quote(failed[0].name)}"
    if len(failed) > 1:
        yield f"  also       {len(failed) - 1} more cases"


def _not_exercised(run: RunResult) -> Iterator[str]:
    """The clauses whose own cases were played and gave no occasion to break them."""
    played = {e.case.clause for e in run.cases if e.case and not e.skipped}
    idle = {
        clause.id: None
        for clause, _, verdict, _ in run.verdicts()
        if verdict is Verdict.NOT_EXERCISED and clause.id in played
    }
    if idle:
        said = f"NOT EXERCISED  {', '.join(idle)}: no case gave an occasion"
        lines = textwrap.wrap(said, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
        yield "\n" + "\n".join(lines)


def _uncertain(run: RunResult) -> Iterator[str]:
    """What could not be decided, or was not done, each with its reason."""
    for clause, _, verdict, result in run.verdicts():
        if verdict is Verdict.INCONCLUSIVE:
            yield f"\nINCONCLUSIVE  {clause.id}: {result.unclear}"
    yield from _not_reached(run)
    for entry in run.cases:
        trouble = entry.trouble or (entry.judgement.trouble if entry.judgement else "")
        if trouble:
            yield f"\nTROUBLE  {entry.name}: {steps.printable(trouble)}"
            path = Path(entry.judgement.path) if entry.judgement else None
            yield from (f"  stderr     {text}" for text in (steps.console(path) if path else []))
    reasons = sorted({entry.skipped for entry in run.cases if entry.skipped})
    for reason in reasons:
        yield f"\nNOT APPLICABLE  {reason}"
    yield from _not_exercised(run)
    hidden: dict[tuple[str, ...], int] = {}
    for _, _, verdict, result in run.verdicts():
        if verdict is Verdict.NOT_OBSERVABLE:
            hidden[result.missing] = hidden.get(result.missing, 0) + 1
    for kinds, count in sorted(hidden.items()):
        one = count == 1
        if kinds:
            needs = f"{'needs' if one else 'need'} exact evidence of {' and '.join(kinds)}"
            why = f"{needs}; this link does not give it"
        else:
            why = (
                f"no tester can observe; {'its page says' if one else 'their pages say'} what would"
            )
        yield f"\nNOT OBSERVABLE  {count} clause{'' if one else 's'}: {why}"


def _shown(run: RunResult, clause: Clause, result: ClauseResult) -> tuple[str, Finding]:
    """The finding to show: the first in the trace of the clause's own case, or of any."""

    def foreign(found: tuple[str, Finding]) -> bool:
        case = _case_of(run, found[0])
        return case is None or case.case is None or case.case.clause != clause.id

    path, _ = min(result.findings, key=foreign)
    return min((f for f in result.findings if f[0] == path), key=lambda found: found[1].line)


def _case_of(run: RunResult, path: str) -> CaseResult | None:
    return next((e for e in run.cases if e.judgement and e.judgement.path == path), None)


def _other_cases(run: RunResult, clause: Clause, path: str) -> list[str]:
    return [
        entry.name
        for entry in run.cases
        if entry.judgement and entry.judgement.path != path and clause.id in entry.judgement.broken
    ]


def _last(trace: str) -> str:
    return trace.strip().rsplit("\n", 1)[-1] + "\n(--traceback shows where)\n"
