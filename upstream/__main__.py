# SPDX-License-Identifier: MIT
"""
Writes the series and the document: ``python -m upstream build/upstream [XEN_TREE]``.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from . import UpstreamError, document, requirements, tree
from .mail import Patch, head
from .series import COVER, series

README = Path(__file__).with_name("README.md")


def write_series(patches: Sequence[Patch], out: Path, source: Path | None) -> list[Path]:
    """
    Write mails, cover letter and README into ``out`` and return the mails.

    :param source: the Xen tree from which the lines around each change come, if any.
    :raises UpstreamError: the tree is not as the series expects it.
    """
    mails = []
    for number, patch in enumerate(patches, 1):
        mails.append(out / patch.file_name(number))
        mails[-1].write_text(patch.mail(number, len(patches), source), encoding="utf-8")
    listed = "".join(f"  {patch.subject}\n" for patch in patches)
    cover = head(f"[PATCH 0/{len(patches)}] docs: describe the vTPM protocol")
    text = f"{cover}{COVER.strip()}\n\n{listed}"
    (out / "0000-cover-letter.txt").write_text(text, encoding="utf-8")
    rows = [
        f"| `{mail.name}` | `{file.path}` | {file.kind} | {file.licence} |\n"
        for mail, patch in zip(mails, patches, strict=True)
        for file in patch.files
    ]
    readme = README.read_text(encoding="utf-8").rstrip("\n")
    (out / "README.md").write_text(f"{readme}\n{''.join(rows)}", encoding="utf-8")
    return mails


def main(arguments: Sequence[str]) -> int:
    """Write everything; return the exit code."""
    out = Path(arguments[0])
    xen = Path(arguments[1]) if len(arguments) > 1 else None
    try:
        out.mkdir(parents=True, exist_ok=True)
        # Nothing of an earlier series may stay among the new one.
        for old in out.glob("*.patch"):
            old.unlink()
        shutil.rmtree(out / "tree", ignore_errors=True)
        source = tree.copy(xen, out / "tree") if xen else None
        clauses = document.clauses()
        texts = document.write(document.pages(out / "pages"), out, clauses)
        text = requirements.write(clauses.values())
        (out / requirements.FILE).write_text(text, encoding="utf-8")
        mails = write_series(series(texts), out, source)
        print(f"{len(mails)} patches, {len(clauses)} clauses, in {out}/; read {out}/README.md")
        if source:
            tree.apply(mails, source)
            print(f"applied to a copy of {xen}")
            for file in tree.build(source, clauses):
                print(f"built {file}")
        else:
            print("not applied to a tree: make upstream XEN_TREE=/path/to/xen")
    except UpstreamError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
