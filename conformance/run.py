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
from dataclasses import dataclass
from pathlib import Path

from conformance import __version__, clauses
from conformance.cases import Case
from conformance.errors import (
    AdapterError,
    RecordingError,
    SetupFailed,
    TargetSilent,
    UsageError,
)
from conformance.judge import Judgement, judge
from conformance.links.base import Link
from conformance.recorder import Recorder
from conformance.tester import BackendTester, FrontendTester
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
    :param make: makes the link for one case.
    """

    name: str
    role: Role
    link: str
    evidence: dict[str, str]
    make: MakeLink


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
    )
    with started(subject, Recorder(path, header)) as link:
        recorder = link.recorder
        recorder.event("target", tpm=link.family.value, can=",".join(sorted(link.can)))
        missing = sorted(set(filter(None, case.needs.split(","))) - link.can)
        if missing:
            return f"the target does not declare the capability {missing[0]!r}"
        _play(case, link, scale)
    return path


@contextmanager
def started(subject: Subject, recorder: Recorder) -> Iterator[Link]:
    """
    A link to a fresh target; at the end the target is stopped and the trace closed.

    :raises AdapterError: the target did not start; the trace says so.
    """
    with closing(recorder):
        link = subject.make(subject.role, Place(), recorder)
        try:
            _start(link)
            yield link
        finally:
            link.stop()


def _start(link: Link) -> None:
    try:
        link.start()
    except OSError as error:
        trouble = AdapterError(f"the target could not be started: {error.strerror}")
        link.recorder.event("trouble", what=str(trouble))
        raise trouble from error
    except AdapterError as error:
        link.recorder.event("trouble", what=str(error))
        raise


def _play(case: Case, link: Link, scale: float) -> None:
    recorder = link.recorder
    tester_type = FrontendTester if case.role is Role.BACKEND else BackendTester
    recorder.event("phase", name="setup")
    note = ""
    try:
        case.play(tester_type(link.first, scale))
    except SetupFailed as failed:
        note = str(failed)
    except TargetSilent:
        pass
    except AdapterError as error:
        recorder.event("trouble", what=str(error))
    finally:
        recorder.event("phase", name="end", note=note)


def smoke(subject: Subject, folder: Path) -> None:
    """
    Start and stop the target once, so that its trouble is not put down to a case.

    :raises AdapterError: it does not start.
    """
    header = header_of(
        [subject.role], link=subject.link, target=subject.name, evidence=subject.evidence
    )
    with started(subject, Recorder(trace_path(folder, "smoke"), header)):
        pass


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


def judge_file(path: Path, only: Iterable[str] | None = None) -> Judgement:
    """
    Judge a trace file.

    :raises TraceError: it was cut off or altered.
    """
    return judge(TraceReader(path), only)
