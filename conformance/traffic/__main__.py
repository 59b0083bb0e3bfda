# SPDX-License-Identifier: MIT
"""
``python -m conformance.traffic``: at least 100 000 legal exchanges, not one alarm.

It prints how often each class was met with each backend.  It fails if a clause
is found broken, an order comes to no end or gets the response to another, or a
class is not met.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom
from time import monotonic

from conformance.errors import ConformanceError
from conformance.report.results import Exit
from conformance.shipped import not_run
from conformance.traffic.census import CLASSES
from conformance.traffic.lot import USUAL, Habits
from conformance.traffic.run import PAIRINGS, Pairing, Report, run

#: Where the traces go that raised an alarm.
FOLDER = Path("build/exchanges")

EXCHANGES = 100_000


def main() -> int:
    """Parse the command line, run all pairings, return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m conformance.traffic",
        description="random legal exchanges, of which the judge has nothing to say",
    )
    parser.add_argument("--exchanges", type=int, default=EXCHANGES, metavar="N", help="in all")
    parser.add_argument("--seed", type=int, help="repeats an earlier run")
    chosen = parser.parse_args()
    seed = SystemRandom().randrange(1 << 32) if chosen.seed is None else chosen.seed
    print(f"seed {seed}; repeat with --exchanges {chosen.exchanges} --seed {seed}", flush=True)
    try:
        return show(PAIRINGS, chosen.exchanges, seed, FOLDER)
    except ConformanceError as error:
        print(error)
        return error.exit_code


def show(
    pairings: Sequence[Pairing], exchanges: int, seed: int, folder: Path, habits: Habits = USUAL
) -> int:
    """
    Run each pairing's share of ``exchanges``; print what was met and what was wrong.

    :return: the exit code: 0, or 1 if anything was wrong.
    :raises ConformanceError: see ``run``.
    """
    reports: list[Report] = []
    missing: list[str] = []
    for pairing in pairings:
        if install := pairing.missing():
            print(f"{pairing.name:<14} not run: {install}")
            missing.append(install)
            continue
        begun = monotonic()
        report = run(pairing, -(-exchanges * pairing.share // 100), seed, folder, habits)
        reports.append(report)
        said = f"{report.census.exchanges} exchanges, {report.events} events"
        print(f"{pairing.name:<14} {said}, {monotonic() - begun:.0f} s", flush=True)
    print(f"\n{_table(reports)}\n")
    wrong = [line for report in reports for line in _wrong(report)]
    for line in wrong:
        print(line)
    total = sum(report.census.exchanges for report in reports)
    events = sum(report.events for report in reports)
    verdict = f"{len(wrong)} lines above say what is wrong" if wrong else "no alarm, no empty class"
    print(f"{total} exchanges, {events} events: {verdict}")
    print(not_run(missing))
    return Exit.BROKEN if wrong else Exit.OK


def _wrong(report: Report) -> list[str]:
    said = [
        *report.alarms,
        *(f"never met: {name}" for name in report.empty()),
        *(f"met, though said to be impossible: {name}" for name in report.impossible()),
    ]
    return [f"{report.pairing.name}: {line}" for line in said]


def _table(reports: Sequence[Report]) -> str:
    """One row a class, one column a pairing; below it why some cannot be met."""
    names = [report.pairing.name for report in reports]
    rows = [("hits", *names), *((name, *_hits(reports, name)) for name in CLASSES)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{row[0]:<{widths[0]}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]
    notes = [
        f"- {name}, {report.pairing.name}: {why}"
        for report in reports
        for name, why in report.pairing.cannot.items()
    ]
    return "\n".join([*lines, *notes])


def _hits(reports: Sequence[Report], name: str) -> list[str]:
    return [
        str(report.census.hits[name] or ("-" if name in report.pairing.cannot else 0))
        for report in reports
    ]


if __name__ == "__main__":
    sys.exit(main())
