# SPDX-License-Identifier: MIT
"""
The built document: every example is run by both runners, and what the model says is shown.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.myst import DocTestDirectiveParser

from tests.browser import look_at, served
from tests.docs_support import ROOT, SPEC, copy_of_pages, sphinx, spoil

PAGES = ["index", "introduction", "shared-page", "states", "exchange", "packets", "connecting"]
PAGES += ["cancellation", "locality", "adapter", "clauses"]
PAGES += ["checklist-frontend", "checklist-backend"]
PAGES += ["nodes", "closing", "several", "robustness", "time", "ordering", "long-packets"]
PAGES += ["history", "extra-pages", "implementations", "evidence", "explorer"]
PAGES += ["howto-backend", "howto-xen", "howto-adapter", "howto-failure", "verdicts"]

#: Examples on each page that has any; change it with the pages.
EXAMPLES = {
    "cancellation": 7,
    "closing": 5,
    "connecting": 4,
    "exchange": 5,
    "extra-pages": 4,
    "introduction": 7,
    "locality": 5,
    "long-packets": 11,
    "nodes": 5,
    "ordering": 5,
    "packets": 8,
    "robustness": 8,
    "several": 10,
    "shared-page": 10,
    "states": 5,
    "time": 4,
}

#: Forms that one of the two runners does not see, or reports at a wrong line.
BANNED = re.compile(r":::|\{testcode\}|\{testoutput\}|\{testsetup\}|\{eval-rst\}|:options:")


def page_text(name: str) -> str:
    return (SPEC / f"{name}.md").read_text(encoding="utf-8")


# Examples


def test_pages_hold_the_examples_that_are_counted_here() -> None:
    counted = {page.stem: page.read_text().count("\n>>> ") for page in SPEC.glob("*.md")}
    assert {page: count for page, count in counted.items() if count} == EXAMPLES


def test_pytest_sees_every_example() -> None:
    sybil = Sybil([DocTestDirectiveParser()], patterns=["*.md"])
    seen = {name: len(list(sybil.parse(SPEC / f"{name}.md").examples())) for name in EXAMPLES}
    assert seen == EXAMPLES


def test_sphinx_runs_every_example(tmp_path: Path) -> None:
    run = sphinx("doctest", tmp_path)
    report = (tmp_path / "output.txt").read_text(encoding="utf-8")
    assert run.returncode == 0, report
    ran = re.findall(r"^Document: (\S+)\n-+\n.*\n +(\d+) tests in default$", report, re.MULTILINE)
    assert {page: int(count) for page, count in ran} == EXAMPLES


@pytest.mark.parametrize("name", PAGES)
def test_no_page_uses_a_form_that_one_runner_misses(name: str) -> None:
    assert BANNED.findall(page_text(name)) == []


@pytest.mark.parametrize("form", [":::{doctest}", "```{testcode}", "```{eval-rst}"])
def test_the_ban_finds_each_form(form: str) -> None:
    assert BANNED.search(f"text\n{form}\n")


WRONG = "```{doctest}\n>>> 1 + 1\n2\n>>> 1 + 2\n4\n```\n"


def test_sphinx_reports_a_failing_example_at_its_line(tmp_path: Path) -> None:
    pages = copy_of_pages(tmp_path)
    line = spoil(pages / "adapter.md", WRONG)
    run = sphinx("doctest", tmp_path / "out", pages)
    assert run.returncode == 1, run.stderr
    report = (tmp_path / "out" / "output.txt").read_text(encoding="utf-8")
    assert re.findall(r'adapter\.md", line (\d+), in default', report) == [str(line + 3)]


def test_pytest_reports_a_failing_example_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "spec").mkdir()
    (tmp_path / "spec" / "wrong.md").write_text(f"# T\n\n{WRONG}", encoding="utf-8")
    shutil.copy(ROOT / "conftest.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=."]
    run = subprocess.run(
        [*command, "-c", "/dev/null", "-o", f"pythonpath={ROOT}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert "1 failed, 1 passed" in run.stdout
    assert "wrong.md:6: SybilFailure" in run.stdout


# Plain text

LAYOUT = """
                 byte 0          byte 1          byte 2          byte 3
            +---------------+---------------+---------------+---------------+
          0 |                            length                             |
            +---------------+---------------+---------------+---------------+
          4 |     state     |   locality    |      pad      |nr_extra_pages |
            +---------------+---------------+---------------+---------------+
          8 |      extra_pages: n grant references, n = nr_extra_pages      |
            :                                                               :
            +---------------+---------------+---------------+---------------+
    8 + 4\u00b7n |                  packet: request or response                  |
            :                                                               :
            +---------------+---------------+---------------+---------------+
       4096
"""

CLAUSE = """
states.backend-writes

   MUST NOT \u00b7 backend \u00b7 practice

   The backend MUST NOT write any value but IDLE and FINISH to
   "state".

   Source: tpmif.h, comment on "enum tpmif_state", which says "should
   only"; practice of mini-os tpmback

   Checked by:

   * "states.backend-writes/"""


def test_plain_text_draws_the_page_as_rfcs_do(plain: Path) -> None:
    assert LAYOUT in (plain / "shared-page.txt").read_text(encoding="utf-8")


