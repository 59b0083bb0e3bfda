# SPDX-License-Identifier: MIT
"""
Finding clauses: the index and its filters, the search, checklists, measured results.
"""

import json
import re
from pathlib import Path

import pytest

from conformance import clauses
from tests.browser import PHONE, chromium, look_at, served, tab
from tests.docs_support import GOOD_CLAUSE, SPEC, copy_of_pages, sphinx, spoil
from vtpm_spec import measured

CLAUSES = clauses.load()

#: A run of an implementation that does not exist, as the lab writes such a file.
RESULT = {
    "target": "a driver",
    "role": "frontend",
    "versions": {"Xen": "4.17", "Linux": "6.1"},
    "date": "2026-11-24",
    "link": "xen",
    "origin": "somebody, a lab elsewhere",
    "verdicts": {
        "states.frontend-writes": "kept",
        "states.cancel-when-busy": "broken",
        "states.backend-writes": "not applicable",
    },
}

#: What the pages say of that run: a run from elsewhere is not passed off as one from here.
ABOUT = (
    "frontend, Xen 4.17, Linux 6.1, 2026-11-24, over the xen link, from somebody, a lab elsewhere"
)


# Checklists


@pytest.mark.parametrize("role", ["frontend", "backend"])
def test_a_checklist_names_each_clause_of_its_role_once(html: Path, role: str) -> None:
    text = (html / f"checklist-{role}.html").read_text(encoding="utf-8")
    link = r'class="reference internal" href="[a-z-]+\.html#([a-z-]+\.[a-z0-9.-]+)"'
    listed = re.findall(link, text)
    assert listed == [clause.id for clause in CLAUSES.values() if clause.role in (role, "both")]


def test_a_checklist_shows_the_sentence_and_the_status(plain: Path) -> None:
    text = (plain / "checklist-backend.txt").read_text(encoding="utf-8")
    assert (
        '* The backend MUST NOT write any value but IDLE and FINISH to "state".\n\n'
        '  "states.backend-writes" \u00b7 practice\n'
    ) in text
    assert "states.frontend-writes" not in text


def test_a_checklist_says_of_a_proposed_clause_that_it_does_not_bind(tmp_path: Path) -> None:
    pages = copy_of_pages(tmp_path)
    proposed = GOOD_CLAUSE.replace("page.size", "page.twice").replace("stated", "proposed")
    spoil(pages / "adapter.md", proposed.replace(":source:", ":unobservable: a test\n:source:"))
    run = sphinx("text", tmp_path / "out", pages)
    assert (run.returncode, run.stderr) == (0, "")
    text = (tmp_path / "out" / "checklist-frontend.txt").read_text(encoding="utf-8")
    assert '"page.twice" \u00b7 proposed; not binding\n' in text


def test_a_checklist_of_nobody_is_refused(tmp_path: Path) -> None:
    pages = copy_of_pages(tmp_path)
    spoil(pages / "adapter.md", "```{checklist} toolstack\n```\n")
    run = sphinx("html", tmp_path / "out", pages)
    assert run.returncode != 0
    assert "a checklist is of frontend or backend, not of 'toolstack'" in run.stderr


# Measured results


def test_no_result_files_no_results(tmp_path: Path) -> None:
    assert measured.runs(tmp_path / "none") == ()


def test_a_result_file_is_read_with_what_it_has(tmp_path: Path) -> None:
    """Versions may be text or a table; what is missing is left out."""
    (tmp_path / "a.json").write_text(json.dumps(RESULT))
    (tmp_path / "b.json").write_text('{"versions": "3", "verdicts": {}}')
    full, bare = measured.runs(tmp_path)
    assert full.target == "a driver"
    assert full.about == ABOUT
    assert (bare.target, bare.about, bare.verdicts) == ("b", "3", {})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"verdicts": 3}', "\x00"])
def test_what_is_no_result_file_is_left_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    assert measured.runs(tmp_path) == ()


@pytest.fixture(scope="module")
def with_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document, built where there is one result file."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "a.json").write_text(json.dumps(RESULT))
    run = sphinx("html", folder / "out", SPEC, "-D", f"vtpm_results={folder}")
    assert (run.returncode, run.stderr) == (0, "")
    return folder / "out"


def test_a_clause_shows_what_a_measured_implementation_did(with_results: Path, html: Path) -> None:
    """Only where the run says something of it; the document itself shows what is committed."""
    text = (with_results / "states.html").read_text(encoding="utf-8")
    assert text.count(">Measured:<") == 2
    assert (f'a driver: <span class="verdict verdict-broken">broken</span> ({ABOUT})') in text
    assert f"a driver: {ABOUT}" in (with_results / "measured.html").read_text(encoding="utf-8")
    assert "xen-tpmfront of Linux" in (html / "states.html").read_text(encoding="utf-8")


def test_nothing_is_shown_as_measured_without_results(tmp_path: Path) -> None:
    """A document built where nothing was measured has no such line."""
    run = sphinx("html", tmp_path / "out", SPEC, "-D", f"vtpm_results={tmp_path}")
    assert (run.returncode, run.stderr) == (0, "")
    assert ">Measured:<" not in (tmp_path / "out" / "states.html").read_text(encoding="utf-8")


# The index in the browser

SHOWN = """[...document.querySelectorAll(".clause-index tbody tr")]
    .filter((row) => row.offsetParent).map((row) => row.cells[0].textContent.trim())"""


def ids(**wanted: str) -> list[str]:
    """Ids of the clauses that have these values."""
    return [
        clause.id
        for clause in CLAUSES.values()
        if wanted.get("level", clause.level) == clause.level
        and wanted.get("status", clause.status) == clause.status
        and (clause.role == "both" or wanted.get("role", clause.role) == clause.role)
    ]


