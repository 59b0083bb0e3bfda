# SPDX-License-Identifier: MIT
"""What a tester does to a target; one module per page."""

from conformance.cases import (
    cancellation,
    connecting,
    exchange,
    locality,
    packets,
    shared_page,
    states,
)
from conformance.cases.base import CASES, Case

__all__ = [
    "CASES",
    "Case",
    "cancellation",
    "connecting",
    "exchange",
    "locality",
    "packets",
    "shared_page",
    "states",
]
