# SPDX-License-Identifier: MIT
"""
A page cut into blocks, each with its line: headings, fences, paragraphs.

Only as much Markdown as the lints need.  Fences are found by the clause
reader, so that reader and lints cannot disagree about where one ends.
"""

import re
from dataclasses import dataclass

from conformance.clauses import fences


@dataclass(frozen=True, slots=True)
class Block:
    """
    A part of a page.

    :param kind: ``heading``, ``fence`` or ``text`` (a paragraph, list or table).
    :param line: line of the page on which it starts, from 1.
    :param info: what stands behind an opening fence, the words of a heading.
    :param lines: the lines themselves, without fence marks.
    """

    kind: str
    line: int
    info: str
    lines: tuple[str, ...]

    @property
    def first(self) -> int:
        """Line of the page on which ``lines`` start."""
        return self.line + 1 if self.kind == "fence" else self.line

    @property
    def text(self) -> str:
        """``lines`` joined as they stand."""
        return "\n".join(self.lines)

    def line_of(self, offset: int) -> int:
        """Line of the page that holds the character at ``offset`` of ``text``."""
        return self.first + self.text.count("\n", 0, offset)


def blocks(page: str, text: str) -> list[Block]:
    """
    Cut ``text``; comments vanish, line numbers stay.

    :raises conformance.clauses.ClauseError: a fence that does not close.
    """
    text = re.sub(r"<!--.*?-->", lambda found: "\n" * found[0].count("\n"), text, flags=re.DOTALL)
    lines = text.splitlines()
    out: list[Block] = []
    done = 0
    for line, info, body in fences(page, text):
        out += _outside(lines, done, line - 1)
        out.append(Block("fence", line, info, tuple(body)))
        done = line + len(body) + 1
    return out + _outside(lines, done, len(lines))


def _outside(lines: list[str], start: int, stop: int) -> list[Block]:
    """
    Cut the lines between two fences into headings and paragraphs.
    """
    out: list[Block] = []
    paragraph: list[str] = []
    for number in range(start, stop + 1):
        line = lines[number] if number < stop else ""
        heading = re.match(r"#{1,6}\s+(.*?)\s*$", line)
        if heading or not line.strip():
            if paragraph:
                out.append(Block("text", number - len(paragraph) + 1, "", tuple(paragraph)))
                paragraph = []
            if heading:
                out.append(Block("heading", number + 1, heading[1], (line,)))
        else:
            paragraph.append(line)
    return out
