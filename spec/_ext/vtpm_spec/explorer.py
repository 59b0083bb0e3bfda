# SPDX-License-Identifier: MIT
"""
The directive ``explorer``: its content is shown until ``explorer.js`` takes its place.

The positions travel as a script, because a browser lets no page that it
opened from a file read another file.
"""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from . import positions
from .clause import ClauseDomain

#: The scripts of a page with an explorer, in the order in which they run.
DATA, SCRIPTS = "explorer-data.js", ("explorer-trace.js", "explorer.js")


class ExplorerDirective(SphinxDirective):
    """
    Leave a place for the explorer; its page is written again in every build.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        return [nodes.container("", *self.parse_content_to_nodes(), classes=["explorer"])]


def add_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Write the positions beside the page, if it has an explorer, and load them there."""
    if doctree is None or not any(map(_is_explorer, doctree.findall(nodes.container))):
        return
    text = json.dumps(positions.export() | {"clauses": _clauses(app, page)}, separators=(",", ":"))
    folder = Path(app.outdir, "_static")
    folder.mkdir(exist_ok=True)
    script = f"// SPDX-License-Identifier: MIT\nwindow.vtpmExplorer = {text};\n"
    (folder / DATA).write_text(script, encoding="utf-8")
    for name in (DATA, *SCRIPTS):
        app.add_js_file(name, loading_method="defer")


def _is_explorer(node: nodes.container) -> bool:
    return "explorer" in node["classes"]


def _clauses(app: Sphinx, page: str) -> dict[str, list[str]]:
    """Of each clause of the state tables where it stands, its sentence and its level."""
    domain = app.env.domains[ClauseDomain.name]
    assert isinstance(domain, ClauseDomain)
    cited = {
        cell[1] for rows in positions.cells().values() for row in rows.values() for cell in row
    }
    cited |= {*positions.REST.values(), positions.EARLY}
    return {
        name: [
            f"{app.builder.get_relative_uri(page, clause.page)}#{name}",
            clause.text,
            clause.level,
        ]
        for name, clause in domain.read.items()
        if name in cited
    }


def setup(app: Sphinx) -> None:
    """Called by the package's ``setup``."""
    app.add_directive("explorer", ExplorerDirective)
    app.connect("html-page-context", add_scripts)
