# SPDX-License-Identifier: MIT
"""
One row of the table, and how the times in it are taken.
"""

import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Row:
    """
    One measurement.

    :param what: what was measured.
    :param figure: what came out, with its unit.
    :param yardstick: what it is measured against, in the same run.
    :param ratio: figure to yardstick.
    :param aim: what it should be; empty if it is only shown.
    :param met: whether it is.
    """

    what: str
    figure: str
    yardstick: str = ""
    ratio: str = ""
    aim: str = ""
    met: bool | None = None

    def cells(self) -> list[str]:
        """The row as text."""
        verdict = "" if self.met is None else "met" if self.met else "missed"
        return [self.what, self.figure, self.yardstick, self.ratio, self.aim, verdict]


#: What a job returns: how many seconds one turn of it took.
Job = Callable[[], float]


def in_turns(turns: int, *jobs: Job) -> list[float]:
    """
    Run the jobs one after the other, ``turns`` times over; each one's median.

    What disturbs the machine for a while so disturbs all of them alike.
    """
    seconds: list[list[float]] = [[] for _ in jobs]
    for _ in range(turns):
        for job, taken in zip(jobs, seconds, strict=True):
            taken.append(job())
    return [statistics.median(taken) for taken in seconds]


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which ``percent`` of ``values`` lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def rate(per_second: float) -> str:
    """A number of things per second, readable."""
    return f"{per_second:,.0f}/s".replace(",", " ")


def table(rows: Iterable[Row]) -> str:
    """The rows, their columns aligned."""
    lines = [[field.name for field in fields(Row)], *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def say(what: str) -> None:
    """Tell whoever waits what is being measured."""
    print(f"... {what}", file=sys.stderr, flush=True)
