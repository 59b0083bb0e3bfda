# SPDX-License-Identifier: MIT
"""
The clause reader: what it reads from the pages, and what it refuses.
"""

from pathlib import Path

import pytest

from conformance.clauses import Clause, ClauseError, load
from tests.docs_support import GOOD_CLAUSE

INDEX = "# T\n\n```{toctree}\n:maxdepth: 1\n\none\n```\n"

#: Clauses on each page, in the order of the toctree; change it with the pages.
CLAUSES = {
    "shared-page": 7,
    "states": 9,
    "exchange": 12,
    "packets": 12,
    "long-packets": 5,
    "cancellation": 5,
    "locality": 5,
    "nodes": 3,
    "connecting": 17,
    "closing": 21,
    "several": 2,
    "robustness": 9,
    "time": 4,
    "ordering": 3,
    "extra-pages": 8,
}


def folder(tmp_path: Path, page: str, index: str = INDEX) -> Path:
    (tmp_path / "index.md").write_text(index, encoding="utf-8")
    (tmp_path / "one.md").write_text(page, encoding="utf-8")
    return tmp_path


def refusal(tmp_path: Path, page: str, index: str = INDEX) -> str:
    with pytest.raises(ClauseError) as caught:
        load(folder(tmp_path, page, index))
    return str(caught.value)


def test_every_page_keeps_its_clauses_in_the_order_of_the_toctree() -> None:
    counted: dict[str, int] = {}
    for clause in load().values():
        counted[clause.page] = counted.get(clause.page, 0) + 1
    assert list(counted.items()) == list(CLAUSES.items())


def test_a_clause_of_the_pages_is_read_whole() -> None:
    clause = load()["states.backend-writes"]
    assert clause == Clause(
        id="states.backend-writes",
        level="MUST NOT",
        role="backend",
        status="practice",
        source='tpmif.h, comment on `enum tpmif_state`, which says "should only";'
        " practice of mini-os tpmback",
        text="The backend MUST NOT write any value but IDLE and FINISH to `state`.",
        page="states",
        line=clause.line,
        unobservable="",
        checksum="fed7910b450b",
    )


def test_line_is_that_of_the_opening_fence(tmp_path: Path) -> None:
    clause = load(folder(tmp_path, f"# T\n\n{GOOD_CLAUSE}"))["page.size"]
    assert (clause.page, clause.line) == ("one", 3)


def test_unobservable_is_read_where_it_is_given(tmp_path: Path) -> None:
    page = GOOD_CLAUSE.replace(":source:", ":unobservable: a bigger machine\n:source:")
    assert load(folder(tmp_path, page))["page.size"].unobservable == "a bigger machine"
    assert load(folder(tmp_path, GOOD_CLAUSE))["page.size"].unobservable == ""


def test_line_breaks_change_neither_text_nor_checksum(tmp_path: Path) -> None:
    whole = load(folder(tmp_path, GOOD_CLAUSE))["page.size"]
    broken = GOOD_CLAUSE.replace("MUST share", "MUST\nshare")
    parted = load(folder(tmp_path, broken))["page.size"]
    assert (parted.text, parted.checksum) == (whole.text, whole.checksum)
    assert whole.text == "The frontend MUST share one page."


@pytest.mark.parametrize(
    ("sentence", "level", "role"),
    [
        ("The frontend MUST wait.", "MUST", "frontend"),
        ("The backend MUST NOT wait.", "MUST NOT", "backend"),
        ("Each side SHOULD wait.", "SHOULD", "both"),
        ("The backend SHOULD NOT send TPM 2.0 packets.", "SHOULD NOT", "backend"),
        ("The frontend MAY wait.", "MAY", "frontend"),
    ],
)
def test_level_and_role_come_from_the_sentence(
    tmp_path: Path, sentence: str, level: str, role: str
) -> None:
    page = GOOD_CLAUSE.replace("The frontend MUST share one page.", sentence)
    clause = load(folder(tmp_path, page))["page.size"]
    assert (clause.level, clause.role) == (level, role)