def test_the_index_filters_by_level_role_and_status(html: Path) -> None:
    """Filters add up; a page without a clause loses its heading; the address keeps them."""
    trouble: list[str] = []
    home = f"{html.as_uri()}/"
    with chromium() as browser, tab(browser, home, trouble) as page:
        page.goto(f"{home}clauses.html")
        assert page.evaluate(SHOWN) == list(CLAUSES)
        page.get_by_label("role").select_option("frontend")
        assert page.evaluate(SHOWN) == ids(role="frontend")
        page.get_by_label("status").select_option("stated")
        page.get_by_label("level").select_option("SHOULD")
        left = ids(role="frontend", status="stated", level="SHOULD")
        assert left and page.evaluate(SHOWN) == left
        count = f"{len(left)} of {len(CLAUSES)} clauses"
        assert page.get_by_role("status").inner_text() == count
        assert page.locator(".clause-group:visible").count() == len({i.split(".")[0] for i in left})
        assert page.url.endswith("#level=SHOULD&role=frontend&status=stated")
        page.get_by_role("button", name="Show all").click()
        page.wait_for_function(f"{SHOWN}.length === {len(CLAUSES)}")
    assert trouble == []


def test_a_link_opens_the_index_with_its_filters(html: Path) -> None:
    """What is no value of the list is taken as any."""
    trouble: list[str] = []
    home = f"{html.as_uri()}/"
    with chromium() as browser, tab(browser, home, trouble) as page:
        page.goto(f"{home}clauses.html#status=corrects&role=nobody")
        assert page.evaluate(SHOWN) == ids(status="corrects")
    assert trouble == []


def test_the_index_filters_by_keyboard_alone(html: Path) -> None:
    trouble: list[str] = []
    home = f"{html.as_uri()}/"
    with chromium() as browser, tab(browser, home, trouble) as page:
        page.goto(f"{home}clauses.html")
        page.get_by_label("level").focus()
        page.keyboard.press("Tab")
        page.keyboard.type("backend")
        assert page.evaluate(SHOWN) == ids(role="backend")
    assert trouble == []


def test_the_index_filters_by_what_was_measured(with_results: Path) -> None:
    """Clauses of which no run says anything are found as "none"."""
    trouble: list[str] = []
    home = f"{with_results.as_uri()}/"
    with chromium() as browser, tab(browser, home, trouble) as page:
        page.goto(f"{home}clauses.html")
        page.get_by_label("measured").select_option("broken")
        assert page.evaluate(SHOWN) == ["states.cancel-when-busy"]
        page.get_by_label("measured").select_option("none")
        assert len(page.evaluate(SHOWN)) == len(CLAUSES) - 2
    assert trouble == []


def test_without_scripts_the_whole_index_shows(html: Path) -> None:
    home = f"{html.as_uri()}/"
    with chromium() as browser, tab(browser, home, [], scripts=False) as page:
        page.goto(f"{home}clauses.html")
        assert page.locator(".clause-index tbody tr:visible").count() == len(CLAUSES)
        assert page.locator("form.clause-filter").count() == 0


# The search

RESULTS = "#search-results ul.search a"


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("states.submit-when-free", "states.html#states.submit-when-free"),
        ("cancel.answered", "cancellation.html#cancel.answered"),
    ],
)
def test_the_search_finds_a_clause_by_its_id_first(html: Path, words: str, first: str) -> None:
    trouble: list[str] = []
    home = f"{html.as_uri()}/"
    with chromium() as browser, tab(browser, home, trouble) as page:
        page.goto(f"{home}index.html")
        page.get_by_role("textbox", name="Search").first.fill(words)
        page.keyboard.press("Enter")
        page.locator(RESULTS).first.wait_for()
        assert page.locator(RESULTS).first.get_attribute("href") == first
    assert trouble == []


def test_the_search_finds_another_spelling(html: Path) -> None:
    """The pages write time-out; whoever looks for timeout finds them."""
    assert "timeout" not in (SPEC / "cancellation.md").read_text(encoding="utf-8")
    trouble: list[str] = []
    home = f"{html.as_uri()}/"
    with chromium() as browser, tab(browser, home, trouble) as page:
        page.goto(f"{home}search.html?q=timeout")
        page.locator(RESULTS).first.wait_for()
        found = [link.get_attribute("href") for link in page.locator(RESULTS).all()]
        assert "cancellation.html" in found
    assert trouble == []


# Wide tables


def test_a_wide_table_scrolls_in_its_box_and_says_so(html: Path) -> None:
    """On a phone the keyboard reaches it and a hint shows; on a desk there is neither."""
    trouble: list[str] = []
    home = f"{html.as_uri()}/"
    hints = "[...document.querySelectorAll('.table-wrapper.scrolls')].map((box) => box.tabIndex)"
    with chromium() as browser:
        with tab(browser, home, trouble, PHONE) as page:
            page.goto(f"{home}states.html")
            page.wait_for_function(f"{hints}.length === 2")  # one table for each writer
            assert page.evaluate(hints) == [0, 0]
            content = "getComputedStyle(document.querySelector('.scrolls'), '::before').content"
            assert "scrolls sideways" in page.evaluate(content)
        with tab(browser, home, trouble) as page:
            page.goto(f"{home}exchange.html")
            assert page.evaluate(hints) == []
    assert trouble == []


def test_pages_with_results_look_right_too(with_results: Path) -> None:
    """Nothing is too wide, no script fails, no request leaves."""
    with served(with_results) as home:
        assert look_at(home, ["states", "clauses"]) == []
