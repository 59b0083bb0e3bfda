# SPDX-License-Identifier: MIT
"""
The directive ``results-matrix``: clauses by implementations, as they were measured.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from conformance import clauses

from . import measured
from .clause import reference
from .tables import Cell, table

#: What stands in a cell for each verdict; a clause of the other role has none.
MARKS = {
    "kept": "kept",
    "broken": "broken",
    "inconclusive": "?",
    "not exercised": "\u2013",
    "not observable": "\u00b7",
    "not applicable": "n/a",
}


def matrix(runs: tuple[measured.Run, ...]) -> list[nodes.Node]:
    """The runs, numbered, and one row for each clause that some run speaks of."""
    if not runs:
        return [nodes.paragraph("", "Nothing has been measured yet.")]
    legend = nodes.enumerated_list(enumtype="arabic", prefix="", suffix=".")
    for run in runs:
        about = f"{run.target}: {run.about}"
        legend += nodes.list_item("", nodes.paragraph("", about))
    rows: list[list[Cell]] = []
    for clause in clauses.load().values():
        verdicts = [run.verdicts.get(clause.id, "") for run in runs]
        if any(verdicts):
            cells: list[Cell] = [MARKS.get(verdict, "") for verdict in verdicts]
            rows.append([reference(clause.id), clause.level, *cells])
    numbers = [str(number) for number in range(1, len(runs) + 1)]
    return [legend, table(("clause", "level", *numbers), rows, "results-matrix")]


class MatrixDirective(SphinxDirective):
    """All result files beside the judge."""

    def run(self) -> list[nodes.Node]:
        home = measured.folder(self.config)
        for path in measured.files(home):
            self.env.note_dependency(str(path))
        return matrix(measured.runs(home))


def setup(app: Sphinx) -> None:
    """Called by the package's ``setup``."""
    app.add_directive("results-matrix", MatrixDirective)
