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

#: What a page has to say for the row that leads to it.
WORDS = {
    ("M-3", "history"): "`feature-protocol-v2` exists to keep them apart",
    ("M-4", "long-packets"): "the response overwrites the request",
    ("L-1", "shared-page"): "{field-table}",
    ("L-7", "long-packets"): "Even the longest list leaves the packet a place",
    ("E-3", "history"): "`unsigned long`",
    ("S-1", "states"): "no request, no response; the TPM is idle",
    ("S-3", "ordering"): "need not be an atomic operation",
    ("T-5", "exchange"): "another locality has seized",
    ("T-7", "states"): "32 cells",
    ("Y-2", "locality"): "one window for each of the five",
    ("Y-3", "locality"): "`locality=<label>=<n>[,<n>...]`",
    ("Y-6", "locality"): "It asks for the label once",
    ("Y-9", "locality"): "vtpmmgr ignores the byte",
    ("C-9", "cancellation"): "TPM_RC_CANCELED (0x909)",
    ("X-2", "long-packets"): "`TPM_CAP_PROP_INPUT_BUFFER`",
    ("X-6", "long-packets"): "larger than 2048 bits",
    ("P-2", "introduction"): "What is deployed towards guests today is TPM 1.2",
    ("P-3", "implementations"): "tags 0x01C1 and 0x01C2",
    ("P-4", "implementations"): "the time-outs (0x115)",
    ("B-2", "nodes"): "takes a frontend only at the path above",
    ("B-4", "nodes"): "`xl vtpm-attach`",
    ("H-3", "time"): "waits ten seconds for the backend's InitWait",
    ("R-2", "closing"): "mini-os tpmfront deletes its nodes while it closes",
    ("R-5", "closing"): "removes the device and probes it again",
    ("R-6", "closing"): "may migrate and loses its TPM",
    ("Z-1", "time"): "the TPM's time-out C",
    ("D-VT-2", "locality"): "lacks the part that a rule with `*` looks for",
    ("D-VT-3", "locality"): "has no label",
    ("D-VT-8", "implementations"): "only the checks in vtpmmgr",
    ("D-VT-10", "locality"): "The man page does not mention the argument",
    ("D-LF-8", "long-packets"): "takes every vTPM for a 1.2",
    ("D-QF-6", "nodes"): "takes a frontend only at the path above",
    ("D-QF-6", "implementations"): "below `frontend/vtpm` of domain 0",
    ("A9", "states"): "A *race* is within the rules",
    ("A11", "time"): "CANCEL",
    ("A16", "long-packets"): "0x1E",
    ("A17", "long-packets"): "`TPM_PT_MAX_COMMAND_SIZE`",
}

KNOWN = clauses.load()


def rows() -> dict[str, tuple[str, str]]:
    """What each item says and where it leads."""
    found = ROW.findall((SPEC / "evidence.md").read_text(encoding="utf-8"))
    assert len({key for key, _, _ in found}) == len(found), "an item has two rows"
    return {key: (" ".join(said.split()), " ".join(to.split())) for key, said, to in found}


def without_an_item() -> list[str]:
    """Clauses of the last table, which says of each why it is there."""
    text = (SPEC / "evidence.md").read_text(encoding="utf-8")
    return re.findall(r"^\* - \{clause\}`([^`]+)`\n  - \w+(?: \S+){4,}", text, re.M)


#: Each page that a row names.
PAIRS = [(item, page) for item, (_, leads) in rows().items() for page in PAGE.findall(leads)]


def test_every_item_of_the_catalogue_has_a_row_and_nothing_else_has() -> None:
    assert len(CATALOGUE) == 173
    assert list(rows()) == CATALOGUE


def test_the_patterns_see_every_row_of_the_page() -> None:
    text = (SPEC / "evidence.md").read_text(encoding="utf-8")
    seen = len(rows()) + len(without_an_item())
    assert len(re.findall(r"^\* - (?!item$|rule$)", text, re.M)) == seen


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


@pytest.mark.parametrize(("item", "page"), PAIRS)
def test_a_page_that_a_row_names_tells_what_the_row_promises(item: str, page: str) -> None:
    """The words stand on the page; a new row that names a page wants its words in ``WORDS``."""
    text = " ".join((SPEC / f"{page}.md").read_text(encoding="utf-8").split())
    assert WORDS[item, page] in text


def test_every_clause_is_reached_from_a_row_or_has_its_reason() -> None:
    reached = {name for _, leads in rows().values() for name in CLAUSE.findall(leads)}
    listed = without_an_item()
    assert [name for name in listed if name in reached or name not in KNOWN] == []
    assert [name for name in KNOWN if name not in reached and name not in listed] == []


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
