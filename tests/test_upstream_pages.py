# SPDX-License-Identifier: MIT
"""
From the pages to pandoc's tree: what goes out, what stays here, and that nothing falls between.
"""

from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree

from tests.docs_support import copy_of_pages, need, pandoc_tree, spoil
from upstream import UpstreamError, document
from upstream.blocks import UnknownNode
from upstream.extract import keep_here, leave_empty_sections, leave_examples

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
    need("pandoc", "pandoc")
    spec = copy_of_pages(tmp_path)
    spoil(spec / "packets.md", PROPOSED)
    text = document.convert(document.pages(tmp_path / "out", spec), "pandoc")
    assert [
        word for word in ("feature-later", "later.node", "Ideas", "think") if word in text
    ] == []
    assert "#### later.kept\n\nThe backend MAY wait.\n" in text
    assert set(document.clauses(spec)) - set(document.clauses()) == {"later.kept"}


def test_a_clause_that_is_kept_here_is_missed(tmp_path: Path) -> None:
    """Marking a clause ``% here only`` does not let it vanish unseen."""
    need("pandoc", "pandoc")
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
    need("pandoc", "pandoc")
    made = document.convert(pandoc_tree(EVERYTHING), "pandoc")
    assert made.partition("-->\n")[2] == EVERYTHING_IN_PANDOC


def test_a_man_page_shows_a_line_that_begins_with_a_dot() -> None:
    """It is text of a picture, and no request to troff."""
    need("pandoc", "pandoc")
    made = document.convert(pandoc_tree("::\n\n   .six\n   'teen \\\\ -\n"), "man")
    assert ".nf\n\\&.six\n\\&'teen \\e\\e \\-\n.fi\n" in made


@pytest.mark.parametrize("block", [".. image:: x.png", "a [1]_\n\n.. [1] note", "| a\n| b"])
def test_what_has_no_counterpart_is_refused(block: str) -> None:
    """Nothing vanishes because nobody thought of it."""
    with pytest.raises(UnknownNode, match=r"upstream/blocks\.py has no counterpart of"):
        pandoc_tree(block)


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
