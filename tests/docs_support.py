# SPDX-License-Identifier: MIT
"""
What the tests of the document share: Sphinx as users run it, and pages to spoil.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree

from upstream.blocks import Element, Writer

ROOT = Path(__file__).parents[1]
SPEC = ROOT / "spec"

#: A clause that the reader and every lint accept.
GOOD_CLAUSE = """```{clause} page.size
:status: stated
:source: tpmif.h

The frontend MUST share one page.
```
"""


def sphinx(
    builder: str, out: Path, source: Path = SPEC, *more: str
) -> subprocess.CompletedProcess[str]:
    """Build ``source`` with the project's own conf.py, warnings being errors."""
    places = ["-c", str(ROOT), "-b", builder, str(source), str(out)]
    options = ["-n", "-W", "--keep-going", "-q", "-E", "--no-color", *more]
    command = [sys.executable, "-m", "sphinx", *options, *places]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def copy_of_pages(folder: Path) -> Path:
    """Return a folder with a copy of all pages, for a test to spoil."""
    copy = folder / "spec"
    copy.mkdir()
    for page in SPEC.glob("*.md"):
        shutil.copy(page, copy)
    return copy


def spoil(page: Path, add: str) -> int:
    """Write ``add`` at the end of ``page``; return the line on which it starts."""
    text = page.read_text(encoding="utf-8")
    page.write_text(f"{text}\n{add}\n", encoding="utf-8")
    return text.count("\n") + 2


def need(program: str, package: str) -> None:
    """Skip the test, naming the Debian package, unless ``program`` is there."""
    if not shutil.which(program):
        pytest.skip(f"not run: apt-get install {package}")


def pandoc_tree(rest: str) -> list[Element]:
    """What becomes of a page, written in reStructuredText for once."""
    page = publish_doctree(rest)
    for told in list(page.findall(nodes.system_message)):  # that the list begins at 8
        told.parent.remove(told)
    return Writer("page", 2).blocks(page)
