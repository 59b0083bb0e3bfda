# SPDX-License-Identifier: MIT
"""
Breadth-first search over worlds: every state, every move, the shortest way to each.
"""

from collections import deque
from dataclasses import dataclass, field

from vtpm_ref.world import Counterexample, World


@dataclass
class Survey:
    """
    What a search found.

    :ivar states: how many worlds can be reached.
    :ivar transitions: how many moves lead from one to the next.
    :ivar failure: what went wrong, empty if nothing did.
    :ivar path: the moves that lead to the failure, the fewest possible.
    """

    states: int = 0
    transitions: int = 0
    failure: str = ""
    path: list[str] = field(default_factory=list)


def survey(start: World) -> Survey:
    """
    Visit every world that can be reached from ``start``.

    Fails on a move that breaks an invariant, and on a world from which the
    end cannot be reached any more (a deadlock, or a wake-up that was lost).
    """
    numbers: dict[World, int] = {start: 0}
    worlds = [start]
    reached_by: list[tuple[int, str]] = [(-1, "")]
    before: list[list[int]] = [[]]
    result = Survey()
    queue = deque([0])
    while queue:
        number = queue.popleft()
        try:
            for move, after in worlds[number].moves():
                result.transitions += 1
                known = numbers.setdefault(after, len(worlds))
                if known == len(worlds):
                    worlds.append(after)
                    reached_by.append((number, move))
                    before.append([])
                    queue.append(known)
                before[known].append(number)
        except Counterexample as found:
            return _failed(result, str(found), number, reached_by, len(worlds))
    result.states = len(worlds)
    stuck = _cannot_end(worlds, before)
    if stuck is not None:
        what = f"stuck: the frontend is at {worlds[stuck].frontend.step.value!r}"
        return _failed(result, what, stuck, reached_by, len(worlds))
    return result


def _cannot_end(worlds: list[World], before: list[list[int]]) -> int | None:
    """
    A world from which no end can be reached, if there is one.

    Of several the one with no move at all, which is where a reader sees why.
    """
    good = [world.done for world in worlds]
    queue = deque(number for number, done in enumerate(good) if done)
    while queue:
        for previous in before[queue.popleft()]:
            if not good[previous]:
                good[previous] = True
                queue.append(previous)
    stuck = [number for number, fine in enumerate(good) if not fine]
    moving = {previous for lists in before for previous in lists}
    return next((number for number in stuck if number not in moving), next(iter(stuck), None))


def _failed(
    result: Survey, what: str, number: int, reached_by: list[tuple[int, str]], states: int
) -> Survey:
    result.failure, result.states = what, states
    while number > 0:
        number, move = reached_by[number]
        result.path.insert(0, move)
    return result
