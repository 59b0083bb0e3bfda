# SPDX-License-Identifier: MIT
"""
The clauses, read from the pages: a small strict reader.

The pages travel in the wheel, so the judge can print the sentence that was
broken without Sphinx.  The reader knows fences and the form of a clause, no
more of Markdown; the Sphinx build compares its own list with this one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

STATUSES = ("stated", "practice", "settled", "corrects", "proposed")
LEVELS = ("MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY")
SUBJECTS = {"The frontend": "frontend", "The backend": "backend", "Each side": "both"}
OPTIONS = ("status", "source", "unobservable")

#: Every keyword of RFC 2119; those that are not in ``LEVELS`` are not used.
KEYWORD = re.compile(r"\b(?:(?:MUST|SHOULD|SHALL)(?: NOT)?|MAY|REQUIRED|RECOMMENDED|OPTIONAL)\b")


class ClauseError(Exception):
    """
    A page breaks the form of clauses; whoever edited the page has to mend it.
    """

    def __init__(self, page: str, line: int, expected: str, found: str) -> None:
        super().__init__(f"{page}.md:{line}: expected {expected}, found {found}")
        self.page = page
        self.line = line


@dataclass(frozen=True, slots=True)
class Clause:
    """
    One normative sentence; ``line`` is that of its opening fence.
    """

    id: str
    level: str
    role: str
    status: str
    source: str
    text: str
    page: str
    line: int
    unobservable: str
    checksum: str


def fences(page: str, text: str) -> Iterator[tuple[int, str, list[str]]]:
    """
    Yield each fenced block: line of the opening fence, what it says, the lines inside.
    """
    lines = text.splitlines()
    start = 0
    while start < len(lines):
        here, end = lines[start], start
        if "{clause}" in re.sub(r"\{clause\}`[^`]+`", "", here) and here[:11] != "```{clause}":
            raise ClauseError(page, start + 1, "a clause in a fence ```{clause} id", repr(here))
        if mark := re.match("`{3,}", here):
            end += 1
            while end < len(lines) and not re.fullmatch(f"{mark[0]}`*\\s*", lines[end]):
                end += 1
            if end == len(lines):
                raise ClauseError(page, start + 1, f"a fence {mark[0]} that closes", "none")
            yield start + 1, here[mark.end() :].strip(), lines[start + 1 : end]
        start = end + 1


def _options(page: str, line: int, body: list[str]) -> tuple[dict[str, str], str]:
    """
    Split the lines of a clause into its options and its text on one line.
    """
    found: dict[str, str] = {}
    for index, option in enumerate(body):
        if not (parts := re.fullmatch(r":([^:]*):(.*)", option)):
            return found, " ".join(" ".join(body[index:]).split())
        name, value = parts[1], parts[2].strip()
        if name not in OPTIONS or name in found or not value:
            wanted = f"each option of {', '.join(OPTIONS)} at most once, with a value"
            raise ClauseError(page, line + 1 + index, wanted, repr(option))
        found[name] = value
    return found, ""


def _clause(page: str, line: int, name: str, body: list[str]) -> Clause:
    options, text = _options(page, line, body)
    keywords = KEYWORD.findall(text)
    subject = next((start for start in SUBJECTS if text.startswith(f"{start} ")), "")
    ends = [end.end() for end in re.finditer(r"[.!?](?=\s|$)", text)]
    listed = ", ".join
    for fine, expected, found in (
        (re.fullmatch(r"[a-z-]+(\.[a-z0-9-]+)+", name), "an id like states.backend-writes", name),
        *((needed in options, f"option {needed!r} in {name}", "none") for needed in OPTIONS[:2]),
        (options.get("status") in STATUSES, listed(STATUSES), options.get("status", "none")),
        (ends == [len(text)], f"one sentence with one full stop in {name}", text),
        (len(keywords) == 1, f"one keyword in {name}", listed(keywords) or "none"),
        (set(keywords) <= set(LEVELS), listed(LEVELS), listed(keywords)),
        (subject, f"a subject of {listed(SUBJECTS)} in {name}", text),
    ):
        if not fine:
            raise ClauseError(page, line, expected, repr(found))
    status, source, hidden = options["status"], options["source"], options.get("unobservable", "")
    role, checksum = SUBJECTS[subject], sha256(text.encode()).hexdigest()[:12]
    return Clause(name, keywords[0], role, status, source, text, page, line, hidden, checksum)


def _page(folder: Path, name: str) -> str:
    file = folder / f"{name}.md"
    if not file.is_file():
        raise ClauseError("index", 1, f"only pages that are in {folder}", repr(name))
    return file.read_text(encoding="utf-8")


def _read(folder: Path) -> dict[str, Clause]:
    names, clauses = ["index"], dict[str, Clause]()
    for _, info, body in fences("index", _page(folder, "index")):
        if info == "{toctree}":
            names += [entry.strip() for entry in body if re.match(r"\s*[^:\s]", entry)]
    for page in names:
        found = [fence for fence in fences(page, _page(folder, page)) if "{clause}" in fence[1]]
        for line, info, body in found:
            new = _clause(page, line, info.removeprefix("{clause}").strip(), body)
            for old in clauses.values():
                if f"{new.id}.".startswith(f"{old.id}.") or old.id.startswith(f"{new.id}."):
                    wanted = f"an id apart from {old.id} ({old.page}.md:{old.line})"
                    raise ClauseError(page, line, wanted, repr(new.id))
            clauses[new.id] = new
    return clauses


@cache
def _default() -> dict[str, Clause]:
    packaged = Path(__file__).parent / "_spec"
    return _read(packaged if packaged.is_dir() else Path(__file__).parents[1] / "spec")


def load(folder: Path | None = None) -> dict[str, Clause]:
    """
    Return every clause by id, in the order of the pages.

    :param folder: where the pages are; left out, those of this tree or wheel.
    :raises ClauseError: a page breaks the form; nothing is returned in part.
    """
    return dict(_default()) if folder is None else _read(folder)
