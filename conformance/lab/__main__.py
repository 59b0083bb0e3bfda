# SPDX-License-Identifier: MIT
"""``make lab``: builds the lab, or says what it lacks."""

import sys

from conformance.errors import ConformanceError
from conformance.lab import build


def main() -> int:
    """Build, with one line for each step; return the exit code."""
    lab = build.default()
    try:
        build.build(lab, lambda said: print(f"lab: {said}", flush=True))
        facts = lab.facts()
    except ConformanceError as error:
        print(f"lab: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("lab: interrupted; what was complete is kept", file=sys.stderr)
        return 130
    print(f"lab: ready in {lab.folder}: Xen {facts['Xen']}, Linux {facts['Linux']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
