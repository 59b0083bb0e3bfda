# SPDX-License-Identifier: MIT
"""
Ladder diagrams: who did what in an exchange, from top to bottom, from its trace.

Between the two sides stands what they share; an arrow towards it is a store,
one away from it a load.  An event goes from side to side.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from conformance import trace
from vtpm_ref import backend, frontend, page, world
from vtpm_ref.page import PAGE_SIZE, STATE
from vtpm_ref.states import Role, State
from vtpm_ref.steps import name_field, parse_number
from vtpm_ref.xenbus import XenbusState

from . import scenarios
from .pictures import arrow, box, forms, line, picture, text
from .scenarios import SCENARIOS, Played, is_delivery, is_step
from .tables import xenbus_state

#: SVG units: the three lanes, width, height of a row, of the head, and of a gap.
_LANES = (50.0, 215.0, 380.0)
_WIDTH, _ROW, _HEAD, _GAP = 430, 25, 40, 9
_BOX = 58

#: Columns of the three lanes in plain text.
_COLUMNS = (9, 39, 69)


@dataclass(frozen=True)
class Row:
    """
    One row of the ladder.

    :param kind: ``store``, ``load``, ``event``, or ``note`` for all else.
    :param state: the page state that it leads to, if it writes one.
    :param node: it reads or writes xenstore, not the page.
    :param outside: it is not a step of the two sides, and begins a new part.
    """

    by: Role
    kind: str
    label: str
    state: str = ""
    node: bool = False
    outside: bool = False

    @property
    def of_page(self) -> bool:
        """Whether it stores to the page or loads from it."""
        return self.kind in ("store", "load") and not self.node


def rows(played: Played) -> list[Row]:
    """What the picture shows, from the moves and from what the trace says of them."""
    out: list[Row] = []
    for move, events in played.steps[played.shown :]:
        out += list(_rows(move, events))
    return out


def first_state(played: Played) -> str:
    """The page's state where the picture starts; empty if there is no page yet."""
    states = [row.state for move in played.steps[: played.shown] for row in _rows(*move)]
    return next(filter(None, reversed(states)), "IDLE") if played.shown else ""


def _rows(move: str, events: Sequence[trace.AnyEvent]) -> Iterator[Row]:
    who, _, what = move.partition(": ")
    arrows = [row for event in events if (row := _arrow(event))]
    if arrows:
        yield from arrows
    elif is_step(move):
        yield Row(Role(who), "note", _outcome(events) or what)
    elif not is_delivery(move):  # what is delivered is drawn where it was sent
        theirs = re.match(r"the (TPM|backend|toolstack) ", move) is not None
        side = Role.BACKEND if theirs else Role.FRONTEND
        yield Row(side, "note", move, outside=True)


def _outcome(events: Sequence[trace.AnyEvent]) -> str:
    outcomes = [event.outcome for event in events if isinstance(event, trace.Result)]
    return f"the user gets: {outcomes[0]}" if outcomes else ""


def _arrow(event: trace.AnyEvent) -> Row | None:
    match event:
        case trace.Store():
            data = bytes.fromhex(event.data)
            state = State(data[0]).name if (event.at, len(data)) == (STATE.offset, 1) else ""
            return Row(Role(event.by), "store", _bytes(event.at, data), state)
        case trace.Load():
            return Row(Role(event.by), "load", _bytes(event.at, bytes.fromhex(event.data)))
        case trace.Notify():
            return Row(Role(event.by), "event", "event")
        case trace.Node(by="frontend" | "backend" as by, op="read" | "write" as op):
            kind = "load" if op == "read" else "store"
            return Row(Role(by), kind, _node(event.path, event.value), node=True)
    return None


def _bytes(at: int, data: bytes) -> str:
    if (at, len(data)) == (0, page.HEADER_SIZE):
        return "the whole header"
    if (at, len(data)) == (0, PAGE_SIZE) and not any(data):
        return f"{PAGE_SIZE} zero bytes"
    return name_field(at, data) or f"packet, {len(data)} bytes"


def _node(path: str, value: str | None) -> str:
    name, number = path.rpartition("/")[2], parse_number(value)
    if value is None:
        return f"no {name}"
    if name == "state" and number in tuple(XenbusState):
        return f"state {xenbus_state(XenbusState(number))}"
    return f"{name} = {value}"


def _shared(drawn: Sequence[Row]) -> str:
    """What stands in the middle."""
    if not any(row.node for row in drawn):
        return "shared page"
    return "xenstore, page" if any(row.of_page for row in drawn) else "xenstore"


def in_words(drawn: Sequence[Row]) -> str:
    """The ladder for a screen reader."""
    verbs = {"store": "stores ", "load": "loads ", "event": "sends an ", "note": ""}
    told = [f"{row.by.value}: {verbs[row.kind]}{row.label}" for row in drawn]
    return "; ".join(told) + "."


# SVG


