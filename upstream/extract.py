# SPDX-License-Identifier: MIT
"""
Sphinx builder ``pandoc``: the pages as another project takes them, in one tree.

Of a clause it keeps the sentence and the source; clauses that are ``proposed``
and examples that need the model stay here, as does every block behind a comment
``% here only``.
"""

import json
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

from conformance.clauses import Clause
from vtpm_spec.clause import ClauseDomain

from .blocks import PAGE_LEVEL, Element, UnknownNode, Writer, elements

#: A comment that begins so keeps the block behind it here; before the title, the whole page.
HERE_ONLY = "here only"

#: The level of a clause's heading, whatever it stands in: contents go down to the one above.
CLAUSE_LEVEL = 4

_logger = logging.getLogger(__name__)


class Extract(SphinxPostTransform):
    """
    Keep of a page what goes out.
    """

    default_priority = 900  # after references are resolved and forms are chosen
    builders = ("pandoc",)

    def run(self, **kwargs: Any) -> None:
        for node in list(self.document.findall(_is_of_the_build)):
            node.parent.remove(node)
        keep_here(self.document)
        domain = self.env.domains[ClauseDomain.name]
        assert isinstance(domain, ClauseDomain)
        leave_proposals(self.document, domain.clauses)
        for desc in list(self.document.findall(addnodes.desc)):
            shorten(desc, domain.clauses[clause_id(desc)])
        leave_examples(self.document)
        leave_empty_sections(self.document)
        say_section(self.document)
        for reference in self.document.findall(nodes.reference):
            if "refid" in reference:
                reference["refuri"] = f"{self.env.docname}#{reference['refid']}"
        if self.env.docname == self.config.root_doc:
            name_background(self.document)


def _is_of_the_build(node: nodes.Node) -> bool:
    """Raw parts, words for the search, lists of pages, how a picture was made."""
    if isinstance(node, nodes.raw | nodes.meta):
        return True
    return isinstance(node, nodes.compound | nodes.paragraph) and bool(
        {"toctree-wrapper", "picture-note"} & {*node["classes"]}
    )


def keep_here(document: nodes.document) -> None:
    """
    Take away all comments, and each block that one of them keeps here.
    """
    for comment in list(document.findall(nodes.comment)):
        if comment.astext().startswith(HERE_ONLY):
            block = comment.next_node(descend=False, siblings=True, ascend=True)
            if block is not None:
                block.parent.remove(block)
        comment.parent.remove(comment)


def clause_id(desc: addnodes.desc) -> str:
    """Return the id of the clause that ``desc`` shows."""
    (signature,) = desc.findall(addnodes.desc_signature)
    return str(signature["ids"][0])


def leave_proposals(document: nodes.document, clauses: Mapping[str, Clause]) -> None:
    """
    Take away each proposed clause with what is said about it below.

    A section, or a page, that has no other clauses goes as a whole.
    """

    def proposed(desc: addnodes.desc) -> bool:
        return clauses[clause_id(desc)].status == "proposed"

    for section in list(document.findall(nodes.section)):
        within = list(section.findall(addnodes.desc))
        if within and all(map(proposed, within)):
            section.parent.remove(section)
    for desc in filter(proposed, list(document.findall(addnodes.desc))):
        parent, at = desc.parent, desc.parent.index(desc)
        assert isinstance(parent, nodes.Element)
        del parent[at]
        while at < len(parent) and not isinstance(parent[at], addnodes.desc | nodes.section):
            del parent[at]


def shorten(desc: addnodes.desc, clause: Clause) -> None:
    """
    Put in place of ``desc`` a section: the id, the sentence, status and source.
    """
    kept = [
        part
        for part in desc.findall(nodes.paragraph)
        if {"clause-sentence", "clause-source"} & {*part["classes"]}
    ]
    kept[-1].replace(kept[-1].children[0], nodes.Text(f"Source ({clause.status}): "))
    section = nodes.section("", nodes.title("", clause.id), *kept, ids=[clause.id])
    section["level"], section["name"] = CLAUSE_LEVEL, clause.id
    desc.parent.replace(desc, section)


