# SPDX-License-Identifier: MIT
"""
``python -m benchmarks``: measure everything and print one table.

With names of modules (``python -m benchmarks round_trip``), only these.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import checking, exchanges, figures, lab, round_trip, whole_run

MODULES = {
    "whole_run": whole_run,
    "round_trip": round_trip,
    "checking": checking,
    "exchanges": exchanges,
    "lab": lab,
}


def main(names: list[str]) -> int:
    """Run the named measurements, all if none is named."""
    unknown = [name for name in names if name not in MODULES]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join(MODULES)}", file=sys.stderr)
        return 4
    started = time.monotonic()
    rows: list[figures.Row] = []
    with tempfile.TemporaryDirectory(prefix="vtpm-benchmark-") as folder:
        for name in names or MODULES:
            figures.say(f"{name}: {(MODULES[name].__doc__ or '').strip().splitlines()[0]}")
            rows += MODULES[name].measure(Path(folder))
    print(figures.table(rows))
    load = " ".join(f"{part:.1f}" for part in os.getloadavg())
    print(
        f"\nPython {sys.version.split()[0]}, {os.cpu_count()} CPUs, load {load};"
        f" medians; {time.monotonic() - started:.0f} s in all"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
