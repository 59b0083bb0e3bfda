# SPDX-License-Identifier: MIT
"""The page of verdicts and exit codes lists what the judge has, in the judge's order."""

import re

from conformance.judge import Verdict
from conformance.report import terminal
from conformance.report.results import Exit, worst
from tests.docs_support import SPEC

PAGE = (SPEC / "verdicts.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The body of the table in the section with this heading."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1:]]


def test_every_verdict_is_there_in_order_with_its_mark() -> None:
    listed = {row[0]: row[1] for row in rows("Verdicts")}
    assert list(listed) == [verdict.value for verdict in Verdict]
    for verdict in Verdict:
        assert f"`{terminal.MARKS[verdict]}`" in listed[verdict.value]


def test_every_exit_code_is_there() -> None:
    assert [int(row[0]) for row in rows("Exit codes")] == sorted(Exit)


def test_the_order_in_which_exit_codes_win_is_the_judges() -> None:
    said = re.search(r"several apply, ([^:]+):", PAGE)
    assert said
    order = [Exit(int(code)) for code in re.findall(r"\d+", said[1])]
    assert {*order, Exit.OK} == set(Exit)
    for place, code in enumerate(order):
        assert worst([*order[place:][::-1], Exit.OK]) is code