def leave_examples(document: nodes.document) -> None:
    """
    Take away what runs on the model; the sentence before it ends in itself.
    """
    for example in list(document.findall(_is_example)):
        parent, at = example.parent, example.parent.index(example)
        before = parent[at - 1] if at else None
        if isinstance(before, nodes.paragraph) and before.astext().endswith(":"):
            last = list(before.findall(nodes.Text))[-1]
            last.parent.replace(last, nodes.Text(f"{last[:-1]}."))
        parent.remove(example)


def _is_example(node: nodes.Node) -> bool:
    return isinstance(node, nodes.doctest_block) or (
        isinstance(node, nodes.Element) and node.get("testnodetype") == "doctest"
    )


def leave_empty_sections(document: nodes.document) -> None:
    """
    Take away headings that have nothing left below them, innermost first.
    """
    for section in reversed(list(document.findall(nodes.section))):
        if all(isinstance(child, nodes.title) for child in section.children):
            section.parent.remove(section)


def say_section(document: nodes.document) -> None:
    """
    Let a page, which becomes a section, call itself so in its first sentence.
    """
    for paragraph in document.findall(nodes.paragraph):
        first = next(iter(paragraph.findall(nodes.Text)), nodes.Text(""))
        if first.startswith("This page "):
            first.parent.replace(first, nodes.Text(f"This section{first[len('This page') :]}"))
        return


def name_background(document: nodes.document) -> None:
    """
    Let the first page's title be the document's, and its text a section.
    """
    for section in document.findall(nodes.section):
        title, *text = section.children
        section.children = [title]
        background = nodes.title("", "Background")
        section += nodes.section("", background, *text, ids=["background"])
        return


class PandocBuilder(Builder):
    """
    Writes ``document.json``: the blocks of all pages, in the order of the contents.
    """

    name = "pandoc"
    format = "pandoc"
    allow_parallel = False

    def init(self) -> None:
        """Nothing is written yet."""
        self.pages: dict[str, list[Element]] = {}

    def get_outdated_docs(self) -> Iterator[str]:
        """Every page, always: one document is made of all."""
        yield from self.env.found_docs

    def get_target_uri(self, docname: str, typ: str | None = None) -> str:
        """The page's name; what stands behind ``#`` is settled when all pages are known."""
        return docname

    def get_relative_uri(self, from_: str, to: str, typ: str | None = None) -> str:
        """There is one document, so nothing is relative."""
        return self.get_target_uri(to)

    def prepare_writing(self, docnames: Set[str]) -> None:
        """No page needs the others."""

    def write_doc(self, docname: str, doctree: nodes.document) -> None:
        """Turn a page into blocks; what has no counterpart fails the build."""
        level = PAGE_LEVEL - (docname == self.config.root_doc)
        try:
            self.pages[docname] = Writer(docname, level).blocks(doctree)
        except UnknownNode as error:
            _logger.warning(str(error), location=(docname, error.line))

    def finish(self) -> None:
        """Put the pages together."""
        root = self.config.root_doc
        order = [root, *self.env.toctree_includes.get(root, [])]
        blocks = [block for page in order for block in self.pages.get(page, [])]
        self._link(blocks)
        out = Path(self.outdir, "document.json")
        out.write_text(json.dumps(blocks, indent=1) + "\n", encoding="utf-8")

    def _link(self, blocks: list[Element]) -> None:
        """
        Let every link name a heading, and every heading that is named keep its name.
        """
        headers = {header["c"][1][0]: header for header in elements(blocks, "Header")}
        named = set()
        for link in elements(blocks, "Link"):
            target = link["c"][2][0]
            page, _, place = target.partition("#")
            known = [name for name in (place, target, page) if name in headers]
            if known:
                named.add(known[0])
                link["c"][2][0] = f"#{known[0].replace('#', '.')}"
            elif ":" not in page:
                told = "refers to %s, which stays here; keep the reference behind '%% %s' too"
                _logger.warning(f"the document {told}", target, HERE_ONLY)
        for name, header in headers.items():
            header["c"][1][0] = name.replace("#", ".") if name in named else ""


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_builder(PandocBuilder)
    app.add_post_transform(Extract)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
