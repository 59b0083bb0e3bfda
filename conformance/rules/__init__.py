# SPDX-License-Identifier: MIT
"""What must hold in every trace, whoever produced it; one module per page."""

from conformance.rules import (
    cancellation,
    connecting,
    exchange,
    locality,
    packets,
    shared_page,
    states,
)
from conformance.rules.base import RULES, Finding, Rule

__all__ = [
    "RULES",
    "Finding",
    "Rule",
    "cancellation",
    "connecting",
    "exchange",
    "locality",
    "packets",
    "shared_page",
    "states",
]
