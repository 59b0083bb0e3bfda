# SPDX-License-Identifier: MIT
"""The moves against both roles, and the way from each spot to the next exchange."""

from conformance.walks import against_backends, against_frontends
from conformance.walks.base import MOVES, Move, Spot
from vtpm_ref.states import Role

__all__ = ["HOME", "MOVES", "Move", "Spot", "against_backends", "against_frontends"]

#: The move that leads a walk on to where it is connected and free, by role and spot.
HOME: dict[Role, dict[Spot, str]] = {
    Role.BACKEND: {Spot.NEW: "connect", Spot.AWAY: "connect", Spot.BUSY: "answer"},
    Role.FRONTEND: {
        Spot.NEW: "connect",
        Spot.AWAY: "reopen",
        Spot.BUSY: "answer",
        Spot.CANCELLED: "answer",
    },
}
