# SPDX-License-Identifier: MIT
"""
What differs between HTML and every other builder.

A generated thing may offer two forms, one for screens and one for plain
text; ``chosen`` keeps the one that the builder can show.  In plain text,
tables get the widths that their cells need, within 80 columns.
"""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

#: Columns of a plain-text table, its borders included.
TEXT_COLUMNS = 78


class chosen(nodes.General, nodes.Element):
    """Two children: the form for HTML, and the form for every other builder."""


class ChooseForm(SphinxPostTransform):
    """
    Put the form for this builder in place of each ``chosen``.
    """

    default_priority = 5  # before cross-references (10) and furo's table boxes (500)

    def run(self, **kwargs: Any) -> None:
        for node in list(self.document.findall(chosen)):
            screen, plain = node.children
            node.replace_self(screen if self.app.builder.format == "html" else plain)


class FitTables(SphinxPostTransform):
    """
    Give tables without widths of their own those that their cells ask for.
    """

    default_priority = 20  # after cross-references have their text
    formats = ("text",)

    def run(self, **kwargs: Any) -> None:
        for table in self.document.findall(nodes.table):
            if "colwidths-given" not in table["classes"]:
                fit(table)


def fit(table: nodes.table) -> None:
    """
    Set the widths of ``table``: what the cells need, shrunk to fit in proportion.
    """
    specs = list(table.findall(nodes.colspec))
    wanted, least = [1] * len(specs), [1] * len(specs)
    for row in table.findall(nodes.row):
        for column, entry in enumerate(row.children):
            for text in _texts(entry):
                words = [len(word) for word in re.split(r"\s+", text)]
                wanted[column] = max(wanted[column], len(text))
                least[column] = max(least[column], *words)
    room = TEXT_COLUMNS - 3 * len(specs) - 1
    spare = max(0, room - sum(least))
    asked = sum(wanted) - sum(least)
    for spec, most, need in zip(specs, wanted, least, strict=True):
        share = (most - need) * spare // asked if asked > spare else most - need
        spec["colwidth"] = need + share


def _texts(entry: nodes.Node) -> list[str]:
    """
    The paragraphs of a cell, with the quotes that plain text puts around literals.
    """
    out = []
    for paragraph in entry.findall(nodes.paragraph):
        quotes = 2 * len(list(paragraph.findall(nodes.literal)))
        out.append(paragraph.astext().replace("\n", " ") + "'" * quotes)
    return out


def setup(app: Sphinx) -> None:
    """Called by the package's ``setup``."""
    app.add_node(chosen)
    app.add_post_transform(ChooseForm)
    app.add_post_transform(FitTables)
