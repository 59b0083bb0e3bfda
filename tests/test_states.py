# SPDX-License-Identifier: MIT
"""
The transition table: all 32 cells, each expectation written by hand.
"""

import itertools

import pytest

from vtpm_ref.errors import ProtocolViolation
from vtpm_ref.states import OWNER, TRANSITIONS, WRITABLE, Kind, Role, State, store_state

IDLE, S, F, C = State.IDLE, State.SUBMIT, State.FINISH, State.CANCEL
FE, BE = Role.FRONTEND, Role.BACKEND

LEGAL = {
    (IDLE, FE, S),
    (F, FE, S),
    (S, FE, C),
    (C, FE, C),
    (S, BE, F),
    (S, BE, IDLE),
    (C, BE, F),
    (C, BE, IDLE),
}
RACES = {(IDLE, FE, C), (F, FE, C)}
#: The clause of each cell: by who writes what, and, of an answer, over what.
CLAUSES = {
    (FE, IDLE): "states.frontend-writes",
    (FE, F): "states.frontend-writes",
    (FE, S): "states.submit-when-free",
    (FE, C): "states.cancel-when-busy",
    (BE, S): "states.backend-writes",
    (BE, C): "states.backend-writes",
}
ANSWERS = {
    IDLE: "states.answer-only-requests",
    F: "states.answer-only-requests",
    S: "states.backend-writes",
    C: "states.backend-writes",
}
CELLS = list(itertools.product(State, Role, State))


def test_the_values_are_those_of_the_header() -> None:
    """IDLE, SUBMIT, FINISH, CANCEL are 0, 1, 2, 3."""
    assert [IDLE, S, F, C] == [0, 1, 2, 3]


def test_all_32_cells_are_decided() -> None:
    """No cell is missing and none is surplus."""
    assert len(TRANSITIONS) == 32
    assert set(TRANSITIONS) == set(CELLS)


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: f"{c[1].value}-{c[0].name}-{c[2].name}")
def test_each_cell(cell: tuple[State, Role, State]) -> None:
    """Each cell is legal, race or illegal as listed above."""
    expected = Kind.LEGAL if cell in LEGAL else Kind.RACE if cell in RACES else Kind.ILLEGAL
    assert TRANSITIONS[cell].kind is expected
    old, role, new = cell
    assert TRANSITIONS[cell].clause == CLAUSES.get((role, new), ANSWERS[old])


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: f"{c[1].value}-{c[0].name}-{c[2].name}")
def test_a_store_does_what_its_cell_says(cell: tuple[State, Role, State]) -> None:
    """A writer that knows the state it overwrites may make legal stores only."""
    old, role, new = cell
    if cell in LEGAL:
        assert store_state(old, role, new) is new
        return
    with pytest.raises(ProtocolViolation) as raised:
        store_state(old, role, new)
    violation = raised.value
    assert (violation.role, violation.old, violation.new) == (role.value, old.name, new.name)
    assert violation.clause == TRANSITIONS[cell].clause


@pytest.mark.parametrize("old", [IDLE, F])
def test_a_race_is_lawful_only_unseen(old: State) -> None:
    """CANCEL may cross an answer; it may not follow one that was seen."""
    assert store_state(old, FE, C, seen=S) is C
    with pytest.raises(ProtocolViolation, match=r"states\.cancel-when-busy"):
        store_state(old, FE, C, seen=old)


def test_who_may_write_what_at_all() -> None:
    """The frontend SUBMIT and CANCEL, the backend IDLE and FINISH."""
    assert {
        FE: (frozenset({S, C}), "states.frontend-writes"),
        BE: (frozenset({IDLE, F}), "states.backend-writes"),
    } == WRITABLE


def test_who_owns_the_page() -> None:
    """The frontend in IDLE and FINISH, the backend in SUBMIT and CANCEL."""
    assert OWNER == {IDLE: FE, F: FE, S: BE, C: BE}


def test_each_role_has_the_other_as_peer() -> None:
    """Roles are two."""
    assert (FE.peer, BE.peer) == (BE, FE)
