# SPDX-License-Identifier: MIT
"""
The directive and role ``clause``, and the domain that remembers all clauses.

A clause is shown as an object description: HTML makes its id a permanent
anchor with a link, plain text makes it a definition.
"""

from collections.abc import Iterator, Set
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.domains import Domain, ObjType
from sphinx.environment import BuildEnvironment
from sphinx.roles import XRefRole
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode
from sphinx.util.typing import OptionSpec

from conformance.clauses import KEYWORD, SUBJECTS, Clause, ClauseError, load

from . import checks, measured

#: Between level, role and status; readable when spoken, narrow when printed.
SEPARATOR = " \u00b7 "


class ClauseDirective(SphinxDirective):
    """
    One clause: id, options, one sentence.
    """

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[OptionSpec | None] = {
        "status": directives.unchanged_required,
        "source": directives.unchanged_required,
        "unobservable": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        clause = self._clause()
        domain = self.env.domains[ClauseDomain.name]
        assert isinstance(domain, ClauseDomain)
        domain.clauses[clause.id] = clause
        results = measured.folder(self.config)
        for file in (*checks.files(), *measured.files(results)):
            self.env.note_dependency(str(file))
        return [self._describe(clause)]

    def _clause(self) -> Clause:
        """What Sphinx saw; a lint compares it with what the reader saw."""
        text = " ".join(" ".join(self.content).split())
        keyword = KEYWORD.search(text)
        subject = next((start for start in SUBJECTS if text.startswith(f"{start} ")), None)
        return Clause(
            id=self.arguments[0],
            level=keyword[0] if keyword else "",
            role=SUBJECTS[subject] if subject else "",
            status=self.options.get("status", ""),
            source=self.options.get("source", ""),
            text=text,
            page=self.env.docname,
            line=self.lineno,
            unobservable=self.options.get("unobservable", ""),
            checksum=sha256(text.encode()).hexdigest()[:12],
        )

    def _describe(self, clause: Clause) -> nodes.Node:
        signature = addnodes.desc_signature(
            clause.id, "", addnodes.desc_name(clause.id, clause.id), ids=[clause.id]
        )
        signature["classes"] += ["sig", "sig-object", "clause-id"]
        self.state.document.note_explicit_target(signature)
        content = addnodes.desc_content("", badges(clause), self._sentence(clause))
        content += self._line("Source: ", clause.source, "clause-source")
        if names := checks.cases_of(clause.id):
            content += nodes.paragraph("", "Checked by:", classes=["clause-checked"])
            items = [_case(name, about) for name, about in names.items()]
            content += nodes.bullet_list("", *items, classes=["clause-cases"])
        if results := measured.results_of(clause.id, measured.folder(self.config)):
            content += nodes.paragraph("", "Measured:", classes=["clause-checked"])
            told = [_result(run, verdict) for run, verdict in results]
            content += nodes.bullet_list("", *told, classes=["clause-cases"])
        if clause.unobservable:
            lead = "Not observable from outside; what would show it: "
            content += self._line(lead, clause.unobservable, "clause-unobservable")
        return addnodes.desc(
            "", signature, content, domain="vtpm", objtype="clause", classes=["vtpm", "clause"]
        )

    def _sentence(self, clause: Clause) -> nodes.paragraph:
        parsed, messages = self.parse_inline(clause.text, lineno=self.lineno)
        sentence = nodes.paragraph("", "", *parsed, *messages, classes=["clause-sentence"])
        mark_keyword(sentence, clause.level)
        return sentence

    def _line(self, lead: str, text: str, style: str) -> nodes.paragraph:
        parsed, messages = self.parse_inline(text, lineno=self.lineno)
        return nodes.paragraph("", lead, *parsed, *messages, classes=[style])


def mark_keyword(sentence: nodes.paragraph, level: str) -> None:
    """Make the keyword ``level`` stand out in ``sentence``."""
    for text in list(sentence.findall(nodes.Text)):
        before, keyword, after = str(text).partition(level)
        if keyword and not isinstance(text.parent, nodes.literal):
            marked = nodes.inline("", keyword, classes=["clause-keyword"])
            text.parent.replace(text, [nodes.Text(before), marked, nodes.Text(after)])
            return


def _result(run: measured.Run, verdict: str) -> nodes.list_item:
    shown = nodes.inline("", verdict, classes=["verdict", f"verdict-{verdict.replace(' ', '-')}"])
    about = nodes.Text(f" ({run.about})" if run.about else "")
    parts = [nodes.Text(f"{run.target}: "), shown, about]
    return nodes.list_item("", nodes.paragraph("", "", *parts))


def _case(name: str, about: str) -> nodes.list_item:
    told = nodes.Text(f": {about}" if about else "")
    return nodes.list_item("", nodes.paragraph("", "", literal(name), told))


def literal(text: str) -> nodes.literal:
    """Return ``text`` as code."""
    return nodes.literal(text, text)


def badges(clause: Clause) -> nodes.paragraph:
    """
    Level, role and status on one line, each in a frame where there are frames.
    """
    role = "frontend and backend" if clause.role == "both" else clause.role
    line = nodes.paragraph(classes=["clause-badges"])
    for kind, value in (("level", clause.level), ("role", role), ("status", clause.status)):
        if line.children:
            line += nodes.inline("", SEPARATOR, classes=["clause-separator"])
        named = f"clause-{value.lower().replace(' ', '-')}"
        line += nodes.inline("", value, classes=["clause-badge", f"clause-{kind}", named])
    return line


class ClauseDomain(Domain):
    """
    All clauses that Sphinx has read, and references to them.
    """

    name = "vtpm"
    label = "vTPM protocol"
    object_types: ClassVar[dict[str, ObjType]] = {"clause": ObjType("clause", "clause")}
    initial_data: ClassVar[dict[str, Any]] = {"clauses": {}}
    dangling_warnings: ClassVar[dict[str, str]] = {
        "clause": "no page has a clause %(target)s; mend the id"
    }
    data_version = 1

    @property
    def clauses(self) -> dict[str, Clause]:
        """Clauses by id; ``page`` is the document's name."""
        found: dict[str, Clause] = self.data["clauses"]
        return found

    #: Why the judge's reader refused the pages, if it did.
    refusal: ClauseError | None = None

    @cached_property
    def read(self) -> dict[str, Clause]:
        """What the judge's reader makes of the same pages, in the order of the toctree."""
        try:
            return load(Path(self.env.srcdir))
        except ClauseError as error:
            self.refusal = error
            return {}

    def clear_doc(self, docname: str) -> None:
        for clause in [c for c in self.clauses.values() if c.page == docname]:
            del self.clauses[clause.id]

    def merge_domaindata(self, docnames: Set[str], otherdata: dict[str, Any]) -> None:
        for name, clause in otherdata["clauses"].items():
            if clause.page in docnames:
                self.clauses[name] = clause

    def resolve_xref(
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        typ: str,
        target: str,
        node: pending_xref,
        contnode: nodes.Element,
    ) -> nodes.reference | None:
        clause = self.clauses.get(target)
        if clause is None:
            return None
        return make_refnode(builder, fromdocname, clause.page, clause.id, contnode, clause.text)

    def resolve_any_xref(
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        target: str,
        node: pending_xref,
        contnode: nodes.Element,
    ) -> list[tuple[str, nodes.reference]]:
        found = self.resolve_xref(env, fromdocname, builder, "clause", target, node, contnode)
        return [("vtpm:clause", found)] if found is not None else []

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        for clause in self.clauses.values():
            yield clause.id, clause.id, "clause", clause.page, clause.id, 0  # found first


def reference(clause: str) -> pending_xref:
    """Return a reference to ``clause`` that is resolved like the role's."""
    shown = literal(clause)
    return pending_xref(
        "", shown, refdomain="vtpm", reftype="clause", reftarget=clause, refwarn=True
    )


class _ClauseRole(XRefRole):
    """
    ``{clause}`id```, usable without the domain's name.
    """

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        self.refdomain, self.reftype, self.classes = "vtpm", "clause", ["xref", "vtpm"]
        return self.create_xref_node()


def setup(app: Sphinx) -> None:
    """Called by the package's ``setup``."""
    app.add_domain(ClauseDomain)
    app.add_directive("clause", ClauseDirective)
    app.add_role("clause", _ClauseRole())
