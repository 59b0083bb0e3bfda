# SPDX-License-Identifier: MIT
"""
Tables that the model fills: fields, tags, room, transitions, nodes, the handshake.

Each function turns tables of ``vtpm_ref`` into docutils nodes; no value is
written here.
"""

from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import TypeAlias

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from vtpm_ref import packet, page, states, xenbus
from vtpm_ref.packet import Family
from vtpm_ref.states import Role, State

from .builders import chosen
from .clause import literal, reference

Cell: TypeAlias = str | nodes.Node | Sequence[nodes.Node]


def table(headers: Sequence[str], rows: Iterable[Sequence[Cell]], style: str) -> nodes.table:
    """
    Return a table; a cell is text, one inline node, or several.
    """
    group = nodes.tgroup(cols=len(headers))
    group += [nodes.colspec(colwidth=1) for _ in headers]
    group += nodes.thead("", _row(headers))
    group += nodes.tbody("", *[_row(row) for row in rows])
    return nodes.table("", group, classes=["colwidths-auto", style])


def _row(cells: Sequence[Cell]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        if isinstance(cell, str):
            parts: Sequence[nodes.Node] = [nodes.Text(cell)]
        else:
            parts = [cell] if isinstance(cell, nodes.Node) else cell
        row += nodes.entry("", nodes.paragraph("", "", *parts))
    return row


def field_table() -> nodes.Node:
    """The header's fields, and what follows them."""
    rows: list[Sequence[Cell]] = [
        (str(field.offset), str(field.size), literal(field.name), field.writers, field.meaning)
        for field in page.FIELDS
    ]
    grants, start = _times_n(page.GRANT_SIZE), page.packet_offset(0)
    behind = f"{start} + {grants}"
    listed = f"grant references, n = {page.NR_EXTRA_PAGES.name}"
    rows.append((str(start), grants, literal("extra_pages"), "frontend", listed))
    rest = f"{page.capacity()} \u2212 {grants}"
    rows.append((behind, rest, "packet", "frontend, backend", "request or response"))
    return table(("offset", "size", "field", "written by", "what it holds"), rows, "field-table")


def _times_n(size: int) -> str:
    return f"{size}\u00b7n"


def tag_table() -> nodes.Node:
    """The tags that open packets of each TPM family."""
    rows = [
        (f"TPM {family.value}", _hex(tags.requests), _hex(tags.responses), _hex({tags.error}))
        for family, tags in packet.TAGS.items()
        if family is not packet.Family.NONE
    ]
    return table(("TPM", "request tags", "response tags", "tag of errors"), rows, "tag-table")


def _hex(tags: Iterable[int]) -> str:
    return ", ".join(f"0x{tag:04X}" for tag in sorted(tags))


def error_table() -> nodes.Node:
    """The codes with which a transport refuses a request, for both families."""
    rows = []
    for name, meaning in packet.MEANINGS.items():
        cells = [meaning]
        for family in (Family.TPM12, Family.TPM20):
            code = getattr(packet.CODES[family], name)
            tag = int.from_bytes(packet.error_response(family, code)[:2], "big")
            cells.append(f"code 0x{code:X}, tag 0x{tag:04X}")
        rows.append(cells)
    return table(("what is wrong", "TPM 1.2", "TPM 2.0"), rows, "error-table")


def transition_table() -> nodes.Node:
    """All 32 cells: a matrix for each writer, or a list of rows in plain text."""
    screen, plain = nodes.container(), nodes.container()
    for role in Role:
        screen += nodes.rubric("", f"The {role.value} writes")
        screen += _matrix(role)
        plain += nodes.rubric("", f"The {role.value} writes")
        plain += _list(role)
    return chosen("", screen, plain)


def _matrix(role: Role) -> nodes.table:
    rows = []
    for old in State:
        cells: list[Cell] = [nodes.strong("", f"over {old.name}")]
        for new in State:
            cell = states.TRANSITIONS[old, role, new]
            verdict = nodes.inline("", cell.kind.value, classes=["kind", f"kind-{cell.kind.value}"])
            why = nodes.inline("", cell.why, classes=["kind-why"])
            cells.append([verdict, nodes.Text(" "), why, nodes.Text(" "), reference(cell.clause)])
        rows.append(cells)
    return table(("", *(new.name for new in State)), rows, "transition-table")


def _list(role: Role) -> nodes.table:
    rows: list[Sequence[Cell]] = []
    for old in State:
        for new in State:
            cell = states.TRANSITIONS[old, role, new]
            rows.append((new.name, old.name, cell.kind.value, cell.clause, cell.why))
    return table(("writes", "over", "is", "by clause", "why"), rows, "transition-table")


def node_table() -> nodes.Node:
    """The xenstore nodes of both sides."""
    rows = [
        (literal(node.name), node.home.value, node.writer, node.reader, node.value)
        for node in xenbus.NODES
    ]
    return table(("node", "whose", "written by", "read by", "value"), rows, "node-table")


def capacity_table() -> nodes.Node:
    """What a packet has room for, by the number of extra pages."""
    rows = [
        (
            str(count),
            str(page.packet_offset(count)),
            str(page.capacity(count)),
            str(page.extended_capacity(count)),
        )
        for count in (0, 1, 2, 3, 15, 63, page.MAX_EXTRA_PAGES)
    ]
    headers = ("n", "packet starts at", "room in the shared page", "room with the extra pages")
    return table(headers, rows, "capacity-table")


def handshake_table(name: str) -> nodes.Node:
    """The steps of one way, ``connecting`` or ``closing``: a table, or a list in plain text."""
    rows: list[Sequence[Cell]] = []
    plain = nodes.enumerated_list(enumtype="arabic", prefix="", suffix=".")
    for number, step in enumerate(xenbus.HANDSHAKES[name], 1):
        state = "" if step.state is None else xenbus_state(step.state)
        cells = (str(number), step.role.value, step.after, step.does, state or "nothing")
        rows.append((*cells, reference(step.clause)))
        then = f", then sets its state to {state}" if state else ""
        told = f"{step.role.value}, after {step.after}: {step.does}{then} ("
        told_parts = [nodes.Text(told), reference(step.clause), nodes.Text(")")]
        plain += nodes.list_item("", nodes.paragraph("", "", *told_parts))
    headers = ("step", "who", "after", "does", "then sets its state to", "clause")
    return chosen("", table(headers, rows, "handshake-table"), plain)


def xenbus_state(state: xenbus.XenbusState) -> str:
    """A xenbus state as Xen writes it: InitWait (2)."""
    return f"{state.name.title().replace('_', '')} ({state.value})"


def directive(
    make: Callable[..., nodes.Node], *models: ModuleType, arguments: int = 0
) -> type[SphinxDirective]:
    """
    Return a directive that puts ``make()`` in place and depends on ``models``.

    :param arguments: how many words follow its name; ``make`` gets them.
    """

    class Generated(SphinxDirective):
        required_arguments = arguments

        def run(self) -> list[nodes.Node]:
            for model in models:
                self.env.note_dependency(str(model.__file__))
            return [make(*self.arguments)]

    return Generated


def setup(app: Sphinx) -> None:
    """Called by the package's ``setup``."""
    app.add_directive("field-table", directive(field_table, page))
    app.add_directive("tag-table", directive(tag_table, packet))
    app.add_directive("error-table", directive(error_table, packet))
    app.add_directive("transition-table", directive(transition_table, states))
    app.add_directive("node-table", directive(node_table, xenbus))
    app.add_directive("handshake-table", directive(handshake_table, xenbus, arguments=1))
    app.add_directive("capacity-table", directive(capacity_table, page))
