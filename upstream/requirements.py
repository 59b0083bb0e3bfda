# SPDX-License-Identifier: MIT
"""
One OpenFastTrace item for each clause, in the form of Xen's docs/fusa/reqs.

Xen's own types are XenMkt, XenProd and XenSwdgn; ours is ``vtpm``.  An item's
name is the clause's id as it stands.
"""

import textwrap
from collections.abc import Iterable

from conformance.clauses import Clause

from .ascii import ASCII
from .document import LICENCE

#: Counts what has been published of a clause: nothing yet, so every clause is at its first.
REVISION = 1

FILE = "vtpm-requirements.rst"


def tag(clause: Clause) -> str:
    """Return the clause's OpenFastTrace id: type, name, revision."""
    return f"vtpm~{clause.id}~{REVISION}"


def write(clauses: Iterable[Clause]) -> str:
    """Return all items as reStructuredText."""
    return "\n\n".join([f".. {LICENCE}", *map(_item, clauses)]) + "\n"


def _item(clause: Clause) -> str:
    lines = [clause.id, "-" * len(clause.id), "", f"`{tag(clause)}`", ""]
    comment = f"{clause.level}, {clause.role}; checksum of the text {clause.checksum}."
    for name, text in (
        ("Description", clause.text),
        ("Rationale", f"Source ({clause.status}): {clause.source}."),
        ("Comments", comment),
    ):
        lines += [f"{name}:", *_wrapped(text), ""]
    return "\n".join(lines).rstrip()


def _wrapped(text: str) -> list[str]:
    """Return ``text`` in lines, code as reStructuredText writes it, references as words."""
    plain = text.translate(ASCII).replace("{clause}", "").replace("`", "``")
    return textwrap.wrap(plain, 80, break_on_hyphens=False, break_long_words=False)
