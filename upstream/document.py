# SPDX-License-Identifier: MIT
"""
The pages as one document, in the formats that Xen's tree and its readers use.

Sphinx reads the pages (``extract``), pandoc writes them.  A format
that lacks a clause, or has one too many, is refused.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from conformance.clauses import Clause, load

from . import UpstreamError
from .blocks import Element

ROOT = Path(__file__).parents[1]
FILTERS = Path(__file__).parent / "filters"

LICENCE = "SPDX-License-Identifier: CC-BY-4.0"

#: Prose; pictures and tables may have 79.
COLUMNS = 72


@dataclass(frozen=True, slots=True)
class Format:
    """
    One format.

    :param file: name of the file.
    :param first: its first line.
    :param options: of pandoc.
    :param heading: finds the headings of clauses, group 1 is the id.
    """

    file: str
    first: str
    options: tuple[str, ...]
    heading: re.Pattern[str]


_ID = r"([a-z-]+(?:\.[a-z0-9-]+)+)"

FORMATS = {
    "pandoc": Format(
        "vtpm-protocol.pandoc",
        f"<!-- {LICENCE} -->",
        ("-t", "markdown-smart", "--reference-links"),
        re.compile(rf"^#+ {_ID}$", re.M),
    ),
    "plain": Format(
        "vtpm.txt",
        LICENCE,
        ("-t", "plain", "-L", str(FILTERS / "plain.lua")),
        re.compile(rf"^\[{_ID}\]$", re.M),
    ),
    "man": Format(
        "vtpm-protocol.7",
        f'.\\" {LICENCE}',
        (
            *("-t", "man", "-s", "-L", str(FILTERS / "man.lua")),
            *("-M", "title=VTPM-PROTOCOL", "-M", "section=7", "-M", "header=Xen"),
            *("-V", "adjusting=l", "-V", "hyphenate="),
        ),
        re.compile(rf"^\\f\[B\]{_ID.replace('-]', chr(92) * 2 + '-]')}\\f\[R\]$", re.M),
    ),
    "rst": Format(
        "vtpm-protocol.rst",
        f".. {LICENCE}",
        ("-t", "rst", "-L", str(FILTERS / "rst.lua")),
        re.compile(rf"^{_ID}\n\^+$", re.M),
    ),
}


def clauses(folder: Path | None = None) -> dict[str, Clause]:
    """
    Return the clauses that go out: all but the proposed ones, in the order of the pages.
    """
    return {name: c for name, c in load(folder).items() if c.status != "proposed"}


def pages(out: Path, source: Path = ROOT / "spec") -> list[Element]:
    """
    Build the pages into ``out`` and return them as pandoc's blocks.

    :raises UpstreamError: Sphinx refused the pages.
    """
    options = ["-n", "-W", "--keep-going", "-q", "-E", "--no-color", "-c", str(ROOT)]
    command = [sys.executable, "-m", "sphinx", *options, "-b", "pandoc", str(source), str(out)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        raise UpstreamError(f"the pages do not build:\n{run.stdout}{run.stderr}")
    blocks: list[Element] = json.loads((out / "document.json").read_text(encoding="utf-8"))
    return blocks


def convert(blocks: list[Element], name: str) -> str:
    """
    Return the document in the format called ``name``.

    :raises UpstreamError: pandoc is missing or refused.
    """
    form = FORMATS[name]
    # A tree names the version of pandoc's types; those used here are of all since 2.10.
    version = json.loads(_pandoc("", "-t", "json"))["pandoc-api-version"]
    tree = json.dumps({"pandoc-api-version": version, "meta": {}, "blocks": blocks})
    filters = ("-L", str(FILTERS / "tables.lua"))
    text = _pandoc(tree, "-f", "json", f"--columns={COLUMNS}", *filters, *form.options)
    lines = [line.rstrip() for line in text.splitlines()]
    if name == "man":
        # What has to come first in a man page names its preprocessor.
        lines[1:1] = [form.first]
    else:
        lines[:0] = [form.first, ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _pandoc(text: str, *options: str) -> str:
    if not shutil.which("pandoc"):
        raise UpstreamError("not run: apt-get install pandoc")
    run = subprocess.run(["pandoc", *options], input=text, capture_output=True, text=True)
    if run.returncode or run.stderr:
        raise UpstreamError(f"pandoc {' '.join(options)}: {run.stderr}")
    return run.stdout


def headings(text: str, name: str) -> list[str]:
    """Return the ids of the clauses in ``text``, in their order."""
    return [found[1].replace("\\", "") for found in FORMATS[name].heading.finditer(text)]


def complete(text: str, name: str, wanted: Iterable[str]) -> None:
    """
    Check that ``text`` has each clause once, in the order of ``wanted``.

    :raises UpstreamError: it does not; a block marked ``% here only`` may hold a clause.
    """
    wanted, found = list(wanted), headings(text, name)
    if found == wanted:
        return
    told = [
        f"{what}: {', '.join(ids)}"
        for what, ids in (
            ("missing", [one for one in wanted if one not in found]),
            ("too much", [one for one in found if one not in wanted]),
            ("twice", sorted({one for one in found if found.count(one) > 1})),
        )
        if ids
    ]
    raise UpstreamError(f"clauses of {FORMATS[name].file}: {'; '.join(told) or 'another order'}")


def write(blocks: list[Element], out: Path, wanted: Iterable[str]) -> dict[str, str]:
    """
    Write all formats into ``out`` and return their texts by name.

    :raises UpstreamError: as ``convert`` and ``complete`` do.
    """
    wanted = list(wanted)
    texts = {}
    for name, form in FORMATS.items():
        texts[name] = convert(blocks, name)
        complete(texts[name], name, wanted)
        (out / form.file).write_text(texts[name], encoding="utf-8")
    return texts
