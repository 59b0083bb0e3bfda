# SPDX-License-Identifier: MIT
"""
The model, exhausted: every interleaving of the two reference machines.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import pytest

from conformance.counterexample import record
from conformance.run import judge_file
from conformance.searches import QUICK, Search, name_of
from vtpm_ref.backend import Backend
from vtpm_ref.backend import Step as BackendStep
from vtpm_ref.frontend import Frontend, Step
from vtpm_ref.search import Survey, survey
from vtpm_ref.steps import Operation, load_state
from vtpm_ref.world import Budget, World


@pytest.mark.parametrize("search", QUICK, ids=name_of)
def test_no_interleaving_goes_wrong(
    search: Search, record_property: Callable[[str, object], None]
) -> None:
    """
    No deadlock, no store by the wrong owner, no lost wake-up, no foreign answer.
    """
    start, budget = search
    found = survey(start(budget))
    figures = f"{found.states} states, {found.transitions} transitions"
    record_property("figure", f"search {name_of(search)}: {figures}")
    assert (found.failure, found.path) == ("", [])
    assert found.transitions >= found.states - 1 > 50


@dataclass(frozen=True)
class Mute(Backend):
    """Answers, but does not notify."""

    @property
    def operation(self) -> Operation | None:
        """A harmless load in the place of the event."""
        return load_state() if self.step is BackendStep.RING else super().operation


@dataclass(frozen=True)
class Blind(Frontend):
    """Submits without looking at the state."""

    def submit(self, packet: bytes, locality: int = 0) -> Self:
        """Straight to the first store."""
        return replace(super().submit(packet, locality), step=Step.PUT_PACKET)


@dataclass(frozen=True)
class Deaf(Frontend):
    """Forgets an event that comes while it is busy with another step."""

    def event(self) -> Self:
        """Only a waiting frontend hears."""
        waits = self.step in (Step.WAIT_ANSWER, Step.WAIT_FREE)
        return super().event() if waits else self


@dataclass(frozen=True)
class Sleepy(Backend):
    """Forgets an event that comes while it is busy with another step."""

    def event(self) -> Self:
        """Only a resting backend hears."""
        return super().event() if self.step is BackendStep.REST else self


DEFECTS = [
    (World(Budget(1, opens=0), backend=Mute()), "stuck"),
    (World(Budget(2, expiries=1), frontend=Blind()), "the frontend stores"),
    (World(Budget(1), frontend=Deaf()), "stuck"),
    (World(Budget(2, spurious=1), backend=Sleepy()), "stuck"),
]


@pytest.mark.parametrize(("world", "what"), DEFECTS, ids=["mute", "blind", "deaf", "sleepy"])
def test_a_planted_defect_is_found(world: World, what: str, tmp_path: Path) -> None:
    """The search finds it, and the way there is a trace that can be judged."""
    found: Survey = survey(world)
    assert what in found.failure
    trace = tmp_path / "counterexample.jsonl"
    record(world, found.path, trace)
    judgement = judge_file(trace)
    assert judgement.complete
    assert judgement.events > 10
