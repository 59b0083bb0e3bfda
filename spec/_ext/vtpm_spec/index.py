# SPDX-License-Identifier: MIT
"""
The directive ``clause-index``: every clause, and how it is judged.

In a browser ``clause-index.js`` puts filters over it: one for each column
that has cells with the class ``value``.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

from conformance.clauses import Clause

from . import checks, measured
from .builders import chosen
from .clause import SEPARATOR, ClauseDomain, literal, reference
from .tables import Cell, table


class clause_index(nodes.General, nodes.Element):
    """Stands for the index until all pages are read."""


class ClauseIndexDirective(SphinxDirective):
    """
    Leave a place for the index; this page is read again in every build.
    """

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        return [clause_index()]


class FillIndex(SphinxPostTransform):
    """
    Put the index in its place.
    """

    default_priority = 4  # before the form is chosen (5) and references resolved (10)

    def run(self, **kwargs: Any) -> None:
        for place in list(self.document.findall(clause_index)):
            domain = self.env.domains[ClauseDomain.name]
            assert isinstance(domain, ClauseDomain)
            known = [clause for name, clause in domain.read.items() if name in domain.clauses]
            results = measured.folder(self.config)
            place.replace_self([chosen("", _screen(known, results), _plain(known))])


def by_page(clauses: list[Clause]) -> Iterator[tuple[nodes.rubric, list[Clause]]]:
    """
    Yield a heading that links to a page, and the clauses of that page.
    """
    for page, group in groupby(clauses, key=lambda clause: clause.page):
        link = addnodes.pending_xref(
            "",
            nodes.inline("", page),
            refdomain="std",
            reftype="doc",
            reftarget=f"/{page}",
            refexplicit=False,
            refwarn=True,
        )
        heading = nodes.rubric("", "", link, classes=["page-heading"])
        heading["heading-level"] = 2  # for those who go from heading to heading
        yield heading, list(group)


def _screen(clauses: list[Clause], results: Path) -> nodes.container:
    headers = ["clause", "level", "role", "status", "judged by"]
    if measured.runs(results):
        headers.insert(4, "measured")
    out = nodes.container(classes=["clause-index"])
    for heading, group in by_page(clauses):
        rows = [_row(clause, results) for clause in group]
        part = nodes.container(classes=["clause-group"])
        part += [heading, table(headers, rows, "clause-table")]
        out += part
    return out


def _row(clause: Clause, results: Path) -> list[Cell]:
    cells: list[Cell] = [
        reference(clause.id),
        _value(clause.level),
        _roles(clause),
        _value(clause.status),
        _judged(clause),
    ]
    if measured.runs(results):
        told: list[nodes.Node] = []
        for run, verdict in measured.results_of(clause.id, results):
            told += [nodes.Text(f"{'; ' if told else ''}{run.target}: "), _value(verdict)]
        cells.insert(4, told)
    return cells


def _value(text: str) -> nodes.inline:
    """Something to filter by."""
    return nodes.inline("", text, classes=["value"])


def _roles(clause: Clause) -> list[nodes.Node]:
    if clause.role != "both":
        return [_value(clause.role)]
    return [_value("frontend"), nodes.Text(", "), _value("backend")]


def _plain(clauses: list[Clause]) -> nodes.container:
    out = nodes.container()
    for heading, group in by_page(clauses):
        listed = nodes.definition_list()
        for clause in group:
            badges = SEPARATOR.join((clause.level, clause.role, clause.status))
            listed += nodes.definition_list_item(
                "",
                nodes.term("", "", reference(clause.id)),
                nodes.definition(
                    "",
                    nodes.paragraph("", badges),
                    nodes.paragraph("", "", *_judged(clause)),
                ),
            )
        out += [heading, listed]
    return out


def _judged(clause: Clause) -> list[nodes.Node]:
    """
    What judges the clause: its rule and the cases for it, or the missing evidence.
    """
    out: list[nodes.Node] = []
    if rule := checks.rule_of(clause.id):
        out += [nodes.Text("rule "), literal(rule)]
    names = checks.cases_of(clause.id)
    if names:
        out.append(nodes.Text("; cases " if out else "cases "))
    for name in names:
        out += [literal(name.removeprefix(clause.id)), nodes.Text(", ")]
    if names:
        out.pop()
    if clause.unobservable:
        lead = "; not observable from outside, shown by: "
        out.append(nodes.Text((lead if out else lead[2:]) + clause.unobservable))
    return out or [nodes.Text("nothing")]


def setup(app: Sphinx) -> None:
    """Called by the package's ``setup``."""
    app.add_js_file("clause-index.js", loading_method="defer")
    app.add_node(clause_index)
    app.add_directive("clause-index", ClauseIndexDirective)
    app.add_post_transform(FillIndex)
