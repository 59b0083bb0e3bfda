# SPDX-License-Identifier: MIT
"""
A backend with one defect, to see what a failure looks like.

It drops a request that is too long, as one deployed backend does, and waits
for the next; there will be none, because the frontend waits for the answer.
"""

from dataclasses import replace
from typing import Any, Self

from conformance.targets import Target
from conformance.targets.standin import StandIn
from vtpm_ref.backend import Backend, Step
from vtpm_ref.page import Header
from vtpm_ref.xenbus import Place


class DropsLongRequests(Backend):
    """The reference backend, but for one step."""

    def after(self, result: Any = None) -> Self:
        """Having sampled the header of a request that is too long, rest."""
        sampled = self.step is Step.SAMPLE and isinstance(result, bytes)
        if sampled and Header.unpack(result).length > 4088:
            return replace(self, step=Step.REST)
        return super().after(result)


def backend(place: Place) -> Target:
    """What ``--object examples.broken_backend:backend`` names."""
    return Target("broken backend", DropsLongRequests(place), StandIn())
