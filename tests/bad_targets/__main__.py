# SPDX-License-Identifier: MIT
"""
``python -m tests.bad_targets NAME [HOW]``: a target that does one thing wrong.

The docstring of each function in ``targets`` names what that is.
"""

import contextlib
import sys

from tests.bad_targets import targets

if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        getattr(targets, sys.argv[1])(*sys.argv[2:])
