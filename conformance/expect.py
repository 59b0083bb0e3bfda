# SPDX-License-Identifier: MIT
"""
What is known of a target beforehand: which clauses it breaks, and why that is so.

A file of TOML, one table for each clause::

    [[deviation]]
    clause = "packet.request-header"
    reason = "the driver hands on what its user writes"
    link = "packets.html#packet.request-header"

A clause that is named there fails a run no more, unless it is kept: then the file
is wrong, and that fails too.
"""

import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from conformance import clauses
from conformance.errors import UsageError

_KEYS = ("clause", "reason", "link")


@dataclass(frozen=True)
class Deviation:
    """
    One clause that a target is known to break.

    :param link: where more is said about it.
    """

    clause: str
    reason: str
    link: str


def load(path: Path) -> dict[str, Deviation]:
    """
    The deviations in a file, by clause.

    :raises UsageError: it cannot be read, or names what there is not.
    """
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: is no TOML: {error}") from error
    entries = said.pop("deviation", [])
    if said or not isinstance(entries, list):
        raise UsageError(f"{path}: expected [[deviation]] tables and nothing else")
    found: dict[str, Deviation] = {}
    for number, entry in enumerate(entries, 1):
        deviation = _deviation(f"{path}: deviation {number}", entry)
        if deviation.clause in found:
            raise UsageError(f"{path}: {deviation.clause} is named twice")
        found[deviation.clause] = deviation
    return found


def _deviation(where: str, entry: object) -> Deviation:
    if not isinstance(entry, dict) or set(entry) != set(_KEYS):
        raise UsageError(f"{where}: expected {', '.join(_KEYS)}, each once")
    if not all(isinstance(value, str) and value.strip() for value in entry.values()):
        raise UsageError(f"{where}: expected texts that say something")
    if entry["clause"] not in clauses.load():
        raise UsageError(f"{where}: there is no clause {entry['clause']!r}")
    return Deviation(**entry)


def text(deviations: Iterable[Deviation]) -> str:
    """The file that says so; a text of JSON is one of TOML as well."""
    lines = ["# SPDX-License-Identifier: MIT"]
    for deviation in deviations:
        lines += ["", "[[deviation]]"]
        lines += [
            f"{key} = {json.dumps(getattr(deviation, key), ensure_ascii=False)}" for key in _KEYS
        ]
    return "\n".join(lines) + "\n"
