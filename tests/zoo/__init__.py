# SPDX-License-Identifier: MIT
"""
The zoo: frontends and backends with one defect each, and what each of them breaks.
"""

from tests.zoo import (
    backends_cancellation,
    backends_connecting,
    backends_exchange,
    backends_locality,
    backends_packets,
    backends_states,
    frontends_cancellation,
    frontends_connecting,
    frontends_exchange,
    frontends_locality,
    frontends_packets,
    frontends_states,
)
from tests.zoo.base import ANIMALS, Animal

__all__ = [
    "ANIMALS",
    "Animal",
    "backends_cancellation",
    "backends_connecting",
    "backends_exchange",
    "backends_locality",
    "backends_packets",
    "backends_states",
    "frontends_cancellation",
    "frontends_connecting",
    "frontends_exchange",
    "frontends_locality",
    "frontends_packets",
    "frontends_states",
]
