# SPDX-License-Identifier: MIT
"""
What a run is about when nobody says it.
"""

from conformance import clauses
from conformance.select import select
from vtpm_ref.states import Role


def judged(*statuses: str) -> set[str]:
    chosen = select([Role.FRONTEND, Role.BACKEND], statuses=statuses)
    return {clause.id for clause in chosen.clauses}


def of_status(*statuses: str) -> set[str]:
    return {clause.id for clause in clauses.load().values() if clause.status in statuses}


def test_proposed_clauses_are_not_counted_unless_they_are_asked_for() -> None:
    """They bind nobody, so that nobody is told how many of them were not observed."""
    assert of_status("proposed") > {"extra.feature"}
    assert judged() == of_status("stated", "practice", "settled", "corrects")
    assert judged("settled", "proposed") == of_status("settled", "proposed")
