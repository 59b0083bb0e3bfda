# SPDX-License-Identifier: MIT
"""
What the judge does about each clause; the only import of the judge's side.

A *rule* says of a trace whether it keeps a clause, a *case* provokes an
occasion for it.  Both carry the clause's id, which is all that is used here.
"""

from pathlib import Path

import conformance.cases
import conformance.rules
from conformance.cases import CASES
from conformance.rules import RULES


def rule_ids() -> frozenset[str]:
    """Ids of the clauses that have a rule."""
    return frozenset(RULES)


def rule_of(clause: str) -> str:
    """The rule's page and class, as in ``states.FrontendWrites``; empty if there is none."""
    rule = RULES.get(clause)
    return f"{rule.__module__.rpartition('.')[2]}.{rule.__name__}" if rule else ""


def cases() -> dict[str, str]:
    """Clause id of every case, by case id, in the judge's order."""
    return {name: case.clause for name, case in CASES.items()}


def cases_of(clause: str) -> dict[str, str]:
    """The cases that provoke ``clause``: by id, what each does."""
    return {name: case.about for name, case in CASES.items() if case.clause == clause}


def files() -> list[Path]:
    """The judge's files; pages are read again when one of them changes."""
    homes = (conformance.cases.__file__, conformance.rules.__file__)
    return [file for home in homes for file in sorted(Path(home).parent.rglob("*.py"))]
