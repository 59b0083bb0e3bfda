# SPDX-License-Identifier: MIT
"""
What keeps pages, model and judge in step.  Every lint is a function over
plain data that returns problems; none of them knows Sphinx.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from conformance.clauses import KEYWORD, Clause

from .source import Block

#: The section that introduces the keywords, and with them may name them.
KEYWORDS_ALLOWED = ("introduction", "How rules are written")

#: The parts of the rationale that a clause owes which no public text backs.
RATIONALE = ("Why.", "Alternatives.", "Deployed peers.")

#: How a source says that deployed implementations agree.
AGREEMENT = re.compile(
    r"\bpractice of (?:all|each|every)\b"
    r"|\b(?:all|each|every)(?: deployed)? (?:implementation|frontend|backend|peer)s?\b",
    re.I,
)

#: Words that a header cell has only in a table which the model can make.
MODEL_HEADERS = re.compile(
    r"\boffset\b|\b(?:old|new|next|from|to) state\b|\bwrites over\b|\bxenbus state\b", re.I
)
STATE_NAMES = re.compile(r"\b(?:IDLE|SUBMIT|FINISH|CANCEL|InitWait|Initialised|Connected)\b")

#: Corners and edges of drawn boxes; arrows as in a ladder diagram.
BOX = re.compile(r"\+[-=]{2,}\+|[\u2500-\u257f]")
ARROW = re.compile(r"-{2,}>|<-{2,}|={2,}>|<={2,}|[\u2190-\u2194]")
PICTURE = re.compile(r"!\[[^\]]*\]\(|^\{(?:image|figure|graphviz|mermaid)\}|<(?:img|table|svg)\b")

_PIPE_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*")
_HEADING_WORDS = re.compile(r"\*((?:[A-Z][a-z]+)(?:\s+[a-z]+)*\.)\*")


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One finding: where, what is wrong, what to do about it.

    :param page: a page's name, or a path in the tree (of the model, of the judge).
    """

    page: str
    line: int
    what: str
    todo: str

    @property
    def where(self) -> str:
        """File and line, as an editor understands them."""
        file = self.page if "/" in self.page else f"{self.page}.md"
        return f"{file}:{self.line}"

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.todo}"


def keywords(page: str, parts: Sequence[Block]) -> list[Problem]:
    """
    RFC 2119 keywords stand in clauses.

    Two places may name them: the section that introduces them, and what a
    clause's rationale says behind *Alternatives.*, where another level is
    weighed.
    """
    found = []
    section, in_rationale = "", False
    for part in parts:
        if part.kind == "heading":
            section, in_rationale = part.info, False
        if part.kind == "fence":
            in_rationale = part.info.startswith("{clause}")
            if in_rationale or not part.info.startswith("{") or part.info == "{doctest}":
                continue
        if (page, section) == KEYWORDS_ALLOWED and part.kind == "text":
            continue
        weighed = _spans(part.text).get("Alternatives.") if in_rationale else None
        for word in KEYWORD.finditer(part.text):
            if not weighed or not weighed[0] <= word.start() < weighed[1]:
                what = f"keyword {word[0]} outside a clause"
                todo = "make the sentence a clause, or say it without the keyword"
                found.append(Problem(page, part.line_of(word.start()), what, todo))
    return found


