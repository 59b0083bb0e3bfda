# SPDX-License-Identifier: MIT
"""
What goes to Xen: every format holds all of the pages, and the series keeps that project's rules.
"""

import re
import subprocess
from collections import Counter
from io import StringIO
from pathlib import Path

import pytest
from docutils.core import publish_doctree

from conformance.clauses import Clause, load
from tests.docs_support import need, pandoc_tree
from upstream import UpstreamError, document, requirements
from upstream.ascii import ASCII
from upstream.blocks import Element, elements
from upstream.document import FORMATS

FORMAT = pytest.mark.parametrize("name", list(FORMATS))

#: Words of this tree that mean nothing in Xen's.
OURS = re.compile(
    r"\bjudged?\b|vtpm_ref|vtpm-conformance|\bmake (?:test|html|conformance)\b|>>>"
    r"|\bthis tree\b|\breference (?:machine|backend|frontend|model)|\bPython\b|\bdoctest",
    re.I,
)


@pytest.fixture(scope="session")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> list[Element]:
    """The pages as Sphinx leaves them to pandoc."""
    return document.pages(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="session")
def texts(blocks: list[Element]) -> dict[str, str]:
    """The document in each format."""
    need("pandoc", "pandoc")
    return {name: document.convert(blocks, name) for name in FORMATS}


def going_out() -> list[Clause]:
    return [clause for clause in load().values() if clause.status != "proposed"]


def bare(text: str) -> str:
    """``text`` without what the sources of Markdown and man pages add to it."""
    # Fonts and characters of a man page, targets of links, and escapes of either.
    text = re.sub(r"\\f\[\w*\]|\]\(#[^)]*\)|\{#[^}]*\}", "", text)
    return re.sub(r"\\(?=[^\w\s])", "", re.sub(r"\\\[\w+\]", "'", text))


def words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z0-9]+", bare(text))


def said(blocks: list[Element]) -> str:
    """All text of the tree, in no order."""
    parts = [one["c"] for one in elements(blocks, "Str")]
    parts += [one["c"][1] for kind in ("Code", "CodeBlock") for one in elements(blocks, kind)]
    return " ".join(parts)


# The document


@FORMAT
def test_each_clause_is_there_once_and_in_order(texts: dict[str, str], name: str) -> None:
    """The ids in a format are those of the pages, without the proposed ones."""
    wanted = [clause.id for clause in going_out()]
    assert document.headings(texts[name], name) == wanted
    document.complete(texts[name], name, wanted)


@FORMAT
def test_each_sentence_stands_below_its_id(texts: dict[str, str], name: str) -> None:
    """Below an id come the clause's own words, then its status, then its source."""
    parts = FORMATS[name].heading.split(texts[name])
    below = dict(zip(map(bare, parts[1::2]), parts[2::2], strict=True))
    for clause in going_out():
        told = f"{clause.text} Source ({clause.status}): {clause.source}"
        wanted = words(told.replace("{clause}", "").translate(ASCII))
        found = words(below[clause.id])
        # A man page marks where a paragraph begins.
        found = [word for word in found if word not in {"PP", "SS", "SH"}]
        assert found[: len(wanted)] == wanted, clause.id


@FORMAT
def test_no_word_is_lost(blocks: list[Element], texts: dict[str, str], name: str) -> None:
    """Every word of the tree is in the format, as often and in one piece: in tables too."""
    assert Counter(words(said(blocks))) - Counter(words(texts[name])) == Counter()


@FORMAT
def test_pictures_are_intact(blocks: list[Element], texts: dict[str, str], name: str) -> None:
    """What is drawn on the pages is in the format line by line."""
    pictures = [one["c"][1] for one in elements(blocks, "CodeBlock")]
    assert any("nr_extra_pages |" in picture for picture in pictures)
    text = re.sub(r"^\\&", "", texts[name].replace("\\-", "-").replace("\\e", "\\"), flags=re.M)
    lines = "\n".join(line.strip() for line in text.splitlines())
    for picture in pictures:
        assert "\n".join(line.strip() for line in picture.splitlines()) in lines


@pytest.mark.parametrize("name", ["pandoc", "plain", "rst"])
def test_no_line_is_longer_than_79(texts: dict[str, str], name: str) -> None:
    """Text fits a terminal of 80 columns, and no line ends in blanks."""
    lines = texts[name].splitlines()
    assert [line for line in lines if len(line) > 79 or line != line.rstrip()] == []


@FORMAT
def test_the_licence_comes_first(texts: dict[str, str], name: str) -> None:
    """Xen wants an SPDX line at the start of a new file."""
    top = "\n".join(texts[name].splitlines()[:2])
    assert "SPDX-License-Identifier: CC-BY-4.0" in top


