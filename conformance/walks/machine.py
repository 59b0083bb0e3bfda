# SPDX-License-Identifier: MIT
"""
Draws walks at random, and shrinks one that breaks something, with Hypothesis.

One state machine for each role, with a rule for each move of its table.
"""

from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.errors import Flaky
from hypothesis.reporting import with_reporter
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from conformance.walks.moves import MOVES, Move, Spot
from conformance.walks.walk import Walk
from vtpm_ref.states import Role

#: Draws of a walk; about every third is a move that can come next.
DRAWS = 60

#: How much less often a move is drawn after which nothing can follow.
SELDOM = 7

#: Moves that others are replaced by, where they do as well, when a walk is shrunk.
PLAIN = ("exchange", "answer")

#: Everything but the phase that tries to say why: it would play hundreds of walks more.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)


class Broken(Exception):
    """A walk broke what is looked for."""


class WalkMachine(RuleBasedStateMachine):
    """
    A walk as Hypothesis sees it: moves of a table, one after the other.

    Each draw may name any move of the table, and one that cannot come next is left
    out.  So no draw depends on another, and any of them can be dropped when a
    walk is shrunk; a rule for each move, with a precondition, shrinks far less.

    :param begin: starts a walk.
    :param end: takes the walk that has come to its end; raises ``Broken``.
    """

    def __init__(self, begin: Callable[[], Walk], end: Callable[[Walk], None]) -> None:
        super().__init__()
        self.walk = begin()
        self._end = end

    def teardown(self) -> None:
        """The walk is over."""
        self._end(self.walk)


def machine_of(role: Role, *, hostile: bool) -> type[WalkMachine]:
    """The state machine against targets of ``role``."""
    moves = [move for move in MOVES[role].values() if hostile or not move.hostile]
    moves.sort(key=lambda move: move.name not in PLAIN)
    # What ends a walk comes seldom, or most walks would be short.
    moves += [move for move in moves if move.to is not Spot.GONE] * SELDOM
    most = max(len(move.values) for move in moves)

    class Walks(WalkMachine):
        """Walks against one role."""

        @rule(move=st.sampled_from(moves), choice=st.integers(0, most - 1))
        def make(self, move: Move, choice: int) -> None:
            """Make a move, if it can come next."""
            if self.walk.allows(move):
                values = move.values
                self.walk.make(move, values[choice % len(values)] if values else None)

    return Walks


def play(
    machine: type[WalkMachine],
    begin: Callable[[], Walk],
    end: Callable[[Walk], None],
    *,
    walks: int,
    number: int,
    database: Path | None,
) -> bool:
    """
    Play walks until one breaks something, and shrink that.

    :param walks: how many to play at most, shrinking not counted.
    :param number: the seed; the same draws follow from it.
    :param database: a folder of Hypothesis's, with examples of earlier runs.
    :return: whether something broke, and did so again when it was repeated.
    :raises Flaky: it broke, and did not when it was repeated.
    """

    @seed(number)
    def one() -> WalkMachine:
        return machine(begin, end)

    profile = settings(
        max_examples=walks,
        stateful_step_count=DRAWS,
        database=DirectoryBasedExampleDatabase(database) if database else None,
        deadline=None,
        derandomize=False,
        phases=_PHASES,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    with with_reporter(lambda _: None):
        try:
            run_state_machine_as_test(one, settings=profile)  # type: ignore[arg-type]
        except Broken:
            return True
    return False


__all__ = ["Broken", "Flaky", "WalkMachine", "machine_of", "play"]
