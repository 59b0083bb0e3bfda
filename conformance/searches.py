# SPDX-License-Identifier: MIT
"""
Which searches through the model's worlds are made, and a program that makes them.

``QUICK`` runs inside ``make test``; ``make search`` runs ``LONG`` as well.  A
counterexample becomes a trace, which ``vtpm-conformance check`` judges.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from conformance.counterexample import record
from vtpm_ref.search import survey
from vtpm_ref.world import Budget, World

#: Where the traces of counterexamples go.
FOLDER = Path("build/search")

#: A search starts at both sides' first steps, or once they have connected.
Search = tuple[Callable[[Budget], World], Budget]
_FRESH, _CONNECTED = World, World.connected

QUICK: tuple[Search, ...] = (
    (_FRESH, Budget(requests=1, opens=0)),
    (_FRESH, Budget(requests=1, restarts=1, opens=0)),
    (_CONNECTED, Budget(requests=3)),
    (_CONNECTED, Budget(requests=3, cancels=2, idle_answers=1)),
    (_CONNECTED, Budget(requests=3, expiries=1, idle_answers=1, spurious=1)),
    (_CONNECTED, Budget(requests=3, cancels=1, spurious=2)),
    (_CONNECTED, Budget(requests=2, closes=1)),
    (_CONNECTED, Budget(requests=1, closes=1, cancels=1, idle_answers=1)),
    (_CONNECTED, Budget(requests=2, backend_closes=1)),
    (_CONNECTED, Budget(requests=2, detaches=1, cancels=1)),
    (_CONNECTED, Budget(requests=2, crashes=1)),
    (_CONNECTED, Budget(requests=2, restarts=1)),
)

LONG: tuple[Search, ...] = (
    (_FRESH, Budget(requests=1, closes=1)),
    (_FRESH, Budget(requests=1, crashes=1)),
    (_FRESH, Budget(requests=1, detaches=1)),
    (_FRESH, Budget(requests=3, cancels=1, spurious=1)),
    (_CONNECTED, Budget(requests=1, closes=1, backend_closes=1)),
    (_CONNECTED, Budget(requests=1, crashes=1, restarts=1)),
    (_CONNECTED, Budget(requests=3, cancels=1, expiries=1, idle_answers=1, spurious=1)),
    (_CONNECTED, Budget(requests=3, restarts=1, cancels=1)),
)


def name_of(search: Search) -> str:
    """A search in words: from where, and with which budget."""
    start, budget = search
    return f"{'from the start' if start is _FRESH else 'connected'}, {budget}"


def main() -> int:
    """Make every search; a counterexample is printed, recorded, and exit status 1."""
    status = 0
    for number, search in enumerate((*QUICK, *LONG), 1):
        start, budget = search
        begun = time.monotonic()
        found = survey(start(budget))
        seconds = time.monotonic() - begun
        print(
            f"{found.states:>8} states {found.transitions:>9} transitions {seconds:>6.1f} s"
            f"  {name_of(search)}"
        )
        if found.failure:
            status, path = 1, FOLDER / f"counterexample-{number}.jsonl"
            record(start(budget), found.path, path)
            print(f"         {found.failure}: vtpm-conformance check {path}")
    return status


if __name__ == "__main__":
    sys.exit(main())