def test_a_clause_between_colons_is_refused(tmp_path: Path) -> None:
    page = GOOD_CLAUSE.replace("```", ":::")
    message = refusal(tmp_path, page)
    assert message.startswith("one.md:1: expected a clause in a fence ```{clause} id, found ':::")


def test_a_clause_shown_in_a_longer_fence_is_no_clause(tmp_path: Path) -> None:
    assert load(folder(tmp_path, f"````md\n{GOOD_CLAUSE}````\n")) == {}


SENTENCE = "The frontend MUST share one page."


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("page.size", "size", "one.md:1: expected an id like states.backend-writes, found 'size'"),
        ("page.size", "Page.size", "one.md:1: expected an id like states.backend-writes"),
        ("page.size", "page.a_b", "one.md:1: expected an id like states.backend-writes"),
        ("page.size", "", "one.md:1: expected an id like states.backend-writes, found ''"),
        (":source: tpmif.h\n", "", "one.md:1: expected option 'source' in page.size, found 'none'"),
        (":status: stated\n", "", "one.md:1: expected option 'status' in page.size, found 'none'"),
        ("stated", "true", "expected stated, practice, settled, corrects, proposed, found 'true'"),
        (":source:", ":origin:", "one.md:3: expected each option of status, source, unobservable"),
        (":source: tpmif.h", ":source:", "one.md:3: expected each option of status, source"),
        (":source: tpmif.h", ":status: stated", "one.md:3: expected each option of status"),
        (SENTENCE, "", "one.md:1: expected one sentence with one full stop in page.size, found ''"),
        (SENTENCE, SENTENCE[:-1], "expected one sentence with one full stop in page.size"),
        (SENTENCE, f"{SENTENCE} It is small.", "expected one sentence with one full stop"),
        ("MUST", "has to", "one.md:1: expected one keyword in page.size, found 'none'"),
        (" one page", " what it MAY", "expected one keyword in page.size, found 'MUST, MAY'"),
        ("MUST", "SHALL", "expected MUST, MUST NOT, SHOULD, SHOULD NOT, MAY, found 'SHALL'"),
        ("The frontend", "A peer", "a subject of The frontend, The backend, Each side in page"),
        ("The frontend", "The frontend's domain", "found \"The frontend's domain MUST share one"),
        ("page.\n```", "page.\n", "one.md:1: expected a fence ``` that closes, found none"),
        ("```{clause}", " ```{clause}", "one.md:1: expected a clause in a fence ```{clause} id"),
        ("```{clause}", "````{clause}", "one.md:1: expected a clause in a fence ```{clause} id"),
    ],
)
def test_a_fault_is_refused_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert "page.size" in load(folder(tmp_path, GOOD_CLAUSE))
    assert message in refusal(tmp_path, GOOD_CLAUSE.replace(old, new, 1))


@pytest.mark.parametrize("other", ["page.size", "page.size.max", "page.size.a-b"])
def test_an_id_is_used_once_and_is_nobodys_prefix(tmp_path: Path, other: str) -> None:
    for pair in ((GOOD_CLAUSE, other), (GOOD_CLAUSE.replace("page.size", other), "page.size")):
        page = f"{pair[0]}\n{GOOD_CLAUSE.replace('page.size', pair[1])}"
        message = refusal(tmp_path, page)
        assert message.startswith("one.md:8: expected an id apart from page.size")
        assert message.endswith(f"(one.md:1), found '{pair[1]}'")


def test_ids_that_only_begin_alike_are_fine(tmp_path: Path) -> None:
    page = f"{GOOD_CLAUSE}\n{GOOD_CLAUSE.replace('page.size', 'page.size-max')}"
    assert list(load(folder(tmp_path, page))) == ["page.size", "page.size-max"]


def test_a_page_that_is_not_there_is_named(tmp_path: Path) -> None:
    message = refusal(tmp_path, GOOD_CLAUSE, INDEX.replace("one", "two"))
    assert message.startswith("index.md:1: expected only pages that are in ")
    assert message.endswith("found 'two'")


def test_who_changes_the_answer_does_not_change_the_next_one() -> None:
    load().clear()
    assert "page.size" in load()
