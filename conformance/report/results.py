# SPDX-License-Identifier: MIT
"""
The results of a run: one entry for each case, one verdict for each clause.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from conformance.cases import CASES, Case
from conformance.clauses import Clause
from conformance.expect import Deviation
from conformance.judge import ClauseResult, Judgement, Verdict
from vtpm_ref.states import Role


class Exit(IntEnum):
    """Exit codes of the command line."""

    OK = 0
    BROKEN = 1
    INCONCLUSIVE = 2
    TROUBLE = 3
    USAGE = 4
    INTERNAL = 5
    INTERRUPTED = 130


#: What outranks what when several runs are one answer.
_RANKS = (
    Exit.INTERRUPTED,
    Exit.BROKEN,
    Exit.INTERNAL,
    Exit.TROUBLE,
    Exit.USAGE,
    Exit.INCONCLUSIVE,
    Exit.OK,
)


def worst(codes: Iterable[Exit]) -> Exit:
    """The one exit code of several runs; ``OK`` for none."""
    return min(codes, key=_RANKS.index, default=Exit.OK)


@dataclass
class CaseResult:
    """
    What came of one case, or of one trace that was checked.

    :ivar skipped: why it does not apply to the target.
    :ivar trouble: what the adapter or the machine did wrong.
    :ivar internal: traceback of a defect of the judge itself.
    """

    name: str
    case: Case | None = None
    judgement: Judgement | None = None
    skipped: str = ""
    trouble: str = ""
    internal: str = ""

    @property
    def not_reached(self) -> str:
        """Why the case never came to its stimulus; empty if it did."""
        failed = self.judgement.setup_failed if self.judgement else ""
        return f"{self.name} was not reached: {failed}" if failed else ""

    def results_of(self, clause: str) -> list[ClauseResult]:
        """What it says of one clause; nothing if it was not judged."""
        if self.judgement is None:
            return []
        return [result for (id, _), result in self.judgement.results.items() if id == clause]


@dataclass
class RunResult:
    """
    Everything that a run found.

    :param target: name of what was judged, as the report shows it.
    :param clauses: the clauses under judgement, in the order of the pages.
    :param strict: whether a broken SHOULD counts as a broken MUST.
    :param repeat: the command line that repeats one case, but for its id.
    :param planned: how many cases were selected, 0 if that is not known.
    :param expected: what the target is known to break, by clause.
    :param versions: what ran there, by name.
    :ivar junit: the results as JUnit XML, if they were asked for.
    """

    target: str
    link: str
    roles: tuple[Role, ...]
    clauses: list[Clause]
    strict: bool = False
    repeat: str = ""
    tpm: str = ""
    planned: int = 0
    expected: Mapping[str, Deviation] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    junit: str = ""
    cases: list[CaseResult] = field(default_factory=list)
    results: dict[tuple[str, Role], ClauseResult] = field(default_factory=dict)
    interrupted: bool = False

    def add(self, entry: CaseResult) -> None:
        """Take in one case."""
        self.cases.append(entry)
        for key, result in (entry.judgement.results if entry.judgement else {}).items():
            self.results.setdefault(key, ClauseResult(*key)).add(result)
        unclear = entry.trouble or entry.not_reached
        if entry.case is not None and (entry.skipped or unclear):
            key = (entry.case.clause, entry.case.role)
            own = self.results.setdefault(key, ClauseResult(*key))
            own.inapplicable = own.inapplicable or entry.skipped
            own.unclear = own.unclear or unclear

    def verdicts(self) -> Iterable[tuple[Clause, Role, Verdict, ClauseResult]]:
        """Each clause under judgement, for each role, with its verdict."""
        for clause in self.clauses:
            for role in self.roles:
                if clause.role in ("both", role.value):
                    empty = ClauseResult(clause.id, role, can_pass=not clause.unobservable)
                    result = self.results.get((clause.id, role), empty)
                    yield clause, role, result.verdict, result

    def counts(self) -> Counter[Verdict]:
        """How many clauses there are of each verdict."""
        return Counter(verdict for _, _, verdict, _ in self.verdicts())

    def broken(self, *, musts_only: bool = False) -> list[tuple[Clause, ClauseResult]]:
        """The broken clauses, with what was found."""
        return [
            (clause, result)
            for clause, _, verdict, result in self.verdicts()
            if verdict is Verdict.BROKEN and (not musts_only or self.counts_as_must(clause))
        ]

    def counts_as_must(self, clause: Clause) -> bool:
        """Whether breaking ``clause`` fails the run."""
        must = self.strict or clause.level.startswith("MUST")
        return must and clause.id not in self.expected

    def unexpected(self) -> list[Deviation]:
        """What the target is known to break, and has kept in all cases of its own."""
        kept = {clause.id for clause, _, verdict, _ in self.verdicts() if verdict is Verdict.KEPT}
        kept -= {clause.id for clause, _ in self.broken()}
        left_out = {
            case.clause
            for case in CASES.values()
            if case.role in self.roles and case.id not in {entry.name for entry in self.cases}
        }
        return [known for id, known in self.expected.items() if id in kept - left_out]

    @property
    def exit_code(self) -> Exit:
        """One value; broken outranks the rest."""
        if self.interrupted:
            return Exit.INTERRUPTED
        if self.broken(musts_only=True) or self.unexpected():
            return Exit.BROKEN
        if any(entry.internal for entry in self.cases):
            return Exit.INTERNAL
        if any(entry.trouble or _adapter_trouble(entry) for entry in self.cases):
            return Exit.TROUBLE
        if self.counts()[Verdict.INCONCLUSIVE]:
            return Exit.INCONCLUSIVE
        return Exit.OK


def _adapter_trouble(entry: CaseResult) -> str:
    return entry.judgement.trouble if entry.judgement else ""
