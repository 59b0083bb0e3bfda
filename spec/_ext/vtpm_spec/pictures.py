# SPDX-License-Identifier: MIT
"""
What all pictures have in common: an SVG, the same in words, the same as text.

The SVG has no colour of its own but takes that of the text around it; whoever
does not see it is told its title and its words.
"""

from collections.abc import Iterable
from html import escape

from docutils import nodes

from .builders import chosen


def picture(name: str, title: str, words: str, drawn: str, size: tuple[int, int]) -> str:
    """
    Return the SVG element.

    :param name: unique on its page; the ids of title and words are made from it.
    :param drawn: what is in it, as SVG.
    :param size: width and height in units of the drawing.
    """
    width, height = size
    return (
        f'<svg class="picture" xmlns="http://www.w3.org/2000/svg" role="img"'
        f' viewBox="0 0 {width} {height}" fill="currentColor" font-size="12.5"'
        f' aria-labelledby="{name}-title {name}-words">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-words">{escape(words)}</desc>{drawn}</svg>'
    )


def forms(svg: str, plain: str) -> chosen:
    """Return the picture in both forms; HTML has the text too, behind a button."""
    markup = (
        f'<div class="picture-box">{svg}</div>\n'
        f'<details class="picture-text"><summary>The same as text</summary>'
        f"<pre>{escape(plain)}</pre></details>"
    )
    screen = nodes.raw("", markup, format="html")
    return chosen("", screen, nodes.literal_block(plain, plain, language="text"))


def text(x: float, y: float, words: str, anchor: str = "middle", more: str = "") -> str:
    """Words at a point; ``anchor`` is ``start``, ``middle`` or ``end``."""
    at = f'x="{x:g}" y="{y:g}"'
    return f'<text {at} text-anchor="{anchor}"{more}>{escape(words)}</text>'


def box(left: float, top: float, width: float, height: float, more: str = "") -> str:
    """An empty rectangle."""
    at = f'x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}"'
    return f'<rect {at} fill="none" stroke="currentColor"{more}/>'


def line(points: Iterable[tuple[float, float]], more: str = "") -> str:
    """A line through all points."""
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="currentColor"{more}/>'


def arrow(start: tuple[float, float], end: tuple[float, float], more: str = "") -> str:
    """A line with a head at its end."""
    length = max(1.0, ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5)
    dx, dy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    back = (end[0] - 8 * dx, end[1] - 8 * dy)
    left = (back[0] + 3.5 * dy, back[1] - 3.5 * dx)
    right = (back[0] - 3.5 * dy, back[1] + 3.5 * dx)
    head = " ".join(f"{x:.1f},{y:.1f}" for x, y in (end, left, right))
    return f'{line((start, back), more)}<polygon points="{head}"/>'
