# SPDX-License-Identifier: MIT
"""
Walks against every target that ships, legal ones and hostile ones: ``make walks``.
"""

import sys
from pathlib import Path

from conformance.errors import ConformanceError
from conformance.report import walks
from conformance.report.results import Exit, worst
from conformance.shipped import SHIPPED
from conformance.walks.session import Session

#: Where the traces go.
FOLDER = Path("build/walks")

#: The first seeds; every run of the program is the same.
SEEDS = range(1, 3)


def main() -> int:
    """Walk against all; return the exit code of the worst."""
    codes: list[Exit] = []
    for entry in SHIPPED:
        if missing := entry.missing():
            print(f"{entry.name:<30} not run: {missing}")
            continue
        for hostile in (False, True):
            folder = FOLDER / entry.name.replace(" ", "-").replace(",", "")
            session = Session(entry.subject(), folder, hostile=hostile)
            try:
                session.play(SEEDS)
            except ConformanceError as error:
                print(f"{entry.name:<30} {error}")
                codes.append(Exit(error.exit_code))
                continue
            codes.append(session.exit_code)
            kind = "legal and hostile" if hostile else "all legal"
            done = f"{session.walks} walks of {session.moves} moves, {kind}"
            print(f"{entry.name:<30} {done}; exit {int(session.exit_code)}", flush=True)
            if session.exit_code is not Exit.OK:
                walks.report(session, f"(target {entry.name})", sys.stdout)
    return worst(codes)


if __name__ == "__main__":
    sys.exit(main())
