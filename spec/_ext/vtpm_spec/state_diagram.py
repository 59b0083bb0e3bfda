# SPDX-License-Identifier: MIT
"""
The state diagram: every transition that the model allows, and who may take it.

Solid lines are the frontend's, dashed ones the backend's, dotted ones races.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import hypot

from docutils import nodes
from sphinx.application import Sphinx

from vtpm_ref import states
from vtpm_ref.states import TRANSITIONS, Kind, Role, State, Transition

from .builders import chosen
from .pictures import arrow, box, forms, picture, text
from .tables import directive

#: Where each state stands, in SVG units.
PLACES = {
    State.SUBMIT: (215.0, 22.0),
    State.IDLE: (48.0, 160.0),
    State.FINISH: (382.0, 160.0),
    State.CANCEL: (215.0, 298.0),
}
_SIZE = (430, 345)
_BOX = (84.0, 32.0)

#: How far two opposite edges are apart, and a label is from its edge.
_ASIDE, _BESIDE = 9.0, 7.0

_DASHES = {Role.FRONTEND: "", Role.BACKEND: ' stroke-dasharray="6 4"'}
_RACE = ' stroke-dasharray="1.5 3.5" stroke-width="1.8"'


@dataclass(frozen=True)
class Edge:
    """One transition that is legal, or a race."""

    old: State
    role: Role
    new: State
    cell: Transition

    @property
    def label(self) -> str:
        """Who takes it, and whether only in a race."""
        return f"{self.role.value}, race" if self.cell.kind is Kind.RACE else self.role.value

    @property
    def dashes(self) -> str:
        """How its line is drawn."""
        return _RACE if self.cell.kind is Kind.RACE else _DASHES[self.role]


def edges() -> list[Edge]:
    """What the model does not forbid, in the order of its table."""
    cells = TRANSITIONS.items()
    return [Edge(*key, cell) for key, cell in cells if cell.kind is not Kind.ILLEGAL]


def svg(drawn: list[Edge]) -> str:
    """Draw the edges as SVG."""
    parts = []
    for state, (x, y) in PLACES.items():
        parts.append(box(x - _BOX[0] / 2, y - _BOX[1] / 2, *_BOX, ' rx="6"'))
        parts.append(text(x, y + 4.5, state.name, more=' font-weight="600"'))
    ways = {(edge.old, edge.new) for edge in drawn}
    for edge in drawn:
        if edge.old is edge.new:
            parts += _loop(edge)
        else:
            parts += _straight(edge, paired=(edge.new, edge.old) in ways)
    title = "State diagram of the shared page"
    return picture("state-diagram", title, in_words(drawn), "".join(parts), _SIZE)


def _straight(edge: Edge, *, paired: bool) -> Iterator[str]:
    (x1, y1), (x2, y2) = PLACES[edge.old], PLACES[edge.new]
    length = hypot(x2 - x1, y2 - y1)
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    # Keep to the right, so that the way back has its own line.
    right = (-dy, dx)
    aside = _ASIDE if paired else 0.0
    start = _leave((x1 + aside * right[0], y1 + aside * right[1]), (dx, dy), (x1, y1))
    end = _leave((x2 + aside * right[0], y2 + aside * right[1]), (-dx, -dy), (x2, y2))
    yield arrow(start, end, edge.dashes)
    x = (start[0] + end[0]) / 2 + _BESIDE * (right[0] if paired else 1.0)
    y = (start[1] + end[1]) / 2 + _BESIDE * (right[1] if paired else 0.0)
    outwards = right[0] > 0 or not paired
    words = edge.label.split(", ")
    y += 4 - (14 * (len(words) - 1) if right[1] < 0 else 0)  # grow away from the line
    for number, word in enumerate(words):
        yield text(x, y + 14 * number, word, "start" if outwards else "end")


def _leave(
    point: tuple[float, float], towards: tuple[float, float], centre: tuple[float, float]
) -> tuple[float, float]:
    """Where the way from ``point`` leaves the box around ``centre``, with a little room."""
    steps = [
        ((_BOX[axis] / 2 + 2) * (1 if towards[axis] > 0 else -1) - (point[axis] - centre[axis]))
        / towards[axis]
        for axis in (0, 1)
        if towards[axis]
    ]
    way = min(steps)
    return point[0] + way * towards[0], point[1] + way * towards[1]


def _loop(edge: Edge) -> Iterator[str]:
    x, y = PLACES[edge.old]
    low = y + _BOX[1] / 2
    path = f"M{x - 16:g} {low + 2:g}v12a8 8 0 0 0 8 8h16a8 8 0 0 0 8-8v-3"
    yield f'<path d="{path}" fill="none" stroke="currentColor"{edge.dashes}/>'
    yield arrow((x + 16, low + 12), (x + 16, low + 2), edge.dashes)
    yield text(x + 28, low + 20, edge.label, "start")


def in_words(drawn: list[Edge]) -> str:
    """The edges for a screen reader."""
    told = [f"{edge.old.name} to {edge.new.name}: {edge.label}" for edge in drawn]
    return "; ".join(told) + "."


def ascii_art(drawn: list[Edge]) -> str:
    """The edges in plain text, one a line."""
    lines: list[str] = []
    for edge in drawn:
        if lines and edge.old.name not in lines[-1].split()[0]:
            lines.append("")
        shaft = f"-- {edge.label} ".ljust(19, "-")
        lines.append(f"{edge.old.name:<6} {shaft}> {edge.new.name:<6}   {edge.cell.why}")
    return "\n".join(lines)


def state_diagram() -> chosen:
    """The picture, in the form that the builder can show."""
    drawn = edges()
    return forms(svg(drawn), ascii_art(drawn))


def state_picture() -> nodes.Node:
    """The picture and how to read it."""
    note = (
        "Solid: the frontend; dashed: the backend; dotted: lawful only as a race. "
        "Every other store to state is illegal."
    )
    out = nodes.container()
    out += [state_diagram(), nodes.paragraph("", note, classes=["picture-note"])]
    return out


def setup(app: Sphinx) -> None:
    """Called by the package's ``setup``."""
    app.add_directive("state-diagram", directive(state_picture, states))