def test_plain_text_shows_a_clause_as_a_definition(plain: Path) -> None:
    assert CLAUSE in (plain / "states.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_plain_text_has_80_columns_but_for_code(plain: Path, name: str) -> None:
    source = {line.strip() for line in page_text(name).splitlines()}
    lines = (plain / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 80 and line.strip() not in source] == []


@pytest.mark.parametrize(
    ("page", "row"),
    [
        ("packets", " TPM 1.2 | 0x00C1, 0x00C2, 0x00C3 | 0x00C4, 0x00C5, 0x00C6 | 0x00C4  "),
        ("packets", " TPM 2.0 | 0x8001, 0x8002         | 0x00C4, 0x8001, 0x8002 | 0x8001  "),
        ("states", "| SUBMIT | FINISH | legal   | states.submit-when-free | the next request, no"),
        ("states", "| CANCEL | FINISH | race    | states.cancel-when-busy | crossed a FINISH "),
        ("states", "| FINISH | CANCEL | legal   | states.backend-writes "),
        ("long-packets", "| 255 | 1028            | 3068                   | 1047548 "),
        ("nodes", '| "uuid"                | backend  | toolstack  | backend   | which TPM it '),
        ("connecting", "3. backend, after frontend Initialised or Connected: checks the\n"),
        ("clauses", '"states.backend-writes"\n   MUST NOT \u00b7 backend \u00b7 practice\n'),
    ],
)
def test_plain_text_shows_what_the_model_says(plain: Path, page: str, row: str) -> None:
    assert row in (plain / f"{page}.txt").read_text(encoding="utf-8")


def test_all_32_cells_are_shown(plain: Path) -> None:
    text = (plain / "states.txt").read_text(encoding="utf-8")
    kinds = re.findall(r"^\| (?:IDLE|SUBMIT|FINISH|CANCEL) .* (legal|race|illegal) +\|", text, re.M)
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "legal": 8,
        "race": 2,
        "illegal": 22,
    }


# HTML


def test_the_anchor_of_a_clause_is_its_id(html: Path) -> None:
    text = (html / "states.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<dt class="[^"]*clause-id[^"]*" id="states\.[a-z-]+">', text)) == 9
    assert 'href="#states.backend-writes" title="Link to this' in text


def test_references_lead_to_the_anchor(html: Path) -> None:
    text = (html / "introduction.html").read_text(encoding="utf-8")
    assert 'href="states.html#states.backend-writes"' in text


def test_the_picture_is_told_to_those_who_do_not_see_it(html: Path) -> None:
    text = (html / "shared-page.html").read_text(encoding="utf-8")
    assert 'role="img"' in text
    assert 'aria-labelledby="page-layout-title page-layout-words"' in text
    assert ">Layout of the shared page</title>" in text
    assert ">bytes 0 to 3, length; byte 4, state; byte 5, locality; byte 6, pad; byte 7, " in text
    assert re.search(r"<svg[^>]*>.*#[0-9a-f]{3,6}.*</svg>", text) is None, "a colour of its own"
    drawn = "\n".join(line[3:] for line in LAYOUT.strip("\n").splitlines())
    assert f"<pre>{drawn}</pre>" in text


def test_clauses_json_stands_beside_the_html(html: Path) -> None:
    listed = json.loads((html / "clauses.json").read_text(encoding="utf-8"))
    assert len(listed) == 122
    found = next(clause for clause in listed if clause["id"] == "states.backend-writes")
    cases = found.pop("cases")
    assert cases and all(case.startswith("states.backend-writes/") for case in cases)
    assert found == {
        "id": "states.backend-writes",
        "page": "states",
        "anchor": "states.html#states.backend-writes",
        "text": "The backend MUST NOT write any value but IDLE and FINISH to `state`.",
        "level": "MUST NOT",
        "role": "backend",
        "status": "practice",
        "source": 'tpmif.h, comment on `enum tpmif_state`, which says "should only";'
        " practice of mini-os tpmback",
        "checksum": "fed7910b450b",
    }


def test_a_browser_shows_every_page_from_files_without_the_network(html: Path) -> None:
    assert look_at(f"{html.as_uri()}/", PAGES) == []


def test_a_browser_shows_every_page_from_a_server_without_another(html: Path) -> None:
    with served(html) as home:
        assert look_at(home, PAGES) == []


def test_the_browser_notices_a_page_that_reaches_out_is_too_wide_or_fails(tmp_path: Path) -> None:
    body = (
        '<img src="http://192.0.2.1/far.png"><div style="width: 500px">wide</div>'
        '<div class="picture-box" style="width: 100px; overflow: auto">'
        '<div style="width: 200px">picture</div></div>'
        "<script>console.error('said'); throw new Error('thrown');</script>"
    )
    (tmp_path / "bad.html").write_text(f"<!doctype html>{body}", encoding="utf-8")
    (tmp_path / "good.html").write_text("<!doctype html>fine", encoding="utf-8")
    home = f"{tmp_path.as_uri()}/"
    assert look_at(home, ["good"]) == []
    found = look_at(home, ["bad"])
    assert "request to http://192.0.2.1/far.png" in found
    assert "console: said" in found
    assert "error: thrown" in found
    assert "bad has a picture too wide for 390, dark" in found
    assert [line for line in found if "wide on" in line] == [
        "bad is 508 wide on 390, light",
        "bad is 508 wide on 390, dark",
    ]
