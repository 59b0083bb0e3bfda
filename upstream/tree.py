# SPDX-License-Identifier: MIT
"""
The series on a real tree: applied with ``git am``, its documentation built.

Works on a copy; the tree itself is only read.
"""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from . import UpstreamError
from .document import FORMATS

_WHO = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")

#: What the build makes of the document, and how its clauses can be told there.
BUILT = ("docs/html/misc/vtpm-protocol.html", "docs/txt/misc/vtpm-protocol.txt")


def copy(tree: Path, to: Path) -> Path:
    """
    Copy a Xen tree, a git clone or unpacked sources, as a git tree into ``to``.

    :raises UpstreamError: there is no Xen tree.
    """
    if not (tree / "docs" / "INDEX").is_file():
        raise UpstreamError(f"XEN_TREE={tree} is no Xen tree: it has no docs/INDEX")
    shutil.rmtree(to, ignore_errors=True)
    if (tree / ".git").exists():
        _run("git", "clone", "--quiet", "--shared", str(tree.absolute()), str(to), where=tree)
        return to
    shutil.copytree(tree, to, symlinks=True)
    for command in (("init", "-q"), ("add", "-A"), (*_WHO, "commit", "-qm", "as it was")):
        _run("git", *command, where=to)
    return to


def apply(patches: Iterable[Path], tree: Path) -> None:
    """
    Apply the mails to ``tree``, refusing what git would warn of.

    :raises UpstreamError: one does not apply.
    """
    names = [str(patch.absolute()) for patch in patches]
    _run("git", *_WHO, "am", "--quiet", "--whitespace=error", *names, where=tree)


def build(tree: Path, wanted: Iterable[str]) -> list[Path]:
    """
    Build the tree's HTML and text, and return what became of the document.

    :raises UpstreamError: the build fails, or leaves out a clause.
    """
    docs = tree / "docs"
    _run("./configure", where=docs)
    _run("make", "html", "txt", where=docs)
    wanted = list(wanted)
    made = [tree / name for name in (*BUILT, f"docs/html/misc/{FORMATS['plain'].file}")]
    for file in made:
        if not file.is_file():
            raise UpstreamError(f"the documentation build made no {file.relative_to(tree)}")
        words = set(file.read_text(encoding="utf-8").replace("[", " ").replace("]", " ").split())
        text = file.read_text(encoding="utf-8")
        missing = [one for one in wanted if one not in words and f'id="{one}"' not in text]
        if missing:
            raise UpstreamError(f"{file.relative_to(tree)} lacks {', '.join(missing)}")
    index = (docs / "html" / "index.html").read_text(encoding="utf-8")
    if "Xen vTPM protocol" not in index:
        raise UpstreamError("docs/html/index.html does not list the document")
    return made


def _run(*command: str, where: Path) -> None:
    run = subprocess.run(command, cwd=where, capture_output=True, text=True)
    if run.returncode:
        told = f"{run.stdout}{run.stderr}".strip().splitlines()[-20:]
        raise UpstreamError("\n".join([f"{' '.join(command[:3])} in {where} failed:", *told]))
