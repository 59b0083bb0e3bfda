# SPDX-License-Identifier: MIT
"""
No false alarm: random legal traffic meets every class, and the judge has nothing to say.

``make exchanges`` runs 100 000; here are a few thousand, from a fixed seed.  And what must
make it fail does: a defect, a side that rests too early, a class without hits.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import pytest

from conformance.run import judge_file
from conformance.targets import Target, reference
from conformance.targets.standin import StandIn
from conformance.traffic.__main__ import show
from conformance.traffic.census import CELLS, CLASSES, LENGTHS
from conformance.traffic.commands import stand_in
from conformance.traffic.lot import USUAL
from conformance.traffic.run import PAIRINGS, Pairing, run
from tests.zoo import ANIMALS
from vtpm_ref.backend import Backend
from vtpm_ref.packet import HEADER_SIZE, Family
from vtpm_ref.page import capacity
from vtpm_ref.states import TRANSITIONS, Kind, Role
from vtpm_ref.xenbus import Place

SEED = 1
REFERENCE = PAIRINGS[0]

#: Animals that break something in legal traffic, and what.
DEFECTIVE = {
    "TwoEventsAnAnswer": "exchange.event-per-change",
    "CancelsIdlePage": "states.cancel-when-busy",
    "AnswersWithoutEvent": "exchange.answer-notifies",
    "FinishesTwice": "states.answer-only-requests",
    "WantsIdleForCancel": "cancel.finish-accepted",
    "WantsFinishForCancel": "cancel.idle-accepted",
    "SubmitsWithoutEvent": "exchange.submit-notifies",
}


def with_animal(name: str) -> Pairing:
    animal = ANIMALS[name]
    sides: dict[Role, Callable[[Place], Target]] = {
        Role.FRONTEND: reference.frontend,
        Role.BACKEND: reference.backend,
        animal.role: animal.make,
    }
    menu = stand_in(Family.TPM20)
    return Pairing(name, sides[Role.BACKEND], menu, 100, frontend=sides[Role.FRONTEND])


# What it has to show.


@pytest.mark.parametrize("pairing", PAIRINGS, ids=lambda pairing: pairing.name)
def test_legal_traffic_meets_every_class_without_an_alarm(pairing: Pairing, tmp_path: Path) -> None:
    if missing := pairing.missing():
        pytest.skip(f"not run: {missing}")
    report = run(pairing, 500, SEED, tmp_path)
    assert (report.alarms, report.empty(), report.impossible()) == ([], [], [])
    assert report.census.exchanges >= 500
    assert list(tmp_path.iterdir()) == []


def test_the_shares_are_all_of_it() -> None:
    assert sum(pairing.share for pairing in PAIRINGS) == 100


def test_a_seed_repeats_what_another_does_not(tmp_path: Path) -> None:
    first, again, other = (
        run(REFERENCE, 500, seed, tmp_path).census.hits for seed in (SEED, SEED, SEED + 1)
    )
    assert first == again != other


def test_the_cells_are_all_that_the_model_does_not_forbid() -> None:
    kinds = {cell: transition.kind for cell, transition in TRANSITIONS.items()}
    assert set(CELLS) == {cell for cell, kind in kinds.items() if kind is not Kind.ILLEGAL}
    races = {cell for cell, name in CELLS.items() if name.endswith("a race")}
    assert races == {cell for cell, kind in kinds.items() if kind is Kind.RACE}


def test_the_lengths_leave_no_gap() -> None:
    bounds = [HEADER_SIZE - 1, *(end for bounds in LENGTHS.values() for end in bounds)]
    assert bounds[-1] == capacity()
    assert all(last + 1 == least for last, least in zip(bounds[::2], bounds[1::2], strict=False))


def test_the_table_has_the_hits_of_every_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairings = [replace(REFERENCE, share=50, name=name) for name in ("one", "other")]
    assert show(pairings, 2000, SEED, tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in CLASSES:
        [line] = [line for line in lines if line.startswith(f"{name}  ")]
        assert all(int(hits) for hits in line.removeprefix(name).split()), line
    assert lines[-2].endswith(": no alarm, no empty class")
    assert lines[-1] == "not run: nothing"


# That it can fail.


@pytest.mark.parametrize("name", DEFECTIVE)
def test_a_defect_raises_an_alarm_and_its_trace_is_kept(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show([with_animal(name)], 2000, SEED, tmp_path) == 1
    clause = DEFECTIVE[name]
    assert f"{name}: {clause} broken by the {ANIMALS[name].role.value}" in capsys.readouterr().out
    [trace] = tmp_path.iterdir()
    assert clause in judge_file(trace).broken


def test_a_side_that_rests_too_early_is_an_alarm_by_itself(tmp_path: Path) -> None:
    """A wake-up that is lost breaks no clause in such a trace, but the order has no end."""
    report = run(with_animal("ForgetsEvents"), 2000, SEED, tmp_path)
    assert report.alarms[0] == "an order came to no end"
    assert len(list(tmp_path.iterdir())) == 1


@dataclass(frozen=True)
class OneBehind(Backend):
    """A backend that answers each request with the response to the one before."""

    kept: bytes | None = None

    def completed(self, response: bytes | None) -> Self:
        return replace(super().completed(self.kept or response), kept=response)


def test_the_response_to_another_request_is_an_alarm_by_itself(tmp_path: Path) -> None:
    """No judge can tell from the page what a TPM would have said."""

    def backend(place: Place) -> Target:
        return Target("one behind", OneBehind(place), StandIn())

    report = run(replace(REFERENCE, backend=backend), 500, SEED, tmp_path)
    assert "got a response that is not its own" in report.alarms[0]


def test_a_class_without_hits_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A user who never cancels meets none of what follows a CANCEL."""
    never = replace(USUAL, cancels=0, expiries=0)
    assert show([replace(REFERENCE, share=100)], 1000, SEED, tmp_path, never) == 1
    said = capsys.readouterr().out
    missed = [line.split("never met: ")[1] for line in said.splitlines() if "never met" in line]
    assert missed == [name for name in CLASSES if "CANCEL" in name or "cancel" in name]


def test_a_class_that_is_wrongly_said_to_be_impossible_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    excused = replace(REFERENCE, share=100, cannot={"request: 10": "it seems so"})
    assert show([excused], 1000, SEED, tmp_path) == 1
    assert "met, though said to be impossible: request: 10" in capsys.readouterr().out


def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = replace(REFERENCE, share=50, name="absent", missing=lambda: "apt-get install it")
    assert show([replace(REFERENCE, share=50), absent], 2000, SEED, tmp_path) == 0
    said = capsys.readouterr().out
    assert "absent         not run: apt-get install it\n" in said
    assert said.endswith("not run: 1 target; apt-get install it\n")
