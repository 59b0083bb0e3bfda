# SPDX-License-Identifier: MIT
"""
Makes every mutant, and shows which of them is not caught: ``make mutants``.

Each runs in a process of its own that is forked from this one, until the
first check fails.  A mutant that survives all checks makes the exit status 1.
"""

import argparse
import contextlib
import io
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import NoReturn

from tests.mutants.checks import checks
from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.made import Mutant, all_mutants

#: Seconds of processor time; a mutant that runs longer than all checks take is caught.
LIMIT = 30

#: Exit statuses of a mutant's process.
CAUGHT, SURVIVED = 0, 7


def main() -> int:
    """Make all mutants; the exit status."""
    parser = argparse.ArgumentParser(description="mutants of the model's tables")
    parser.add_argument("--only", default="", metavar="TEXT", help="only those with TEXT in them")
    only = parser.parse_args().only
    begun = time.monotonic()
    _warm_up()
    mutants = [mutant for mutant in all_mutants() if only in mutant.name]
    made: Counter[str] = Counter(mutant.table for mutant in mutants)
    by: Counter[str] = Counter()
    survivors: list[Mutant] = []
    for mutant, kind in _tried(mutants):
        by[kind] += 1
        if not kind:
            survivors.append(mutant)
            print(f"survived: {mutant.name}", flush=True)
    lost = [mutant for mutant in survivors if mutant.name not in EQUIVALENT]
    _report(made, by, survivors, lost)
    print(f"{time.monotonic() - begun:.0f} s")
    return 1 if lost else 0


def _warm_up() -> None:
    """Load everything once, and see that nothing is caught where nothing is changed."""
    for name, check in checks():
        try:
            check()
        except BaseException as error:
            sys.exit(f"{name} fails without any mutant: {error}")


def _tried(mutants: list[Mutant]) -> Iterator[tuple[Mutant, str]]:
    """Each mutant with the kind of check that caught it, empty for a survivor."""
    running: dict[int, tuple[Mutant, int]] = {}
    waiting = list(reversed(mutants))
    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            mutant = waiting.pop()
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(reader)
                _child(mutant, writer)
            os.close(writer)
            running[pid] = (mutant, reader)
        pid, status = os.wait()
        mutant, reader = running.pop(pid)
        with os.fdopen(reader) as said:
            kind = said.read()
        if status and os.waitstatus_to_exitcode(status) != SURVIVED:
            kind = kind or "time or crash"
        yield mutant, kind


def _child(mutant: Mutant, writer: int) -> NoReturn:
    """Apply ``mutant``, and check until the first failure."""
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    kind = ""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            mutant.apply()
            for name, check in checks():
                kind = name.split()[0].rpartition(".")[0] or name.split()[0]
                check()
            kind = ""
        except BaseException:
            kind = kind or "import"
    os.write(writer, kind.encode())
    os._exit(CAUGHT if kind else SURVIVED)


def _report(
    made: Counter[str], by: Counter[str], survivors: list[Mutant], lost: list[Mutant]
) -> None:
    left = Counter(mutant.table for mutant in survivors)
    print(f"{'table':<24} {'made':>5} {'caught':>6} {'survived':>8}")
    for table, count in made.items():
        print(f"{table:<24} {count:>5} {count - left[table]:>6} {left[table]:>8}")
    total, alive = sum(made.values()), len(survivors)
    print(f"{'all':<24} {total:>5} {total - alive:>6} {alive:>8}")
    print("caught by: " + ", ".join(f"{k} {n}" for k, n in by.most_common() if k))
    for mutant in survivors:
        if mutant not in lost:
            print(f"no difference: {mutant.name}: {EQUIVALENT[mutant.name]}")
    print(f"not caught, and no reason given: {len(lost)}")


if __name__ == "__main__":
    sys.exit(main())
