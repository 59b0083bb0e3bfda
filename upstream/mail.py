# SPDX-License-Identifier: MIT
"""
Changes to files, and the mails that carry them.

A change knows the lines around it, so it can be written with or without the
file that it changes; with it, the mail shows the real lines and their numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from . import UpstreamError

#: Who sends the series stands here; ``git am`` wants somebody.
SENDER = "SENDER NAME <sender@example.org>"


@dataclass(frozen=True, slots=True)
class Change:
    """
    One place of a file.

    :param old: its lines as they stand, the neighbours by which it is found included.
    :param new: what takes their place.
    :param line: of ``old`` in Xen 4.17, for a mail that is written without the tree.
    """

    old: str
    new: str
    line: int


@dataclass(frozen=True, slots=True)
class File:
    """
    What happens to one file: it is new, with ``text``, or has ``changes``, first to last.
    """

    path: str
    licence: str
    text: str = ""
    changes: tuple[Change, ...] = ()

    @property
    def kind(self) -> str:
        """What happens to it, in a word."""
        return "new" if self.text else "changed"

    def diff(self, tree: Path | None) -> str:
        """
        Return the change as git shows it.

        :param tree: a Xen tree, or None: then the lines around are those of ``old``.
        :raises UpstreamError: the tree's file is not as expected.
        """
        head = f"diff --git a/{self.path} b/{self.path}\n"
        if self.text:
            if tree and (tree / self.path).exists():
                raise UpstreamError(f"{self.path} is in {tree} already")
            return f"{head}new file mode 100644\n" + _unified("/dev/null", "", self.path, self.text)
        if tree:
            before = self._read(tree)
            return head + _unified(f"a/{self.path}", before, self.path, self.changed(before))
        return head + self._alone()

    def changed(self, before: str) -> str:
        """
        Return ``before`` with all changes made.

        :raises UpstreamError: the place of a change is not there, or not only once.
        """
        for change in self.changes:
            if before.count(change.old) != 1:
                known = change.old.strip().splitlines()[0]
                times = before.count(change.old)
                raise UpstreamError(f"{self.path} has the lines around {known!r} {times} times")
            before = before.replace(change.old, change.new)
        return before

    def _read(self, tree: Path) -> str:
        try:
            return (tree / self.path).read_text(encoding="utf-8")
        except OSError as error:
            raise UpstreamError(f"{self.path} cannot be read: {error}; is it a Xen tree?") from None

    def _alone(self) -> str:
        """Each change is a hunk of its own; its numbers are those of the release it names."""
        hunks, shift = [f"--- a/{self.path}\n+++ b/{self.path}\n"], 0
        for change in self.changes:
            old, new = change.old.count("\n"), change.new.count("\n")
            place = f"@@ -{change.line},{old} +{change.line + shift},{new} @@\n"
            # The whole of ``old`` is one hunk, whatever of it stays.
            body = _unified("a", change.old, "b", change.new, around=old)
            hunks.append(place + body.split("@@\n", 1)[1])
            shift += new - old
        return "".join(hunks)


def _unified(before: str, old: str, path: str, new: str, around: int = 3) -> str:
    lines = old.splitlines(keepends=True), new.splitlines(keepends=True)
    return "".join(unified_diff(*lines, fromfile=before, tofile=f"b/{path}", n=around))


@dataclass(frozen=True, slots=True)
class Patch:
    """
    One mail of the series.

    :param body: why and how, in lines of at most 75 columns.
    :param fixes: commit and subject of what it mends.
    :param note: what stands below the line ``---`` and is not committed.
    """

    subject: str
    body: str
    files: tuple[File, ...]
    fixes: str = ""
    note: str = ""

    def message(self) -> str:
        """Return the commit message; who signs it adds the tags that only they may give."""
        tags = f"\n\nFixes: {self.fixes}" if self.fixes else ""
        return f"{self.subject}\n\n{self.body.strip()}{tags}\n"

    def mail(self, number: int, of: int, tree: Path | None) -> str:
        """Return the whole mail, for ``git am``."""
        body = self.message().partition("\n\n")[2]
        note = f"{self.note.strip()}\n" if self.note else ""
        diffs = "".join(file.diff(tree) for file in self.files)
        return f"{head(f'[PATCH {number}/{of}] {self.subject}')}{body}---\n{note}\n{diffs}-- \n"

    def file_name(self, number: int) -> str:
        """Return a name as git gives it: the number and the subject."""
        words = "".join(c if c.isalnum() else " " for c in self.subject).split()
        return f"{number:04}-{'-'.join(words)}"[:56] + ".patch"


def head(subject: str) -> str:
    """Return the first lines of a mail."""
    started = f"From {'0' * 40} Mon Sep 17 00:00:00 2001"
    return f"{started}\nFrom: {SENDER}\nSubject: {subject}\n\n"


def paths(patches: Iterable[Patch]) -> list[str]:
    """Return the files of all patches, each once."""
    return list(dict.fromkeys(file.path for patch in patches for file in patch.files))
