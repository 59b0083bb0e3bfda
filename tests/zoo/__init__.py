# SPDX-License-Identifier: MIT
"""
The zoo: frontends and backends with one defect each, and what each of them breaks.
"""

from tests.zoo import (
    backends_cancellation,
    backends_closing,
    backends_connecting,
    backends_exchange,
    backends_locality,
    backends_long_packets,
    backends_nodes,
    backends_packets,
    backends_robustness,
    backends_several,
    backends_states,
    backends_time_limits,
    frontends_cancellation,
    frontends_closing,
    frontends_connecting,
    frontends_exchange,
    frontends_locality,
    frontends_nodes,
    frontends_packets,
    frontends_robustness,
    frontends_states,
    frontends_time_limits,
)
from tests.zoo.base import ANIMALS, Animal

__all__ = [
    "ANIMALS",
    "Animal",
    "backends_cancellation",
    "backends_closing",
    "backends_connecting",
    "backends_exchange",
    "backends_locality",
    "backends_long_packets",
    "backends_nodes",
    "backends_packets",
    "backends_robustness",
    "backends_several",
    "backends_states",
    "backends_time_limits",
    "frontends_cancellation",
    "frontends_closing",
    "frontends_connecting",
    "frontends_exchange",
    "frontends_locality",
    "frontends_nodes",
    "frontends_packets",
    "frontends_robustness",
    "frontends_states",
    "frontends_time_limits",
]
