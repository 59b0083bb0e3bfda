# SPDX-License-Identifier: MIT
"""
What goes to Xen: every format holds all of the pages, and the series keeps that project's rules.
"""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree

from conformance.clauses import Clause, load
from tests.docs_support import copy_of_pages, spoil
from upstream import UpstreamError, document, requirements
from upstream.ascii import ASCII
from upstream.blocks import Element, UnknownNode, Writer, elements
from upstream.document import FORMATS
from upstream.extract import keep_here, leave_empty_sections, leave_examples

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
    if not shutil.which("pandoc"):
        pytest.skip("not run: apt-get install pandoc")
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


@pytest.mark.parametrize("name", ["rst", "requirements"])
def test_docutils_reads_the_text_without_a_word(texts: dict[str, str], name: str) -> None:
    """reStructuredText that Sphinx would warn of is none; links name a heading."""
    text = texts.get(name) or requirements.write(going_out())
    settings = {"report_level": 2, "warning_stream": "", "halt_level": 5}
    tree = publish_doctree(text, settings_overrides=settings)
    assert [node.astext() for node in tree.findall(nodes.system_message)] == []


def test_the_man_page_reads_well(texts: dict[str, str], tmp_path: Path) -> None:
    """man shows it in 80 columns, without a warning, with every id in one piece."""
    if not shutil.which("man"):
        pytest.skip("not run: apt-get install man-db")
    page = tmp_path / "vtpm-protocol.7"
    page.write_text(texts["man"], encoding="utf-8")
    # One page of any length, as on a screen.
    env = {"LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFOPT": "-rcR=1"}
    command = ["man", "--warnings", "-l", str(page)]
    run = subprocess.run(command, env=env, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert [line for line in run.stdout.splitlines() if len(line) > 80] == []
    ids = [clause.id for clause in going_out()]
    assert set(ids) <= set(run.stdout.split())


KEPT_HERE = """
.. here only: all of it

First
-----

text

Second
------

.. here only: a paragraph

this goes

this stays

.. here only: a section

Third
~~~~~

this goes

Fourth
~~~~~~

this goes:

>>> 1 + 1
2

.. another comment

.. here only: and nothing comes
"""


def test_here_only_keeps_the_next_block() -> None:
    """A paragraph, a section, and nothing where nothing follows; a sentence ends in itself."""
    page = publish_doctree(KEPT_HERE, settings_overrides={"doctitle_xform": False})
    keep_here(page)
    leave_examples(page)
    titles = [title.astext() for title in page.findall(nodes.title)]
    assert titles == ["Second", "Fourth"]
    assert [one.astext() for one in page.findall(nodes.paragraph)] == ["this stays", "this goes."]
    assert list(page.findall(nodes.comment)) == []


def test_a_heading_without_text_goes() -> None:
    """Innermost first, so that what holds only such headings goes too."""
    page = publish_doctree("a\n\nA\n=\n\nB\n-\n\nC\n=\n\ntext\n")
    leave_empty_sections(page)
    assert [title.astext() for title in page.findall(nodes.title)] == ["C"]


PROPOSED = """```{clause} later.node
:status: proposed
:source: this document
:unobservable: a backend that has it

The backend MAY write `feature-later`.
```

Nobody needs feature-later yet.

```{clause} later.again
:status: proposed
:source: this document
:unobservable: a backend that has it

The backend MAY write `feature-later` again.
```

```{clause} later.kept
:status: stated
:source: tpmif.h
:unobservable: nothing

The backend MAY wait.
```

## Ideas

Something about feature-later.

```{clause} later.idea
:status: proposed
:source: this document
:unobservable: a backend that has it

The backend MAY think.
```
"""


def test_proposed_clauses_stay_here(tmp_path: Path) -> None:
    """
    A proposed clause goes with what is said below it, a section of them as a whole; others stay.
    """
    spec = copy_of_pages(tmp_path)
    spoil(spec / "packets.md", PROPOSED)
    text = document.convert(document.pages(tmp_path / "out", spec), "pandoc")
    assert [
        word for word in ("feature-later", "later.node", "Ideas", "think") if word in text
    ] == []
    assert "#### later.kept\n\nThe backend MAY wait.\n" in text
    assert set(document.clauses(spec)) - set(document.clauses()) == {"later.kept"}


def test_a_clause_that_is_kept_here_is_missed(tmp_path: Path, texts: dict[str, str]) -> None:
    """Marking a clause ``% here only`` does not let it vanish unseen."""
    spec = copy_of_pages(tmp_path)
    page = spec / "packets.md"
    text = page.read_text(encoding="utf-8")
    marked = text.replace(
        "```{clause} packet.response-tag",
        "% here only: for a test\n\n```{clause} packet.response-tag",
    )
    page.write_text(marked, encoding="utf-8")
    made = document.convert(document.pages(tmp_path / "out", spec), "pandoc")
    with pytest.raises(UpstreamError, match=r"missing: packet\.response-tag$"):
        document.complete(made, "pandoc", document.clauses(spec))


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


def tree_of(rest: str) -> list[Element]:
    """What becomes of a page, written in reStructuredText for once."""
    page = publish_doctree(rest)
    for told in list(page.findall(nodes.system_message)):  # that the list begins at 8
        told.parent.remove(told)
    return Writer("page", 2).blocks(page)


@FORMAT
@pytest.mark.parametrize("columns", [2, 3, 5])
def test_a_wide_table_breaks_between_words_only(name: str, columns: int) -> None:
    """Cells wrap, ids in them do not, and the table stays within 79 columns."""
    if not shutil.which("pandoc"):
        pytest.skip("not run: apt-get install pandoc")
    cells = [f"a.b-{n} and {'more ' * (60 // columns)}words" for n in range(columns)]
    row = "   * - " + "\n     - ".join(cells) + "\n"
    made = document.convert(tree_of(f".. list-table::\n   :header-rows: 1\n\n{row * 3}"), name)
    if name != "man":
        assert max(map(len, made.splitlines())) <= 79
    for cell in cells:
        assert made.replace("\\-", "-").count(cell.split()[0]) == 3


def test_without_pandoc_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lacks pandoc is told how to get it."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UpstreamError, match=r"^not run: apt-get install pandoc$"):
        document.convert([], "plain")


# The tree

EVERYTHING = """
*one* **two** ``th ree`` -- four

.. note::

   five \u2192 5

* six

  * seven

8. eight
9. nine

ele ven
   twelve

========  ========
thir      teen
========  ========
``a|b``   four

          teen
========  ========

   fifteen

::

   .six
     teen
"""

EVERYTHING_IN_PANDOC = """
*one* **two** `th ree` -- four

**Note.** five -\\> 5

-   six
    -   seven

8.  eight
9.  nine

ele ven
:   twelve

+-------+------+
| thir  | teen |
+=======+======+
| `a|b` | four |
|       |      |
|       | teen |
+-------+------+

> fifteen

    .six
      teen
"""


def test_every_kind_of_block_has_its_counterpart() -> None:
    """Lists nest and keep their numbers, cells hold paragraphs and signs of Markdown."""
    if not shutil.which("pandoc"):
        pytest.skip("not run: apt-get install pandoc")
    made = document.convert(tree_of(EVERYTHING), "pandoc")
    assert made.partition("-->\n")[2] == EVERYTHING_IN_PANDOC


def test_a_man_page_shows_a_line_that_begins_with_a_dot() -> None:
    """It is text of a picture, and no request to troff."""
    if not shutil.which("pandoc"):
        pytest.skip("not run: apt-get install pandoc")
    made = document.convert(tree_of("::\n\n   .six\n   'teen \\\\ -\n"), "man")
    assert ".nf\n\\&.six\n\\&'teen \\e\\e \\-\n.fi\n" in made


@pytest.mark.parametrize("block", [".. image:: x.png", "a [1]_\n\n.. [1] note", "| a\n| b"])
def test_what_has_no_counterpart_is_refused(block: str) -> None:
    """Nothing vanishes because nobody thought of it."""
    with pytest.raises(UnknownNode, match=r"upstream/blocks\.py has no counterpart of"):
        tree_of(block)


def test_a_page_is_told_where_it_cannot_go_out(tmp_path: Path) -> None:
    """What has no counterpart, and a reference to what stays here, fail with page and reason."""
    spec = copy_of_pages(tmp_path)
    line = spoil(spec / "locality.md", "A note.[^1]\n\n[^1]: Here.")
    spoil(spec / "packets.md", "See {doc}`adapter`.")
    with pytest.raises(UpstreamError) as told:
        document.pages(tmp_path / "out", spec)
    assert f"locality.md:{line}: WARNING: upstream/blocks.py has no counterpart of" in str(
        told.value
    )
    assert "refers to adapter, which stays here; keep the reference behind '% here only'" in str(
        told.value
    )


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
