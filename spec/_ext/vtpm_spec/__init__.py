# SPDX-License-Identifier: MIT
"""
The Sphinx extension of this document: clauses, generated tables, lints.

``clause`` holds the directive and the domain, ``tables`` show what the model
says, ``layout``, ``state_diagram`` and ``ladder`` draw it (the exchanges are in
``scenarios``), ``index`` and ``checklist`` list the clauses, ``explorer`` shows
the ``positions`` that can be reached, ``spellings`` helps the search, ``lints``
judges the pages (plain data, no Sphinx), ``consistency`` runs the lints in a build
and writes ``clauses.json``.  ``checks`` and ``measured`` are the doors to the judge
and to what it has found.
"""

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from . import (
    builders,
    checklist,
    clause,
    consistency,
    explorer,
    index,
    ladder,
    layout,
    matrix,
    measured,
    spellings,
    state_diagram,
    tables,
)

PARTS = (
    builders,
    measured,
    clause,
    tables,
    layout,
    state_diagram,
    ladder,
    index,
    checklist,
    matrix,
    explorer,
    spellings,
    consistency,
)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx; every module registers its own part."""
    for part in PARTS:
        part.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
