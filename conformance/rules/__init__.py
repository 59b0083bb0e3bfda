# SPDX-License-Identifier: MIT
"""What must hold in every trace, whoever produced it; one module per page."""

from conformance.rules import (
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
from conformance.rules.base import RULES, Finding, Rule

__all__ = [
    "RULES",
    "Finding",
    "Rule",
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
