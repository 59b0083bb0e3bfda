# SPDX-License-Identifier: MIT
"""
The output that README.md shows of a real Xen is what the commands print today.

``<!-- lab output: COMMAND -->`` stands above its block.  As ``tests/test_readme.py`` does
for the others, ``python tests/lab/test_readme.py`` writes the new output.
"""

import re

import pytest

from tests.test_readme import BLOCK, README, normalised, run

LAB_BLOCK = re.compile(BLOCK.pattern.replace("<!-- output: ", "<!-- lab output: "), re.M | re.S)


def blocks() -> list[re.Match[str]]:
    return list(LAB_BLOCK.finditer(README.read_text(encoding="utf-8")))


def test_each_marked_block_is_found() -> None:
    """There is one for the driver of Linux and one for its tools."""
    assert len(blocks()) == README.read_text(encoding="utf-8").count("<!-- lab output: ") == 2


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block[1])
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
    README.write_text(
        LAB_BLOCK.sub(lambda block: block[1] + block[2] + run(block[1]), README.read_text("utf-8")),
        encoding="utf-8",
    )
