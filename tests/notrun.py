# SPDX-License-Identifier: MIT
"""
pytest plugin: the last line of a run says what was not run, and what would run it.

Before it stand the figures that tests have recorded as the property ``figure``.

A test that needs a Debian package skips with ``not run: apt-get install NAME ...``.
With ``VTPM_REQUIRE_ALL=1`` a run that left anything out fails.
"""

import os
import re

import pytest


class NotRun:
    def __init__(self) -> None:
        self.count = 0
        self.figures: list[str] = []
        self.packages: set[str] = set()

    def add(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        # An expected failure counts as skipped too, but it did run.
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        self.count += 1
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        named = re.search(r"not run: apt-get install (.+)", reason)
        if named:
            self.packages.update(named[1].split())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.add(report)
        if report.when == "call":
            self.figures += [str(v) for name, v in report.user_properties if name == "figure"]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for figure in self.figures:
            terminalreporter.write_line(figure)

    # A module that skips itself as a whole counts as one.
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.add(report)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.count and exitstatus == pytest.ExitCode.OK and os.environ.get("VTPM_REQUIRE_ALL"):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def line(self) -> str:
        if not self.count:
            return "not run: nothing"
        tests = "1 test" if self.count == 1 else f"{self.count} tests"
        if not self.packages:
            return f"not run: {tests}"
        return f"not run: {tests}; apt-get install {' '.join(sorted(self.packages))}"

    # After everything else that pytest prints.
    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        print(self.line())


def pytest_configure(config: pytest.Config) -> None:
    # Only the process that reports knows all results (a worker of pytest-xdist does not).
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(NotRun(), "tests.notrun.NotRun")
