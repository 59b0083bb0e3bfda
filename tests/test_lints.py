# SPDX-License-Identifier: MIT
"""
The lints of the pages: each finds its fault, and leaves the control beside it alone.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from conformance.clauses import Clause, fences
from tests.docs_support import GOOD_CLAUSE, copy_of_pages, sphinx, spoil
from vtpm_spec import lints
from vtpm_spec.source import Block, blocks

RATIONALE = "*Why.*  So.  *Alternatives.*  MAY would do.  *Deployed\npeers.*  None do.\n"


def cut(text: str) -> list[Block]:
    return blocks("one", text)


def shown(problems: list[lints.Problem]) -> list[str]:
    return [f"{problem.where}: {problem.what}" for problem in problems]


def clause(name: str = "page.size", status: str = "stated", unobservable: str = "") -> Clause:
    return Clause(
        id=name,
        level="MUST",
        role="frontend",
        status=status,
        source="tpmif.h",
        text="The frontend MUST share one page.",
        page="one",
        line=1,
        unobservable=unobservable,
        checksum="0" * 12,
    )


# Blocks


def test_blocks_know_their_lines() -> None:
    page = "# Title\n\nfirst\nsecond\n\n```python\ncode\n```\n<!-- a\ncomment -->\n## Next\ntail"
    assert [(b.kind, b.line, b.info, b.lines) for b in cut(page)] == [
        ("heading", 1, "Title", ("# Title",)),
        ("text", 3, "", ("first", "second")),
        ("fence", 6, "python", ("code",)),
        ("heading", 11, "Next", ("## Next",)),
        ("text", 12, "", ("tail",)),
    ]


def test_the_reader_and_the_lints_see_the_same_fences() -> None:
    page = f"a\n{GOOD_CLAUSE}\n````md\n{GOOD_CLAUSE}````\n"
    seen = [(b.line, b.info, list(b.lines)) for b in cut(page) if b.kind == "fence"]
    assert seen == list(fences("one", page))


# Keywords


@pytest.mark.parametrize(
    ("page", "line", "word"),
    [
        ("a\n\nThe backend\nMUST NOT wait.", 4, "MUST NOT"),
        ("## MAY one wait?", 1, "MAY"),
        ("```{list-table}\n* - a\n* - SHOULD\n```", 3, "SHOULD"),
        ("It SHALL be `MUST`.", 1, "SHALL"),
        (f"{GOOD_CLAUSE}\n*Why.*  It MUST.  *Alternatives.*  None.", 8, "MUST"),
        (f"{GOOD_CLAUSE}\n{RATIONALE}\nAnd it MUST.", 11, "MUST"),
        (f"{GOOD_CLAUSE}\n{RATIONALE}But it MUST.", 10, "MUST"),
        (f"{GOOD_CLAUSE}\n## Next\n\n{RATIONALE}", 10, "MAY"),
        (f"```{{note}}\nhere\n```\n\n{RATIONALE}", 5, "MAY"),
    ],
)
def test_a_keyword_outside_a_clause_is_found(page: str, line: int, word: str) -> None:
    found = shown(lints.keywords("one", cut(page)))
    assert found[0] == f"one.md:{line}: keyword {word} outside a clause"


@pytest.mark.parametrize(
    "page",
    [
        "The backend must not wait, may it?",
        GOOD_CLAUSE,
        f"{GOOD_CLAUSE}\n{RATIONALE}",
        f"{GOOD_CLAUSE}\n*Why.*  So.\n\n*Alternatives.*  MUST NOT, but\nnot MAY.",
        "```{doctest}\n>>> 'MUST'\n'MUST'\n```",
        "```c\n/* MUST */\n```",
        "<!-- it MUST -->",
    ],
)
def test_a_keyword_in_its_place_is_left_alone(page: str) -> None:
    assert lints.keywords("one", cut(page)) == []


def test_one_section_of_one_page_introduces_the_keywords() -> None:
    text = "## How rules are written\n\nMUST and MAY are used as in RFC 2119.\n\n{}\nIt MUST."
    introduction = cut(text.replace("{}", ""))
    assert lints.keywords("introduction", introduction) == []
    assert len(lints.keywords("states", introduction)) == 3
    later = cut(text.replace("{}", "## Sources\n"))
    assert shown(lints.keywords("introduction", later)) == [
        "introduction.md:7: keyword MUST outside a clause"
    ]


# Rationale


@pytest.mark.parametrize("status", ["settled", "corrects"])
@pytest.mark.parametrize(
    ("below", "missing"),
    [
        ("", "*Why.* *Alternatives.* *Deployed peers.*"),
        ("*Why.*  So.  *Alternatives.*  None.", "*Deployed peers.*"),
        ("*Why.*  *Alternatives.*  None.  *Deployed peers.*  All.", "*Why.*"),
        (f"## Next\n\n{RATIONALE}", "*Why.* *Alternatives.* *Deployed peers.*"),
        (f"{GOOD_CLAUSE}\n{RATIONALE}", "*Why.* *Alternatives.* *Deployed peers.*"),
    ],
)
def test_a_decision_without_its_rationale_is_found(status: str, below: str, missing: str) -> None:
    page = cut(f"{GOOD_CLAUSE.replace('page.size', 'page.other')}\n{below}\n")
    clauses = {"page.other": clause("page.other", status)}
    assert shown(lints.rationale("one", page, clauses)) == [
        f"one.md:1: clause page.other is {status} and has no {missing} under it"
    ]


@pytest.mark.parametrize(
    ("status", "below"),
    [
        ("settled", RATIONALE),
        ("corrects", "*Why.*  So.\n\n*Alternatives.*  None.\n\n*Deployed peers.*  All."),
        ("stated", ""),
        ("practice", ""),
        ("proposed", ""),
    ],
)
def test_a_clause_with_what_it_owes_is_left_alone(status: str, below: str) -> None:
    page = cut(f"{GOOD_CLAUSE}\n{below}\n")
    assert lints.rationale("one", page, {"page.size": clause(status=status)}) == []


# Agreement


AGREED = [
    "practice of all implementations",
    "no text; practice of all frontends",
    "tpmif.h for one half; all deployed peers do the other",
    "Every backend does it",
]


@pytest.mark.parametrize("source", AGREED)
def test_what_all_do_is_not_settled_here(source: str) -> None:
    settled = replace(clause(status="settled"), source=source)
    assert lints.agreement({"page.size": settled})[0].what.startswith(
        "clause page.size is settled and its source says"
    )


@pytest.mark.parametrize(
    ("status", "source"),
    [
        *((status, AGREED[0]) for status in ("stated", "practice", "corrects", "proposed")),
        ("settled", "no text; Linux does it, mini-os tpmfront does not"),
        ("settled", "De Graaf 2013: each request yields exactly one response"),
    ],
)
def test_what_all_do_may_be_said_elsewhere(status: str, source: str) -> None:
    assert lints.agreement({"page.size": replace(clause(status=status), source=source)}) == []


# Written by hand


@pytest.mark.parametrize(
    ("page", "line", "what"),
    [
        ("\n| Offset | size |\n|---|---|\n| 0 | 4 |", 2, "table with header 'Offset | size'"),
        ("| Old state | new |\n| :-- | --: |", 1, "table with header 'Old state | new'"),
        ("|who|writes over|\n|-|-|", 1, "table with header 'who | writes over'"),
        ("| | IDLE | SUBMIT |\n|-|-|-|", 1, "table with header 'IDLE | SUBMIT'"),
        (
            "```{list-table}\n:header-rows: 1\n\n* - xenbus state\n  - who\n* - 1\n  - 2\n```",
            4,
            "table with header 'xenbus state | who'",
        ),
        (
            "```{csv-table}\n:header: new state, clause\n\nIDLE, x\n```",
            2,
            "table with header 'new state | clause'",
        ),
        ("```text\nbytes\n+---+---+\n| a | b |\n```", 3, "drawing '+---+---+'"),
        ("```\n\u250c\u2500\u2510\n```", 2, "drawing '\u250c\u2500\u2510'"),
        ("    +----+", 1, "drawing '+----+'"),
        ("```\nfrontend ---> backend\n```", 2, "drawing 'frontend ---> backend'"),
        ("![states](states.png)", 1, "picture or raw HTML '![states]('"),
        ("```{figure} states.svg\n```", 1, "picture or raw HTML '{figure}'"),
        ("<table><tr></tr></table>", 1, "picture or raw HTML '<table'"),
    ],
)
def test_what_the_model_can_make_is_not_made_by_hand(page: str, line: int, what: str) -> None:
    found = shown(lints.hand_made("one", cut(page)))
    assert found[0] == f"one.md:{line}: {what} written by hand"


@pytest.mark.parametrize(
    "page",
    [
        "| key | value |\n|---|---|\n| offset | 4 |",
        "```{list-table}\n\n* - value\n  - name\n* - 0\n  - IDLE\n* - 1\n  - old state\n```",
        "The old state | the new state",
        "```c\npage->state = 1; a += b - c;\n```",
        "```{doctest}\n>>> print('+---+')\n+---+\n```",
        "a <!-- comment --> b",
        "```{page-layout}\n```\n\n```{transition-table}\n```",
    ],
)
def test_other_tables_and_code_are_left_alone(page: str) -> None:
    assert lints.hand_made("one", cut(page)) == []


# The judge


@pytest.mark.parametrize(
    ("rules", "cases", "missing"),
    [
        ([], {}, "rule and case"),
        (["page.size"], {}, "case"),
        ([], {"page.size/plain": "page.size"}, "rule"),
        (["page.size"], {"page.pad/plain": "page.pad"}, "case"),
    ],
)
def test_a_clause_that_nothing_judges_is_found(
    rules: list[str], cases: dict[str, str], missing: str
) -> None:
    found = lints.checked({"page.size": clause()}, rules, cases)
    assert shown(found) == [f"one.md:1: clause page.size has no {missing} and no ':unobservable:'"]


def test_a_clause_is_judged_or_says_what_evidence_is_missing() -> None:
    judged = {"page.size": clause()}
    assert lints.checked(judged, ["page.size"], {"page.size/plain": "page.size"}) == []
    unobservable = {"page.size": clause(unobservable="a bigger machine")}
    assert lints.checked(unobservable, [], {}) == []


# Citations


FILES = {
    "conformance/cases/base.py": "CASES = {}\n",
    "conformance/cases/states.py": 'A = "page.size"\nB = (\n    "page.pad/long",\n)\n',
}


def test_a_citation_of_an_unknown_clause_is_found_with_file_and_line() -> None:
    cited = [
        lints.Citation("cell A", "page.size", "page.size"),
        lints.Citation("case page.pad/long", "page.pad", "page.pad/long"),
    ]
    assert shown(lints.citations(["page.size"], cited, FILES)) == [
        "conformance/cases/states.py:3: case page.pad/long cites unknown clause page.pad"
    ]
    assert lints.citations(["page.size", "page.pad"], cited, FILES) == []


def test_a_citation_that_is_put_together_is_found_all_the_same() -> None:
    cited = [lints.Citation("rule states.Odd", "page.odd", "page.odd")]
    assert shown(lints.citations(["page.size"], cited, FILES)) == [
        "conformance/cases/base.py:1: rule states.Odd cites unknown clause page.odd"
    ]


# The two lists


def test_a_clause_that_one_of_the_two_misses_is_found() -> None:
    one = {"page.size": clause()}
    assert shown(lints.same_list({}, one)) == [
        "one.md:1: clause page.size is seen by the reader only"
    ]
    assert shown(lints.same_list(one, {})) == ["one.md:1: clause page.size is seen by Sphinx only"]
    assert lints.same_list(one, dict(one)) == []


def test_a_field_that_the_two_read_differently_is_found() -> None:
    found = lints.same_list({"page.size": clause(status="settled")}, {"page.size": clause()})
    assert shown(found) == [
        "one.md:1: clause page.size: status is 'settled' to Sphinx, 'stated' to the reader"
    ]


# In a build


def test_every_fault_in_a_copy_of_the_pages_stops_the_build(tmp_path: Path) -> None:
    pages = copy_of_pages(tmp_path)
    invented = GOOD_CLAUSE.replace("page.size", "packet.invented").replace("stated", "settled")
    agreed = GOOD_CLAUSE.replace("page.size", "nodes.agreed").replace("stated", "settled")
    agreed = agreed.replace("tpmif.h", "practice of all frontends")
    lines = {
        "keyword": spoil(pages / "exchange.md", "The backend MUST hurry."),
        "table": spoil(pages / "states.md", "| old state | x |\n|-|-|\n| a | b |"),
        "box": spoil(pages / "adapter.md", "```text\n+--+\n```"),
        "invented": spoil(pages / "packets.md", invented),
        "agreed": spoil(pages / "nodes.md", agreed),
        "hidden": spoil(
            pages / "connecting.md",
            f"<!--\n{GOOD_CLAUSE.replace('page.size', 'connecting.hidden')}-->",
        ),
        "role": spoil(pages / "introduction.md", "See {clause}`states.nothing`."),
    }
    run = sphinx("html", tmp_path / "out", pages)
    assert run.returncode == 1
    for message in (
        f"exchange.md:{lines['keyword']}: WARNING: keyword MUST outside a clause; make the",
        f"states.md:{lines['table']}: WARNING: table with header 'old state | x' written by hand",
        f"adapter.md:{lines['box'] + 1}: WARNING: drawing '+--+' written by hand; use page-layout",
        f"packets.md:{lines['invented']}: WARNING: clause packet.invented is settled and has no",
        f"nodes.md:{lines['agreed']}: WARNING: clause nodes.agreed is settled and its source says",
        f"packets.md:{lines['invented']}: WARNING: clause packet.invented has no rule and case",
        f"connecting.md:{lines['hidden'] + 1}: WARNING: clause connecting.hidden is seen by the",
    ):
        assert message in run.stderr, run.stderr


def test_a_reference_to_no_clause_and_a_second_clause_of_one_id_stop_the_build(
    tmp_path: Path,
) -> None:
    pages = copy_of_pages(tmp_path)
    line = spoil(pages / "introduction.md", "See {clause}`states.nothing`.")
    run = sphinx("html", tmp_path / "out", pages)
    assert run.returncode == 1
    expected = f"introduction.md:{line}: WARNING: no page has a clause states.nothing; mend the id"
    assert expected in run.stderr
    line = spoil(pages / "exchange.md", GOOD_CLAUSE)
    run = sphinx("html", tmp_path / "out", pages)
    assert run.returncode == 1
    expected = f"exchange.md:{line}: WARNING: expected an id apart from page.size (shared-page.md:"
    assert expected in run.stderr
