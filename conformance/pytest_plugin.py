# SPDX-License-Identifier: MIT
"""
The cases as pytest items: in a suite of one's own, or under the command line.

In a suite: ``pytest -p conformance.pytest_plugin --vtpm-role backend
--vtpm-exec './my-backend'``.  Each case is one item; it fails when a MUST is
broken, and its report is the one that the command line prints.
"""

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.cases import Case
from conformance.errors import (
    AdapterError,
    ConformanceError,
    LabError,
    RecordingError,
    TraceError,
)
from conformance.report.results import CaseResult, RunResult
from conformance.report.terminal import failure
from conformance.run import Subject, judge_file, play, trace_path
from conformance.select import Selection, select
from conformance.subjects import subject_of
from vtpm_ref.states import Role


class CaseFailed(Exception):
    """Carries the report of a failed case to pytest."""


class CaseItem(pytest.Item):
    """One case against a fresh target."""

    def __init__(self, *, case: Case, plugin: "CasePlugin", **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        self.case = case
        self._plugin = plugin
        self.user_properties += [("clause", case.clause), ("case", case.id)]

    def runtest(self) -> None:
        """Play and judge; raise what pytest is to report."""
        entry = self._plugin.run_case(self.case, self.session)
        if entry.skipped:
            pytest.skip(entry.skipped)
        trouble = entry.trouble or (entry.judgement.trouble if entry.judgement else "")
        said = [
            self._plugin.failures(entry),
            entry.internal,
            f"trouble: {trouble}" if trouble else "",
            entry.not_reached,
        ]
        if any(said):
            raise CaseFailed("\n\n".join(filter(None, said)))

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None
    ) -> str:
        """The report as it is, without a Python traceback."""
        if isinstance(excinfo.value, CaseFailed):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where pytest says that the case is."""
        return Path(self.case.clause), 0, self.case.id


class CasePlugin:
    """
    Adds the selected cases to a session and keeps what came of them.

    :param notice: called with each case's result as it is known.
    """

    def __init__(
        self,
        subject: Subject,
        selection: Selection,
        run: RunResult,
        folder: Path,
        *,
        scale: float = 1.0,
        notice: Callable[[CaseResult], None] = lambda _: None,
    ) -> None:
        self._subject = subject
        self._selection = selection
        self._run = run
        self._folder = folder
        self._scale = scale
        self._notice = notice

    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Put the cases behind whatever else was collected."""
        for case in self._selection.cases:
            page = case.clause.split(".")[0]
            node = f"conformance.{case.role.value}.{page}::{case.id}"
            item = CaseItem.from_parent(session, name=case.id, nodeid=node, case=case, plugin=self)
            items.append(item)

    def run_case(self, case: Case, session: pytest.Session) -> CaseResult:
        """Play one case, judge its trace, note the result; a full disk ends the session."""
        entry = CaseResult(case.id, case)
        only = [clause.id for clause in self._selection.clauses]
        try:
            outcome = play(case, self._subject, self._folder, scale=self._scale)
            if isinstance(outcome, str):
                entry.skipped = outcome
            else:
                entry.judgement = judge_file(outcome, only)
                self._run.tpm = self._run.tpm or entry.judgement.tpm
        except (AdapterError, LabError) as error:
            entry.trouble = str(error)
            self._judge_rest(case, entry, only)
        except RecordingError as error:
            entry.trouble = session.shouldfail = str(error)
        except ConformanceError as error:
            entry.trouble = str(error)
        except Exception:
            entry.internal = traceback.format_exc()
        self._run.add(entry)
        self._notice(entry)
        return entry

    def failures(self, entry: CaseResult) -> str:
        """The blocks of the MUSTs that this case saw broken."""
        if entry.judgement is None:
            return ""
        results = {clause.id: clause for clause in self._selection.clauses}
        return "\n\n".join(
            "\n".join(failure(self._run, results[id], result))
            for (id, _), result in entry.judgement.results.items()
            if result.breaches and self._run.counts_as_must(results[id])
        )

    def _judge_rest(self, case: Case, entry: CaseResult, only: list[str]) -> None:
        """
        What was recorded before the adapter or the lab failed still counts.

        Of a trace that was cut off that is what it shows broken; other cases may show
        that the rest is kept, but for the clause of this one.
        """
        try:
            rest = judge_file(trace_path(self._folder, case.id), only, incomplete=True)
        except TraceError:
            return
        if not rest.complete:
            rest.results = {
                key: result
                for key, result in rest.results.items()
                if result.breaches or key[0] == case.clause
            }
        entry.judgement = rest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options for a suite of one's own; the command line has its own."""
    group = parser.getgroup("vtpm", "conformance to the Xen vTPM protocol")
    group.addoption("--vtpm-role", choices=[role.value for role in Role], help="role of the target")
    group.addoption("--vtpm-exec", help="command that starts the target")
    group.addoption("--vtpm-object", help="package.module:factory of the target")
    group.addoption("--vtpm-traces", default="vtpm-traces", help="folder for the traces")


def pytest_configure(config: pytest.Config) -> None:
    """Register the cases when a target was named on pytest's command line."""
    role_name = config.getoption("--vtpm-role", None)
    if role_name is None:
        return
    role = Role(role_name)
    try:
        subject = subject_of(
            role, config.getoption("--vtpm-exec"), config.getoption("--vtpm-object")
        )
        selection = select([role])
    except ConformanceError as error:
        raise pytest.UsageError(str(error)) from error
    run = RunResult(subject.name, subject.link, (role,), selection.clauses)
    folder = Path(config.getoption("--vtpm-traces"))
    config.pluginmanager.register(CasePlugin(subject, selection, run, folder), "vtpm-cases")
