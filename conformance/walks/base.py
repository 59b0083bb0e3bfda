# SPDX-License-Identifier: MIT
"""
What a move is, and the table of all moves.

Standard library only, as the cases: what draws moves at random is elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from vtpm_ref.states import Role


class Spot(StrEnum):
    """
    Where a walk stands.

    It follows from the moves alone, never from what the target did, so that
    the same draws are always the same walk.
    """

    NEW = "not connected yet"
    AWAY = "closed"
    FREE = "connected, no request under way"
    BUSY = "a request under way"
    CANCELLED = "a request under way, its CANCEL seen"
    GONE = "the device is taken away; nothing can follow"


#: What a move needs that makes sense only where the link sees every store.
EXACT = "exact stores"


@dataclass(frozen=True)
class Move:
    """
    One thing that a tester does in a walk.

    :param name: tells it from the other moves of its role.
    :param role: the role of the target.
    :param clause: what a target breaks that falls silent or dies in it.
    :param at: where a walk has to stand.
    :param to: where it stands afterwards; ``None``: where it was.
    :param play: called with the tester, and one of ``values`` if there are any.
    :param about: one line for reports; ``{0}`` is the value.
    :param values: what is drawn for it, the plainest first.
    :param needs: capabilities that the target has to declare; or ``EXACT``.
    :param hostile: the tester breaks the protocol in it.
    """

    name: str
    role: Role
    clause: str
    at: frozenset[Spot]
    to: Spot | None
    play: Callable[..., None]
    about: str
    values: tuple[Any, ...] = ()
    needs: frozenset[str] = field(default_factory=frozenset)
    hostile: bool = False

    def in_words(self, value: object) -> str:
        """The move as a report shows it."""
        return self.about.format(value)

    def __call__(self, tester: Any, value: object) -> None:
        """Make the move."""
        self.play(tester, value) if self.values else self.play(tester)


#: Every move by its role and name.
MOVES: dict[Role, dict[str, Move]] = {role: {} for role in Role}

_Play = Callable[..., None]


def move(
    role: Role,
    clause: str,
    at: tuple[Spot, ...],
    to: Spot | None,
    values: tuple[Any, ...] = (),
    *,
    needs: str = "",
    hostile: bool = False,
) -> Callable[[_Play], _Play]:
    """Register a move; its name and what it is about are those of the function."""

    def register(play: _Play) -> _Play:
        name = play.__name__
        if name in MOVES[role]:
            raise ValueError(f"two moves of the name {name}")
        about = (play.__doc__ or "").strip().removesuffix(".")
        words = frozenset(filter(None, needs.split(",")))
        MOVES[role][name] = Move(
            name, role, clause, frozenset(at), to, play, about, values, words, hostile
        )
        return play

    return register
