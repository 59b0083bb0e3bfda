# SPDX-License-Identifier: MIT
"""
Runs one case against one target, and judges the trace that it leaves.
"""

import fcntl
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from conformance import __version__, clauses
from conformance import play as playing
from conformance.cases import Case
from conformance.errors import RecordingError, UsageError
from conformance.judge import Judgement, judge
from conformance.links.base import Link
from conformance.recorder import Recorder
from conformance.trace import TraceReader
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

#: Makes a link to a fresh target: (judged role, place, recorder) -> link.
MakeLink = Callable[[Role, Place, Recorder], Link]


@dataclass(frozen=True)
class Subject:
    """
    What is judged and how it is reached.

    :param name: shown in reports and in the trace's header.
    :param link: name of the kind of link.
    :param evidence: what the link sees of the judged role.
    :param make: makes the link for one case; a target elsewhere has none.
    :param remote: plays the cases elsewhere, instead of ``make``.
    :param versions: what runs there, by name.
    :param place: which device it is, where that matters.
    """

    name: str
    role: Role
    link: str
    evidence: dict[str, str]
    make: MakeLink | None
    remote: "Remote | None" = None
    versions: dict[str, str] = field(default_factory=dict)
    place: Place | None = None


class Remote(Protocol):
    """Where cases are played next to the devices, and only traces come out."""

    def plan(self, cases: list[str]) -> None:
        """Tell it which cases will be asked for, so that it can play ahead."""

    def play(self, case: str, header: dict[str, object], path: Path, scale: float) -> str:
        """
        Play ``case`` with its trace in ``path``; without a name, only start the target.

        :return: in words, why the case does not apply; empty if it was played.
        """

    def close(self) -> None:
        """End what it lives in; safe to call twice."""


def header_of(
    judged: Iterable[Role],
    *,
    link: str,
    target: str,
    evidence: dict[str, str],
    case: str = "",
    place: Place | None = None,
) -> dict[str, object]:
    """The header of a trace that is about to be recorded."""
    place = place or Place()
    roles = [role.value for role in judged]
    return {
        "suite": __version__,
        "clauses": {clause.id: clause.checksum for clause in clauses.load().values()},
        "link": link,
        "judged": roles,
        "target": target,
        "evidence": {role: evidence for role in roles},
        "case": case,
        "frontend": place.frontend_id,
        "backend": place.backend_id,
        "device": place.device_id,
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def trace_path(folder: Path, case: str) -> Path:
    """Where the trace of a case goes."""
    return folder / f"{case.replace('/', '__')}.jsonl"


def play(case: Case, subject: Subject, folder: Path, *, scale: float = 1.0) -> Path | str:
    """
    Play ``case`` against a fresh target.

    :param folder: where the trace goes.
    :return: the trace's path, or, in words, why the case does not apply.
    :raises AdapterError: the target did not start; the trace is kept.
    :raises RecordingError: the trace could not be written.
    """
    path = trace_path(folder, case.id)
    header = header_of(
        [subject.role],
        link=subject.link,
        target=subject.name,
        evidence=subject.evidence,
        case=case.id,
        place=subject.place,
    )
    if subject.remote is not None:
        return subject.remote.play(case.id, header, path, scale) or path
    with started(subject, Recorder(path, header)) as link:
        return playing.play(case, link, scale) or path


@contextmanager
def started(subject: Subject, recorder: Recorder) -> Iterator[Link]:
    """
    A link to a fresh target; at the end the target is stopped and the trace closed.

    :raises AdapterError: the target did not start; the trace says so.
    """
    with closing(recorder):
        if subject.make is None:
            raise RuntimeError("a target that is played elsewhere is not started here")
        link = subject.make(subject.role, subject.place or Place(), recorder)
        try:
            playing.start(link)
            yield link
        finally:
            link.stop()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """
    Hold ``folder``, so that two runs do not judge each other's traces.

    :raises RecordingError: there is no such folder, and none can be made.
    :raises UsageError: another run holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise RecordingError(f"{folder}: cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"{folder}: another run records here; name another folder") from error
        yield
    finally:
        os.close(fd)


def judge_file(
    path: Path, only: Iterable[str] | None = None, *, incomplete: bool = False
) -> Judgement:
    """
    Judge a trace file.

    :param incomplete: judge what is there of one that was cut off.
    :raises TraceError: it was cut off or altered.
    """
    return judge(TraceReader(path, incomplete=incomplete), only)
