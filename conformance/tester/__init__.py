# SPDX-License-Identifier: MIT
"""
What a case can do to a target: play its peer, step by step, right or wrong.

Standard library and ``vtpm_ref`` only, so that a case can run wherever a link
can.  A tester never judges; what it does and sees goes into the trace.
"""

from conformance.tester.backend import BackendTester
from conformance.tester.base import Found, Tester
from conformance.tester.commands import (
    authorised,
    clock,
    get_random,
    is_slow,
    longest_command,
    longest_response,
    random_bytes,
    resized,
    slow,
)
from conformance.tester.frontend import FrontendTester

__all__ = [
    "BackendTester",
    "Found",
    "FrontendTester",
    "Tester",
    "authorised",
    "clock",
    "get_random",
    "is_slow",
    "longest_command",
    "longest_response",
    "random_bytes",
    "resized",
    "slow",
]
