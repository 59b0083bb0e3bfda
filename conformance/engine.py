# SPDX-License-Identifier: MIT
"""
Runs a selection of cases under pytest, shielded from the user's own settings.

No conftest, no configuration file, no PYTEST_ variable and no third-party
plugin of the user's has a say in a verdict.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.expect import Deviation
from conformance.pytest_plugin import CasePlugin
from conformance.recorder import Recorder
from conformance.report.results import CaseResult, RunResult
from conformance.run import Subject, alone, header_of, started, trace_path
from conformance.select import Selection

#: Where pytest looks for tests of its own: a folder of data, which has none.
_NOWHERE = Path(__file__).parent / "expected"

#: How pytest can end when nothing is wrong with the judge.
_ENDS = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)


def run(
    subject: Subject,
    selection: Selection,
    folder: Path,
    *,
    scale: float = 1.0,
    strict: bool = False,
    repeat: str = "",
    junit: bool = False,
    most_failures: int = 0,
    expected: Mapping[str, Deviation] | None = None,
    notice: Callable[[CaseResult], None] = lambda _: None,
) -> RunResult:
    """
    Play and judge all selected cases.

    :param folder: where the traces go.
    :param repeat: the command line that repeats one case, but for its id.
    :param junit: keep the results as JUnit XML as well.
    :param most_failures: stop after so many failed cases; 0 means never.
    :param expected: what the target is known to break, by clause.
    :raises AdapterError: the target does not even start.
    :raises RecordingError: traces cannot be written.
    :raises UsageError: another run records into the same folder.
    """
    result = RunResult(
        subject.name,
        subject.link,
        (subject.role,),
        selection.clauses,
        strict,
        repeat,
        planned=len(selection.cases),
        expected=expected or {},
        versions=subject.versions,
    )
    plugin = CasePlugin(subject, selection, result, folder, scale=scale, notice=notice)
    with alone(folder), _shield(), _closing(subject):
        if subject.remote is not None:
            subject.remote.plan([case.id for case in selection.cases])
        smoke(subject, folder, scale)
        xml = os.memfd_create("junit") if junit else -1
        status = pytest.main(_arguments(most_failures, xml), plugins=[plugin])
        if status not in _ENDS:
            raise RuntimeError(f"pytest ended with {status!r}")
        if junit:
            with os.fdopen(xml, encoding="utf-8") as report:
                result.junit = report.read()
    result.interrupted = status == pytest.ExitCode.INTERRUPTED
    return result


def _arguments(most_failures: int, junit: int) -> list[str]:
    """
    pytest's command line.

    :param junit: descriptor that gets the JUnit XML; -1 for none.
    """
    return [
        str(_NOWHERE),
        f"--rootdir={_NOWHERE}",
        f"-c{os.devnull}",
        "--noconftest",
        "-pno:terminal",
        "-pno:cacheprovider",
        "-pno:faulthandler",
        "--capture=no",
        f"--maxfail={most_failures}",
        *([f"--junitxml=/proc/self/fd/{junit}"] if junit >= 0 else []),
    ]


def smoke(subject: Subject, folder: Path, scale: float) -> None:
    """
    Start and stop the target once, so that its trouble is not put down to a case.

    :param scale: multiplier of every limit, for slow machines.
    :raises AdapterError: it does not start.
    """
    header = header_of(
        [subject.role],
        link=subject.link,
        target=subject.name,
        evidence=subject.evidence,
        place=subject.place,
    )
    path = trace_path(folder, "smoke")
    if subject.remote is not None:
        subject.remote.play("", header, path, scale)
        return
    with started(subject, Recorder(path, header)):
        pass


@contextmanager
def _closing(subject: Subject) -> Iterator[None]:
    """Whatever happens, nothing of a target that lives elsewhere is left."""
    try:
        yield
    finally:
        if subject.remote is not None:
            subject.remote.close()


@contextmanager
def _shield() -> Iterator[None]:
    """An environment without pytest's variables."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("PYTEST_")]:
        del os.environ[name]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
