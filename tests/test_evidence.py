# SPDX-License-Identifier: MIT
"""
Where facts come from: the page that follows the catalogue, and what is called measured.
"""

import json
import re

import pytest

from conformance import clauses
from tests.docs_support import ROOT, SPEC

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


# What is called measured

#: Clauses of a backend that tell something measured of a frontend, and whose verdict shows it.
SHOWN_BY = {
    "states.backend-fields": "robust.own-window",
    "packet.response-header": "packet.response-checked",
    "packet.response-length": "packet.response-checked",
    "connecting.look-at-once": "connecting.submit-when-connected",
}

BELOW = re.compile(r"^```\{clause\} (\S+)\n(?:.*\n)*?```\n((?:(?!#|```\{clause\}).*\n)*)", re.M)


def told_below() -> dict[str, str]:
    """What each clause's page says below it, up to the next clause or heading."""
    pages = [page.read_text(encoding="utf-8") for page in SPEC.glob("*.md")]
    return {name: text for page in pages for name, text in BELOW.findall(page)}


def test_what_is_told_below_a_clause_is_found() -> None:
    assert set(told_below()) == set(KNOWN)


def test_what_is_called_measured_below_a_clause_has_a_verdict() -> None:
    """Kept or broken in a result that is in the tree; what was only seen is called observed."""
    decided = set()
    for path in (ROOT / "conformance" / "results").glob("*.json"):
        verdicts = json.loads(path.read_text(encoding="utf-8"))["verdicts"]
        decided |= {name for name, verdict in verdicts.items() if verdict in {"kept", "broken"}}
    measured = [
        name for name, text in told_below().items() if "Measured on" in " ".join(text.split())
    ]
    assert measured
    assert [name for name in measured if SHOWN_BY.get(name, name) not in decided] == []
