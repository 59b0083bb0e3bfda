# SPDX-License-Identifier: MIT
"""
The output that README.md and the how-to pages show is what the commands print today.

``<!-- output: COMMAND -->`` stands above a ``console`` block that shows COMMAND and its
output.  Random bytes, the width of columns and numbers are not compared, but for a line
``exit 3``.  Before that, each block below ``<!-- file: PATH -->`` is saved there.  The
commands of a page run in its order.  After a change that is meant,
``python tests/test_readme.py`` writes the new output into the pages.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [
    README,
    *(ROOT / "spec" / f"{name}.md" for name in ("howto-backend", "howto-adapter")),
    *(ROOT / "spec" / f"{name}.md" for name in ("howto-failure", "verdicts")),
]
BLOCK = re.compile(r"(?<=<!-- output: )([^\n]+)( -->\n+```console\n)(.*?)(?=^```$)", re.M | re.S)
FILE = re.compile(r"<!-- file: ([^\n]+) -->\n+```\w+\n(.*?)^```$", re.M | re.S)


def save_files() -> None:
    """Save what the pages ask the reader to save."""
    for page in PAGES:
        for found in FILE.finditer(page.read_text(encoding="utf-8")):
            path = ROOT / found[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(found[2], encoding="utf-8")


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
    lines = (re.sub(r"(?<!^exit )\d+(\.\d+)*", "N", line) for line in drawn.splitlines())
    return [re.sub(r"\s+", " ", line).strip() for line in lines]


def blocks(page: Path, form: re.Pattern[str] = BLOCK) -> list[re.Match[str]]:
    """The blocks of output in a page."""
    return list(form.finditer(page.read_text(encoding="utf-8")))


def renew(page: Path, form: re.Pattern[str] = BLOCK) -> None:
    """Write into a page what its commands print today."""
    text = page.read_text(encoding="utf-8")
    new = form.sub(lambda block: block[1] + block[2] + run(block[1]), text)
    page.write_text(new, encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_marked_block_is_found(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(blocks(page)) == text.count("<!-- output: ") > 0
    assert len(FILE.findall(text)) == text.count("<!-- file: ")


@pytest.mark.parametrize(
    ("page", "block"),
    [(page, block) for page in PAGES for block in blocks(page)],
    ids=lambda value: value.stem if isinstance(value, Path) else value[1],
)
def test_output(page: Path, block: re.Match[str]) -> None:
    save_files()
    command, shown = block[1], block[3]
    output = run(command)
    # The page shows a run that left nothing out.
    missing = re.search(r"not run: .*(apt-get install .+)", output)
    if missing and missing[0] not in shown:
        pytest.skip(f"not run: {missing[1]}")
    assert normalised(output) == normalised(shown), f"{page.name}: python tests/test_readme.py"


if __name__ == "__main__":
    save_files()
    for page in PAGES:
        renew(page)
