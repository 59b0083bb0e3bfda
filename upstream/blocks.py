# SPDX-License-Identifier: MIT
"""
From docutils' tree to pandoc's: every node has its counterpart, or is refused.

Pandoc's tree is JSON: an element is ``{"t": its type, "c": its contents}``.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

from docutils import nodes

from .ascii import ASCII

Element: TypeAlias = dict[str, Any]

#: Id, classes and attributes of most elements.
NO_ATTRIBUTES: list[Any] = ["", [], []]

_LISTS = ("BulletList", "OrderedList")

#: Headings of pages; the first page has the title and is one level above.
PAGE_LEVEL = 2


class UnknownNode(Exception):
    """
    A page uses what has no counterpart here; whoever wrote it writes it otherwise.

    :param line: of the page, or of what is around it; None if docutils does not know.
    """

    def __init__(self, node: nodes.Node) -> None:
        what = f"{type(node).__name__} {node.astext()[:40]!r}"
        todo = "write it otherwise, or behind '% here only'"
        super().__init__(f"upstream/blocks.py has no counterpart of {what}; {todo}")
        self.line = node.line or (node.parent and node.parent.line)


def element(kind: str, contents: Any = None) -> Element:
    """Return an element of pandoc's tree."""
    return {"t": kind} if contents is None else {"t": kind, "c": contents}


def words(text: str) -> list[Element]:
    """Return ``text`` in words and spaces, in ASCII."""
    out: list[Element] = []
    plain = text.translate(ASCII)
    for number, word in enumerate(plain.split()):
        if number or plain[:1].isspace():
            out.append(element("Space"))
        out.append(element("Str", word))
    if plain.strip() and plain[-1:].isspace():
        out.append(element("Space"))
    return out or ([element("Space")] if plain else [])


def inlines(node: nodes.Node) -> list[Element]:
    """
    Return what stands in a paragraph or heading.

    :raises UnknownNode: something has no counterpart.
    """
    return [one for child in node.children for one in _inline(child)]


def _inline(node: nodes.Node) -> list[Element]:
    match node:
        case nodes.Text():
            return words(node.astext())
        case nodes.emphasis():
            return [element("Emph", inlines(node))]
        case nodes.strong():
            return [element("Strong", inlines(node))]
        case nodes.literal():
            text = " ".join(node.astext().translate(ASCII).split())
            return [element("Code", [NO_ATTRIBUTES, text])]
        case nodes.reference():
            # Code in a link would stand in the list of links as well.
            shown = words(node.astext())
            return [element("Link", [NO_ATTRIBUTES, shown, [node.get("refuri", ""), ""]])]
        case nodes.inline():
            return inlines(node)
    raise UnknownNode(node)


class Writer:
    """
    Turns one page into elements.

    :param page: its name, which becomes the id of its heading.
    :param level: of that heading.
    """

    def __init__(self, page: str, level: int) -> None:
        self.page, self.level = page, level

    def blocks(self, node: nodes.Node, level: int | None = None) -> list[Element]:
        """
        Return what stands in a page, section, cell or item.

        :raises UnknownNode: something has no counterpart.
        """
        level = self.level if level is None else level
        return [one for child in node.children for one in self._block(child, level)]

    def _block(self, node: nodes.Node, level: int) -> list[Element]:
        match node:
            case nodes.section():
                return self._section(node, level)
            case nodes.paragraph():
                return [element("Para", inlines(node))]
            case nodes.rubric():
                return [element("Para", [element("Strong", inlines(node))])]
            case nodes.literal_block():
                text = node.astext().translate(ASCII).rstrip("\n")
                return [element("CodeBlock", [NO_ATTRIBUTES, text])]
            case nodes.bullet_list() | nodes.enumerated_list():
                return self._list(node, level)
            case nodes.definition_list():
                return self._definitions(node, level)
            case nodes.table():
                return self._table(node, level)
            case nodes.block_quote():
                return [element("BlockQuote", self.blocks(node, level))]
            case nodes.Admonition():
                return self._admonition(node, level)
            case nodes.compound() | nodes.container():
                return self.blocks(node, level)
            case nodes.target():
                return []
        raise UnknownNode(node)

    def _section(self, node: nodes.section, level: int) -> list[Element]:
        level = node.get("level", level)
        own = self.page if level == self.level else f"{self.page}#{node['ids'][0]}"
        title, *rest = node.children
        header = element("Header", [level, [node.get("name", own), [], []], inlines(title)])
        return [header, *(one for child in rest for one in self._block(child, level + 1))]

    def _list(self, node: nodes.Element, level: int) -> list[Element]:
        items = [self.blocks(item, level) for item in node.children]
        if all(block["t"] in _LISTS for item in items for block in item[1:]):
            items = [_tight(item[:1]) + item[1:] for item in items]
        if isinstance(node, nodes.bullet_list):
            return [element("BulletList", items)]
        style = [node.get("start", 1), element("Decimal"), element("Period")]
        return [element("OrderedList", [style, items])]

    def _definitions(self, node: nodes.definition_list, level: int) -> list[Element]:
        items = []
        for item in node.children:
            term, *meanings = item.children
            items.append([inlines(term), [_tight(self.blocks(one, level)) for one in meanings]])
        return [element("DefinitionList", items)]

    def _admonition(self, node: nodes.Admonition, level: int) -> list[Element]:
        assert isinstance(node, nodes.Element)
        name = element("Strong", words(f"{node.tagname.capitalize()}."))
        first, *rest = self.blocks(node, level)
        return [element("Para", [name, element("Space"), *first["c"]]), *rest]

    def _table(self, node: nodes.table, level: int) -> list[Element]:
        head = [row for part in node.findall(nodes.thead) for row in part.children]
        body = [row for part in node.findall(nodes.tbody) for row in part.children]
        columns = len(list(node.findall(nodes.colspec)))
        width = [element("AlignDefault"), element("ColWidthDefault")]
        parts: list[Any] = [
            NO_ATTRIBUTES,
            [None, []],
            [width] * columns,
            [NO_ATTRIBUTES, [self._row(row, level) for row in head]],
            [[NO_ATTRIBUTES, 0, [], [self._row(row, level) for row in body]]],
            [NO_ATTRIBUTES, []],
        ]
        return [element("Table", parts)]

    def _row(self, row: nodes.Node, level: int) -> list[Any]:
        cells = []
        for entry in row.children:
            assert isinstance(entry, nodes.entry)
            if entry.get("morecols") or entry.get("morerows"):
                raise UnknownNode(entry)
            text = _tight(self.blocks(entry, level))
            cells.append([NO_ATTRIBUTES, element("AlignDefault"), 1, 1, text])
        return [NO_ATTRIBUTES, cells]


def _tight(blocks: list[Element]) -> list[Element]:
    """Let a paragraph that stands alone be one without space around it."""
    if len(blocks) == 1 and blocks[0]["t"] == "Para":
        return [element("Plain", blocks[0]["c"])]
    return blocks


def elements(tree: Any, kind: str) -> Iterator[Element]:
    """Yield all elements of a type, wherever in ``tree`` they stand."""
    if isinstance(tree, dict):
        if tree.get("t") == kind:
            yield tree
        yield from elements(tree.get("c"), kind)
    elif isinstance(tree, list):
        for one in tree:
            yield from elements(one, kind)