def svg(name: str, title: str, drawn: Sequence[Row], first: str) -> str:
    """
    The ladder as SVG.

    :param first: the page's state on top.
    """
    parts = [
        text(x, 14, words)
        for x, words in zip(_LANES, ("frontend", _shared(drawn), "backend"), strict=True)
    ]
    y = float(_HEAD)
    covered: list[float] = []
    if first:
        parts.append(_state(first, y - 5))
        covered.append(y - 5)
        y += _ROW
    for row in drawn:
        y += _GAP if row.outside else 0
        parts.append(_draw(row, y))
        if row.state:
            covered.append(y)
        y += _ROW
    y -= 12  # no lane goes on far below the last row
    parts += [line([(x, 22), (x, y)], ' opacity="0.45"') for x in (_LANES[0], _LANES[2])]
    tops, ends = [22.0, *(at + 9 for at in covered)], [*(at - 9 for at in covered), y]
    for top, end in zip(tops, ends, strict=True):
        parts.append(line([(_LANES[1], top), (_LANES[1], end)], ' opacity="0.45"'))
    return picture(name, title, in_words(drawn), "".join(parts), (_WIDTH, int(y) + 6))


def _draw(row: Row, y: float) -> str:
    left, middle, right = _LANES
    here, towards = (left, 1) if row.by is Role.FRONTEND else (right, -1)
    anchor = "start" if towards > 0 else "end"
    if row.kind == "note":
        y -= 7  # as high as the words over an arrow
        dot = f'<circle cx="{here:g}" cy="{y:g}" r="3.5"/>'
        return dot + text(here + 9 * towards, y + 4, row.label, anchor, ' font-style="italic"')
    if row.kind == "event":
        dashed = arrow((here, y), (left + right - here, y), ' stroke-dasharray="5 4"')
        return dashed + text(here + 12 * towards, y - 4, row.label, anchor)
    edge = middle - towards * (_BOX / 2 if row.state else 0)
    ends = ((here, y), (edge, y)) if row.kind == "store" else ((edge, y), (here, y))
    out = arrow(*ends) + text(here + 12 * towards, y - 4, row.label, anchor)
    return out + (_state(row.state, y) if row.state else "")


def _state(name: str, y: float) -> str:
    frame = box(_LANES[1] - _BOX / 2, y - 9, _BOX, 18, ' rx="3"')
    return frame + text(_LANES[1], y + 4.5, name, more=' font-weight="600"')


# Plain text


def ascii_art(drawn: Sequence[Row], first: str) -> str:
    """The ladder in plain text, 73 columns wide; see ``svg``."""
    heads = [" "] * (_COLUMNS[2] + 5)
    for column, words in zip(_COLUMNS, ("frontend", _shared(drawn), "backend"), strict=True):
        _put(heads, column - len(words) // 2, words)
    top = list(_rungs())
    if first:
        _put_state(top, first)
    lines = ["".join(heads), "".join(top)]
    for row in drawn:
        if row.outside:
            lines.append(_rungs())
        lines.append(_line(row))
    return "\n".join(line.rstrip() for line in [*lines, _rungs()])


def _rungs() -> str:
    out = [" "] * (_COLUMNS[2] + 1)
    for column in _COLUMNS:
        out[column] = "|"
    return "".join(out)


def _put(line: list[str], at: int, words: str) -> None:
    line[at : at + len(words)] = words


def _put_state(line: list[str], state: str) -> tuple[int, int]:
    """Put a state on the middle lane; return where it starts and ends."""
    name = f"[{state}]"
    start = _COLUMNS[1] - len(name) // 2
    _put(line, start, name)
    return start, start + len(name)


def _line(row: Row) -> str:
    out = list(_rungs())
    left, middle, right = _COLUMNS
    ours = row.by is Role.FRONTEND
    if row.kind == "note":
        out[left if ours else right] = "*"
        _put(out, left + 2 if ours else right - 1 - len(row.label), row.label)
        return "".join(out)
    if row.kind == "event":
        first, size, dash = left + 1, right - left - 1, "~"
    else:
        first = left + 1 if ours else middle + 1
        size, dash = right - middle - 1, "-"
    if row.state:
        start, end = _put_state(out, row.state)
        size = start - first if ours else right - end
        first = first if ours else end
    rightwards = ours == (row.kind != "load")
    _put(out, first, _shaft(row.label, size, dash, near_start=ours, rightwards=rightwards))
    return "".join(out)


def _shaft(label: str, size: int, dash: str, *, near_start: bool, rightwards: bool) -> str:
    """An arrow of ``size`` characters with its label near one of its ends."""
    room = size - len(label) - 3  # a blank on both sides, the head
    near = min(2, room)
    before, after = (near, room - near) if near_start else (room - near, near)
    shaft = f"{dash * before} {label} {dash * after}"
    return f"{shaft}>" if rightwards else f"<{shaft}"


class LadderDirective(SphinxDirective):
    """
    One scenario as a picture; the build fails if its trace breaks a clause.
    """

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        for module in (backend, frontend, page, world, scenarios):
            self.env.note_dependency(str(module.__file__))
        name = self.arguments[0]
        played = scenarios.play(name)
        title, drawn = SCENARIOS[name].title, rows(played)
        first = first_state(played) if any(row.of_page for row in drawn) else ""
        told = (
            "A trace of the two reference machines, judged in this build: "
            f"{len(played.kept)} clauses kept, none broken."
        )
        return [
            nodes.rubric("", title),
            forms(svg(f"ladder-{name}", title, drawn, first), ascii_art(drawn, first)),
            nodes.paragraph("", told, classes=["picture-note"]),
        ]


def setup(app: Sphinx) -> None:
    """Called by the package's ``setup``."""
    app.add_directive("ladder", LadderDirective)
