# SPDX-License-Identifier: MIT
"""
The Sphinx extension of this document: clauses, generated tables, lints.

``clause`` holds the directive and the domain, ``tables`` and ``layout`` draw
what the model says, ``index`` lists all clauses, ``lints`` judges the pages
(plain data, no Sphinx), ``consistency`` runs the lints in a build and writes
``clauses.json``, ``checks`` is the only door to the judge.
"""

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from . import builders, clause, consistency, index, layout, tables


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx; every module registers its own part."""
    for part in (builders, clause, tables, layout, index, consistency):
        part.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
