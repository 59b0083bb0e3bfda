# SPDX-License-Identifier: MIT
"""What a tester does to a target; one module per page, and two for closing and coming back."""

from conformance.cases import (
    cancellation,
    closing,
    coming_back,
    connecting,
    exchange,
    locality,
    long_packets,
    nodes,
    packets,
    robustness,
    several,
    shared_page,
    states,
    time_limits,
)
from conformance.cases.base import CASES, Case

__all__ = [
    "CASES",
    "Case",
    "cancellation",
    "closing",
    "coming_back",
    "connecting",
    "exchange",
    "locality",
    "long_packets",
    "nodes",
    "packets",
    "robustness",
    "several",
    "shared_page",
    "states",
    "time_limits",
]
