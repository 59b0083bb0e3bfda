# SPDX-License-Identifier: MIT
"""
Which clauses and cases a run is about: by id, prefix, glob, role, level, status.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from conformance.cases import CASES, Case
from conformance.clauses import STATUSES, Clause, load
from conformance.errors import UsageError
from vtpm_ref.states import Role

#: What ``--level`` accepts; each stands for its NOT as well.
LEVELS = ("MUST", "SHOULD", "MAY")


@dataclass(frozen=True)
class Selection:
    """The cases to play and the clauses to judge, in the order of the pages."""

    cases: list[Case]
    clauses: list[Clause]


def select(
    roles: Sequence[Role],
    patterns: Sequence[str] = (),
    *,
    exclude: Sequence[str] = (),
    levels: Sequence[str] = (),
    statuses: Sequence[str] = (),
) -> Selection:
    """
    Choose cases and clauses.

    A pattern is a clause's id (``packet.too-long-answered``), a prefix of it
    (``packet``), a case's id (``packet.too-long-answered/4089``) or a glob.
    Clauses are judged whose cases are chosen; with a case's id, all are.
    Proposed ones are left out unless ``statuses`` names them: they bind nobody.

    :raises UsageError: a pattern, level or status matches nothing, or nothing
        is left.
    """
    _known("level", levels, LEVELS)
    _known("status", statuses, STATUSES)
    clauses = {
        clause.id: clause
        for clause in load().values()
        if clause.role == "both" or Role(clause.role) in roles
    }
    cases = [case for case in CASES.values() if case.role in roles]
    cases.sort(key=lambda case: list(load()).index(case.clause))
    for pattern in (*patterns, *exclude):
        names = [*clauses, *(case.id for case in cases)]
        if not any(_matches(pattern, name) for name in names):
            kind = " and ".join(role.value for role in roles)
            raise UsageError(
                f"{pattern!r} matches no clause and no case for a {kind};"
                " 'vtpm-conformance list' shows all"
            )
    chosen = [
        case
        for case in cases
        if (not patterns or any(_matches(p, case.id) for p in patterns))
        and not any(_matches(p, case.id) for p in exclude)
        and _passes(clauses[case.clause], levels, statuses)
    ]
    wanted = {case.clause for case in chosen}
    # Whoever asks for one case wants to know all that it shows.
    everything = any(pattern in CASES for pattern in patterns)
    judged = [
        clause
        for clause in clauses.values()
        if (clause.id in wanted or everything or (clause.unobservable and not patterns))
        and not any(_matches(p, clause.id) for p in exclude)
        and _passes(clause, levels, statuses)
    ]
    if not chosen:
        raise UsageError("the selection is empty: no case is left")
    return Selection(chosen, judged)


def _matches(pattern: str, name: str) -> bool:
    return (
        name == pattern
        or name.startswith((pattern + ".", pattern + "/"))
        or fnmatchcase(name, pattern)
    )


def _passes(clause: Clause, levels: Sequence[str], statuses: Sequence[str]) -> bool:
    level = clause.level.removesuffix(" NOT")
    binds = clause.status in statuses if statuses else clause.status != "proposed"
    return (not levels or level in levels) and binds


def _known(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    for value in given:
        if value not in known:
            raise UsageError(f"unknown {what} {value!r}; it can be {', '.join(known)}")