@FORMAT
def test_all_is_ascii(texts: dict[str, str], name: str) -> None:
    """A character that no terminal may lack; ``upstream.ascii`` lists the others."""
    assert sorted({char for char in texts[name] if not char.isascii()}) == []


@FORMAT
def test_nothing_speaks_of_this_tree(texts: dict[str, str], name: str) -> None:
    """What only means something here is marked ``% here only`` on its page."""
    found = {line for line in texts[name].splitlines() if OURS.search(line)}
    assert found == set(), "write '% here only: why' above the block on its page"


def test_every_link_leads_to_a_heading(texts: dict[str, str]) -> None:
    """A reference to a page, a section or a clause finds it in the one document."""
    command = ["pandoc", "-f", "markdown", "-t", "html"]
    html = subprocess.run(command, input=texts["pandoc"], capture_output=True, text=True).stdout
    links = set(re.findall(r'href="#([^"]*)"', html))
    assert links and links - set(re.findall(r'id="([^"]*)"', html)) == set()


def warnings(rest: str) -> str:
    """What docutils has to say of a text."""
    told = StringIO()
    publish_doctree(rest, settings_overrides={"warning_stream": told, "halt_level": 5})
    return told.getvalue()


def test_docutils_reads_the_text_without_a_word(texts: dict[str, str]) -> None:
    """reStructuredText that Sphinx would warn of is none; links name a heading."""
    assert warnings(texts["rst"]) == ""
    dangling = texts["rst"].replace("`states.backend-writes`_", "`none`_")
    assert 'Unknown target name: "none"' in warnings(dangling)


def test_the_man_page_reads_well(texts: dict[str, str], tmp_path: Path) -> None:
    """man shows it in 80 columns, without a warning, with every id in one piece."""
    need("man", "man-db")
    page = tmp_path / "vtpm-protocol.7"
    # One page of any length, as on a screen; a table needs to be told so as well, or it
    # warns of a cell that happens to stand where a page of paper would end.
    page.write_text(f".pl 9999v\n{texts['man']}", encoding="utf-8")
    env = {"LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFOPT": "-rcR=1"}
    command = ["man", "--warnings", "-l", str(page)]
    run = subprocess.run(command, env=env, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert [line for line in run.stdout.splitlines() if len(line) > 80] == []
    ids = [clause.id for clause in going_out()]
    assert set(ids) <= set(run.stdout.split())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("#### a.one\n", "missing: a.two"),
        ("#### a.one\n#### a.two\n#### a.six\n", "too much: a.six"),
        ("#### a.one\n#### a.two\n#### a.one\n", "twice: a.one"),
        ("#### a.two\n#### a.one\n", "another order"),
    ],
)
def test_a_format_that_is_not_complete_is_refused(text: str, told: str) -> None:
    """A clause that lacks, is too much, stands twice or elsewhere is named."""
    with pytest.raises(UpstreamError, match=f"vtpm-protocol.pandoc: {re.escape(told)}$"):
        document.complete(text, "pandoc", ["a.one", "a.two"])


@FORMAT
@pytest.mark.parametrize("columns", [2, 3, 5])
def test_a_wide_table_breaks_between_words_only(name: str, columns: int) -> None:
    """Cells wrap, ids in them do not, and the table stays within 79 columns."""
    need("pandoc", "pandoc")
    cells = [f"a.b-{n} and {'more ' * (60 // columns)}words" for n in range(columns)]
    row = "   * - " + "\n     - ".join(cells) + "\n"
    made = document.convert(pandoc_tree(f".. list-table::\n   :header-rows: 1\n\n{row * 3}"), name)
    if name != "man":
        assert max(map(len, made.splitlines())) <= 79
    for cell in cells:
        assert made.replace("\\-", "-").count(cell.split()[0]) == 3


def test_without_pandoc_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lacks pandoc is told how to get it."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UpstreamError, match=r"^not run: apt-get install pandoc$"):
        document.convert([], "plain")


# The requirements

#: Written from OpenFastTrace's user guide: type, name, revision.
TAG = re.compile(r"^`(vtpm~[A-Za-z][\w-]*(?:\.[\w-]+)*~[1-9]\d*)`$", re.M)


def test_each_clause_has_a_tag_of_its_own() -> None:
    """One tag a clause, in their order, and the clause's words below it."""
    text = requirements.write(going_out())
    assert TAG.findall(text) == [f"vtpm~{clause.id}~1" for clause in going_out()]
    assert [line for line in text.splitlines() if len(line) > 80] == []
    descriptions = re.findall(r"^Description:\n(.*?)\n\n", text, re.M | re.S)
    told = [clause.text.replace("{clause}", "").translate(ASCII) for clause in going_out()]
    assert [words(one) for one in descriptions] == [words(one) for one in told]


def test_docutils_reads_the_requirements_without_a_word() -> None:
    """They are reStructuredText too."""
    assert warnings(requirements.write(going_out())) == ""
