# SPDX-License-Identifier: MIT
"""
The page that follows the catalogue: each item has its row, and each row leads somewhere.
"""

import re

import pytest

from conformance import clauses
from tests.docs_support import SPEC

#: How many items the catalogue has under each letter; written by hand from it.
ITEMS = {
    # What texts and implementations say.
    "M": 4,
    "L": 7,
    "E": 3,
    "S": 5,
    "T": 7,
    "N": 5,
    "O": 3,
    "G": 6,
    "Y": 9,
    "C": 9,
    "X": 6,
    "P": 4,
    "B": 4,
    "H": 9,
    "R": 9,
    "Z": 4,
    # Defects.
    "D-MB": 12,
    "D-VT": 10,
    "D-VM": 2,
    "D-MF": 8,
    "D-LF": 10,
    "D-QF": 6,
    "D-ALL": 2,
    # What nobody had decided; these have no hyphen.
    "A": 29,
}
CATALOGUE = [
    f"{letter}{number}" if letter == "A" else f"{letter}-{number}"
    for letter, count in ITEMS.items()
    for number in range(1, count + 1)
]

ROW = re.compile(r"^\* - ([A-Z][A-Z0-9-]*)\n  - (.+(?:\n    .+)*)\n  - (.+(?:\n    .+)*)$", re.M)
CLAUSE = re.compile(r"\{clause\}`([^`]+)`")
PAGE = re.compile(r"\[\]\(([a-z-]+)\.md\)")

KNOWN = clauses.load()


def rows() -> dict[str, tuple[str, str]]:
    """What each item says and where it leads."""
    found = ROW.findall((SPEC / "evidence.md").read_text(encoding="utf-8"))
    assert len({key for key, _, _ in found}) == len(found), "an item has two rows"
    return {key: (" ".join(said.split()), " ".join(to.split())) for key, said, to in found}


def test_every_item_of_the_catalogue_has_a_row_and_nothing_else_has() -> None:
    assert len(CATALOGUE) == 173
    assert list(rows()) == CATALOGUE


def test_the_pattern_sees_every_row_of_the_page() -> None:
    text = (SPEC / "evidence.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^\* - (?!item$)", text, re.M)) == len(rows())


@pytest.mark.parametrize("item", CATALOGUE)
def test_a_row_says_what_the_item_is_and_leads_to_a_rule_a_page_or_evidence(item: str) -> None:
    said, leads = rows()[item]
    assert len(said.split()) >= 2
    assert CLAUSE.search(leads) or PAGE.search(leads) or "evidence: " in leads


@pytest.mark.parametrize("item", CATALOGUE)
def test_each_clause_and_page_that_a_row_names_exists(item: str) -> None:
    leads = rows()[item][1]
    assert [name for name in CLAUSE.findall(leads) if name not in KNOWN] == []
    assert [name for name in PAGE.findall(leads) if not (SPEC / f"{name}.md").is_file()] == []


@pytest.mark.parametrize("item", [item for item in CATALOGUE if item.startswith("D-")])
def test_a_defect_that_does_not_show_from_outside_names_its_evidence(item: str) -> None:
    """One that shows has a clause that a tester can observe."""
    leads = rows()[item][1]
    shows = [name for name in CLAUSE.findall(leads) if not KNOWN[name].unobservable]
    assert shows or PAGE.search(leads) or "evidence: " in leads
