# SPDX-License-Identifier: MIT
"""
The directive ``checklist``: all that one role has to do, on one page.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from conformance.clauses import Clause
from vtpm_ref.states import Role

from .clause import SEPARATOR, ClauseDomain, mark_keyword, reference
from .index import by_page


class ChecklistDirective(SphinxDirective):
    """
    The clauses of a role, page by page; read again in every build.
    """

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        role = self.arguments[0]
        if role not in tuple(Role):
            raise self.error(f"a checklist is of {' or '.join(Role)}, not of {role!r}")
        self.env.note_reread()
        domain = self.env.domains[ClauseDomain.name]
        assert isinstance(domain, ClauseDomain)
        out: list[nodes.Node] = []
        owed = [clause for clause in domain.read.values() if clause.role in (role, "both")]
        for heading, group in by_page(owed):
            items = [self._item(clause) for clause in group]
            out += [heading, nodes.bullet_list("", *items, classes=["checklist"])]
        return out

    def _item(self, clause: Clause) -> nodes.list_item:
        parsed, messages = self.parse_inline(clause.text, lineno=self.lineno)
        sentence = nodes.paragraph("", "", *parsed, *messages)
        mark_keyword(sentence, clause.level)
        binding = "; not binding" if clause.status == "proposed" else ""
        note = nodes.Text(f"{SEPARATOR}{clause.status}{binding}")
        line = nodes.paragraph("", "", reference(clause.id), note, classes=["checklist-note"])
        return nodes.list_item("", sentence, line)


def setup(app: Sphinx) -> None:
    """Called by the package's ``setup``."""
    app.add_directive("checklist", ChecklistDirective)
