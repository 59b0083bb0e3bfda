# SPDX-License-Identifier: MIT
"""
The picture of the shared page, drawn twice from the model's fields.

In HTML it is an SVG that takes the colour of the text around it, and says the
same in words to those who do not see it; in plain text it is drawn as RFCs do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from docutils import nodes
from sphinx.application import Sphinx

from vtpm_ref import page
from vtpm_ref.page import Field

from .pictures import box, forms, picture, text
from .tables import directive

#: Bytes in one row of the picture.
BYTES = 4

#: Characters per byte in plain text, without the border.
_TEXT_BYTE = 15

#: SVG units: width of a byte, height of a row, space for offsets at the left and words on top.
_BYTE, _ROW, _LEFT, _TOP = 94, 34, 62, 22


@dataclass(frozen=True)
class Row:
    """
    One row: the offset beside it, labels with their bytes, and whether it stands for many.
    """

    offset: str
    cells: tuple[tuple[str, int], ...]
    many: bool = False


def rows(fields: Sequence[Field]) -> list[Row]:
    """
    Return the rows of the picture: the fields, then the grant list, then the packet.

    :raises ValueError: fields overlap, leave a gap or cross a row (the table's fault).
    """
    out: list[Row] = []
    cells: list[tuple[str, int]] = []
    offset = 0
    for field in fields:
        if field.offset != offset or offset % BYTES + field.size > BYTES:
            raise ValueError(f"{field.name} at {field.offset} cannot be drawn at {offset}")
        cells.append((field.name, field.size))
        offset = field.end
        if offset % BYTES == 0:
            out.append(Row(str(offset - BYTES), tuple(cells)))
            cells = []
    if cells:
        raise ValueError(f"the last row ends at byte {offset}")
    listed = f"extra_pages: n grant references, n = {page.NR_EXTRA_PAGES.name}"
    out.append(Row(str(offset), ((listed, BYTES),), many=True))
    start = f"{offset} + {page.GRANT_SIZE}\u00b7n"
    out.append(Row(start, (("packet: request or response", BYTES),), many=True))
    return out


def ascii_art(drawn: Sequence[Row], end: int) -> str:
    """
    Draw the rows as RFCs do, 75 columns wide.
    """
    left = " " * 9
    rule = left + ("+" + "-" * _TEXT_BYTE) * BYTES + "+"
    head = left + "".join(f"{f'byte {n}':^{_TEXT_BYTE + 1}}" for n in range(BYTES))
    lines = [head.rstrip(), rule]
    for row in drawn:
        inside = "|".join(f"{label:^{size * (_TEXT_BYTE + 1) - 1}}" for label, size in row.cells)
        lines.append(f"{row.offset:>8} |{inside}|")
        if row.many:
            lines.append(f"{left}:{' ' * (BYTES * (_TEXT_BYTE + 1) - 1)}:")
        lines.append(rule)
    lines.append(f"{end:>8}")
    return "\n".join(lines)


def in_words(drawn: Sequence[Row], end: int) -> str:
    """
    Say what the picture shows, for a screen reader.
    """
    told = []
    for row in drawn:
        if row.many:
            told.append(f"from byte {row.offset} on, {row.cells[0][0]}")
            continue
        at = int(row.offset)
        for label, size in row.cells:
            told.append(f"byte {at}, {label}" if size == 1 else f"bytes {at} to {at + 3}, {label}")
            at += size
    return f"{'; '.join(told)}; the page ends before byte {end}."


def svg(drawn: Sequence[Row], end: int) -> str:
    """
    Draw the rows as SVG; every line and letter has the colour of the text.
    """
    parts = [
        text(_LEFT + _BYTE * n + _BYTE // 2, _TOP - 8, f"byte {n}", more=' opacity="0.7"')
        for n in range(BYTES)
    ]
    top = _TOP
    for row in drawn:
        height = _ROW * 3 // 2 if row.many else _ROW
        parts.append(_beside(row.offset, top))
        left = _LEFT
        for label, size in row.cells:
            width = _BYTE * size
            dash = ' stroke-dasharray="4 3"' if row.many else ""
            parts.append(box(left, top, width, height, dash))
            parts.append(text(left + width // 2, top + height // 2 + 4, label))
            left += width
        top += height
    parts.append(_beside(str(end), top))
    area = (_LEFT + _BYTE * BYTES + 2, top + 20)
    title, words = "Layout of the shared page", in_words(drawn, end)
    return picture("page-layout", title, words, "".join(parts), area)


def _beside(offset: str, top: int) -> str:
    return text(_LEFT - 8, top + 14, offset, "end")


def page_layout() -> nodes.Node:
    """The picture, in the form that the builder can show."""
    drawn = rows(page.FIELDS)
    return forms(svg(drawn, page.PAGE_SIZE), ascii_art(drawn, page.PAGE_SIZE))


def setup(app: Sphinx) -> None:
    """Called by the package's ``setup``."""
    app.add_directive("page-layout", directive(page_layout, page))
