# SPDX-License-Identifier: MIT
"""
The output that the pages show of a real Xen is what the commands print today.

``<!-- lab output: COMMAND -->`` stands above its block.  As ``tests/test_readme.py`` does
for the others, ``python tests/lab/test_readme.py`` writes the new output.
"""

import re
from pathlib import Path

import pytest

from tests.test_readme import BLOCK, README, ROOT, blocks, normalised, renew, run

LAB_BLOCK = re.compile(BLOCK.pattern.replace("<!-- output: ", "<!-- lab output: "), re.M | re.S)


PAGES = [README, ROOT / "spec/howto-xen.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_marked_block_is_found(page: Path) -> None:
    """None is left out for its form."""
    text = page.read_text(encoding="utf-8")
    assert len(blocks(page, LAB_BLOCK)) == text.count("<!-- lab output: ") > 0


@pytest.mark.parametrize(
    "block",
    [block for page in PAGES for block in blocks(page, LAB_BLOCK)],
    ids=lambda block: block[1],
)
def test_output(block: re.Match[str]) -> None:
    """But for numbers, random bytes, the width of columns, and in how many cases a SHOULD broke."""
    assert alike(run(block[1])) == alike(block[3])


def alike(output: str) -> list[str]:
    """Whether the driver's first request is early is a matter of microseconds in most cases."""
    marks = re.compile(r"[a-z]+ [-BW.?onE]+")
    return [
        line.replace("W", ".") if marks.fullmatch(line) else line for line in normalised(output)
    ]


if __name__ == "__main__":
    for page in PAGES:
        renew(page, LAB_BLOCK)
