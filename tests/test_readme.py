# SPDX-License-Identifier: MIT
"""
The output that README.md shows is what the commands print today.

``<!-- output: COMMAND -->`` stands above a ``console`` block that shows COMMAND and its
output.  Numbers, random bytes and the width of columns are not compared.  After a change
that is meant,
``python tests/test_readme.py`` writes the new output into README.md.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"(?<=<!-- output: )([^\n]+)( -->\n+```console\n)(.*?)(?=^```$)", re.M | re.S)


def run(command: str) -> str:
    """What a user sees: in the root of the tree, with the environment active, 80 columns."""
    # A make above this one would have its jobs and its depth shown.
    env = {
        key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))
    }
    env |= {"COLUMNS": "80", "LC_ALL": "C.UTF-8"}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    done = subprocess.run(
        command,
        shell=True,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return f"$ {command}\n{done.stdout}"


def normalised(output: str) -> list[str]:
    drawn = re.sub(r"\b[0-9a-f]{32}\b", "RANDOM", output)
    lines = (re.sub(r"\d+(\.\d+)*", "N", line) for line in drawn.splitlines())
    return [re.sub(r"\s+", " ", line).strip() for line in lines]


def blocks() -> list[re.Match[str]]:
    return list(BLOCK.finditer(README.read_text(encoding="utf-8")))


def test_each_marked_block_is_found() -> None:
    assert len(blocks()) == README.read_text(encoding="utf-8").count("<!-- output: ") > 0


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block[1])
def test_output(block: re.Match[str]) -> None:
    command, shown = block[1], block[3]
    output = run(command)
    # README.md shows a run that left nothing out.
    missing = re.search(r"not run: .*(apt-get install .+)", output)
    if missing and missing[0] not in shown:
        pytest.skip(f"not run: {missing[1]}")
    assert normalised(output) == normalised(shown)


if __name__ == "__main__":
    README.write_text(
        BLOCK.sub(lambda block: block[1] + block[2] + run(block[1]), README.read_text("utf-8")),
        encoding="utf-8",
    )