def _spans(text: str) -> dict[str, tuple[int, int]]:
    """
    Where what stands behind each run-in heading (*Why.*) begins and ends.
    """
    heads = list(_HEADING_WORDS.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {
        " ".join(head[1].split()): (head.end(), end)
        for head, end in zip(heads, ends, strict=False)
        if text[head.end() : end].strip()
    }


def rationale(page: str, parts: Sequence[Block], clauses: Mapping[str, Clause]) -> list[Problem]:
    """
    A clause that this document decides says why, what else, and what peers do.
    """
    found = []
    for index, part in enumerate(parts):
        clause = clauses.get(part.info.removeprefix("{clause}").strip())
        if part.kind != "fence" or clause is None or clause.status not in ("settled", "corrects"):
            continue
        following = []
        for after in parts[index + 1 :]:
            if after.kind != "text":
                break
            following.append(after.text)
        spans = _spans("\n".join(following))
        missing = " ".join(f"*{head}*" for head in RATIONALE if head not in spans)
        if missing:
            what = f"clause {clause.id} is {clause.status} and has no {missing} under it"
            todo = "write the missing parts into the paragraphs below the clause"
            found.append(Problem(page, part.line, what, todo))
    return found


def agreement(clauses: Mapping[str, Clause]) -> list[Problem]:
    """
    What all deployed implementations do has not been decided here.
    """
    found = []
    for clause in clauses.values():
        said = AGREEMENT.search(clause.source)
        if said and clause.status == "settled":
            what = f"clause {clause.id} is settled and its source says {said[0]!r}"
            todo = "give it the status practice, or name in the source who does otherwise"
            found.append(Problem(clause.page, clause.line, what, todo))
    return found


def hand_made(page: str, parts: Iterable[Block]) -> list[Problem]:
    """
    Layouts, transitions and handshakes are made from the model, never by hand.
    """
    found = []
    for part in parts:
        for number, line in enumerate(part.lines, part.first):
            drawn = BOX.search(line) or (part.kind == "fence" and ARROW.search(line))
            if drawn and part.info != "{doctest}":
                found.append(_by_hand(page, number, f"drawing {line.strip()!r}"))
        if picture := PICTURE.search(f"{part.info}\n{part.text}"):
            found.append(_by_hand(page, part.line, f"picture or raw HTML {picture[0]!r}"))
        for number, cells in _headers(part):
            header = " | ".join(cells)
            if MODEL_HEADERS.search(header) or len(set(STATE_NAMES.findall(header))) > 1:
                found.append(_by_hand(page, number, f"table with header {header!r}"))
    return found


def _by_hand(page: str, line: int, what: str) -> Problem:
    made = "page-layout, state-diagram, ladder, field-table, transition-table, node-table"
    todo = f"use {made} or handshake-table, which the model makes"
    return Problem(page, line, f"{what} written by hand", todo)


def _headers(part: Block) -> Iterable[tuple[int, list[str]]]:
    """
    Line and cells of the header row of each table in ``part``.
    """
    for number, (row, rule) in enumerate(zip(part.lines, part.lines[1:], strict=False)):
        if "|" in row and "|" in rule and _PIPE_RULE.fullmatch(rule):
            yield part.first + number, [cell.strip() for cell in row.strip("| ").split("|")]
    if part.info.startswith("{csv-table}"):
        for number, row in enumerate(part.lines, part.first):
            if row.startswith(":header:"):
                yield number, [cell.strip(' "') for cell in row[len(":header:") :].split(",")]
    if part.info.startswith("{list-table}"):
        cells: list[str] = []
        start = part.first
        for number, row in enumerate(part.lines, part.first):
            if cells and row.startswith("*"):
                break
            if cell := re.match(r"(?:\*|  )\s*-\s+(.*)", row):
                start = start if cells else number
                cells.append(cell[1].strip())
        yield start, cells


def checked(
    clauses: Mapping[str, Clause], rules: Collection[str], cases: Mapping[str, str]
) -> list[Problem]:
    """
    Each clause has a rule and a case, or says which evidence would show it.

    :param cases: clause id of each case, by case id.
    """
    provoked = set(cases.values())
    found = []
    for clause in clauses.values():
        missing = " and ".join(
            name
            for name, there in (("rule", clause.id in rules), ("case", clause.id in provoked))
            if not there
        )
        if missing and not clause.unobservable:
            what = f"clause {clause.id} has no {missing} and no ':unobservable:'"
            todo = "write it in conformance/, or say which evidence would show the clause kept"
            found.append(Problem(clause.page, clause.line, what, todo))
    return found


@dataclass(frozen=True, slots=True)
class Citation:
    """
    Something outside the pages that names a clause.

    :param what: who names it, in words.
    :param written: how it stands in the file, between double quotes.
    """

    what: str
    clause: str
    written: str


def citations(
    clauses: Collection[str], cited: Iterable[Citation], files: Mapping[str, str]
) -> list[Problem]:
    """
    Rules, cases and the model's tables cite clauses that exist.

    :param files: text of the files that hold the citations, by path in the tree.
    """
    found = []
    for citation in cited:
        if citation.clause not in clauses:
            what = f"{citation.what} cites unknown clause {citation.clause}"
            todo = "mend the id, or write the clause in a page"
            found.append(Problem(*_where(citation.written, files), what, todo))
    return found


def _where(written: str, files: Mapping[str, str]) -> tuple[str, int]:
    """
    File and line where ``written`` stands in quotes; else the first of the files.
    """
    for file, text in files.items():
        before, quoted, _ = text.partition(f'"{written}"')
        if quoted:
            return file, before.count("\n") + 1
    return next(iter(files)), 1


def same_list(built: Mapping[str, Clause], read: Mapping[str, Clause]) -> list[Problem]:
    """
    Sphinx and the judge's reader see the same clauses, field for field.
    """
    found = []
    todo = "write the clause as the reader in conformance/clauses.py expects it"
    for name in sorted(built.keys() | read.keys()):
        here, there = built.get(name), read.get(name)
        if here is None or there is None:
            known = here or there
            assert known is not None
            whose = "the reader" if here is None else "Sphinx"
            what = f"clause {name} is seen by {whose} only"
            found.append(Problem(known.page, known.line, what, todo))
            continue
        for field in fields(Clause):
            ours, theirs = getattr(here, field.name), getattr(there, field.name)
            if ours != theirs:
                differs = f"{field.name} is {ours!r} to Sphinx, {theirs!r} to the reader"
                what = f"clause {name}: {differs}"
                found.append(Problem(here.page, here.line, what, todo))
    return found
