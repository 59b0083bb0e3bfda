# SPDX-License-Identifier: MIT
"""
The exchanges that the pages draw: ways through the model's worlds, judged.

``SCENARIOS`` names for each the moves that have to come, in order.  Between
two of them both sides take their own steps by the shortest way, so a race is
written down by the steps that cross.
"""

import re
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from sphinx.errors import ExtensionError

from conformance.counterexample import record
from conformance.judge import Verdict
from conformance.run import judge_file
from conformance.trace import AnyEvent, TraceReader
from vtpm_ref.states import Role
from vtpm_ref.world import Budget, Counterexample, World

#: In a way: go on until neither side has anything left to do.
REST = "both rest"

_ONE = Budget(requests=1)


@dataclass(frozen=True)
class Scenario:
    """
    One exchange to draw.

    :param title: what it shows.
    :param way: the moves that have to come, and ``REST``.
    :param before: the same for what happens before the picture starts.
    :param budget: what user, TPM and others may do in it.
    """

    title: str
    way: tuple[str, ...]
    before: tuple[str, ...] = (REST,)
    budget: Budget = _ONE


@dataclass(frozen=True)
class Played:
    """
    A scenario that was recorded and judged.

    :param steps: each move with what the trace says of it.
    :param shown: how many of the steps lie before the picture.
    :param kept: ids of the clauses that the judge saw kept.
    """

    steps: tuple[tuple[str, tuple[AnyEvent, ...]], ...]
    shown: int
    kept: frozenset[str]


_CANCEL = replace(_ONE, cancels=1)
_CLOSE = replace(_ONE, closes=1)
_SUBMITTED = (REST, "the user submits", REST)
_CLOSED = (REST, "the user closes", REST)

SCENARIOS = {
    "open": Scenario("From nothing to Connected", (REST,), ()),
    "submit": Scenario(
        "A request and its response", ("the user submits", REST, "the TPM ends", REST)
    ),
    "idle-answer": Scenario(
        "A request that ends without a response",
        ("the user submits", REST, "the TPM gives up", REST),
        budget=replace(_ONE, idle_answers=1),
    ),
    "cancel-idle": Scenario(
        "CANCEL, answered with IDLE",
        ("the user cancels", REST, "the TPM gives up", REST),
        _SUBMITTED,
        _CANCEL,
    ),
    "cancel-finish": Scenario(
        "CANCEL, answered with FINISH",
        ("the user cancels", REST, "the TPM ends", REST),
        _SUBMITTED,
        _CANCEL,
    ),
    "cancel-unseen": Scenario(
        "CANCEL before the backend has seen SUBMIT",
        (
            "the user submits",
            "frontend: notify of the request",
            "the user cancels",
            "frontend: notify of the cancel",
            REST,
        ),
        budget=_CANCEL,
    ),
    "cancel-race": Scenario(
        "CANCEL crosses FINISH",
        (
            "the TPM ends",
            "backend: store the length",
            "the user cancels",
            "backend: store FINISH",
            "frontend: store CANCEL",
            REST,
        ),
        _SUBMITTED,
        _CANCEL,
    ),
    "close": Scenario("The frontend closes", ("the user closes", REST), budget=_CLOSE),
    "close-in-command": Scenario(
        "The frontend closes while the TPM works",
        ("the user closes", REST, "the TPM ends", REST),
        _SUBMITTED,
        _CLOSE,
    ),
    "reconnect": Scenario(
        "The frontend opens again", ("the user opens again", REST), _CLOSED, _CLOSE
    ),
    "backend-restart": Scenario(
        "The backend dies with a request unanswered, and starts again",
        ("the backend dies", REST),
        _SUBMITTED,
        replace(_ONE, restarts=1),
    ),
    "detach": Scenario(
        "The toolstack takes the device away",
        ("the toolstack detaches", REST),
        budget=replace(_ONE, detaches=1),
    ),
}


def play(name: str, start: World | None = None) -> Played:
    """
    Record the scenario and have the trace judged.

    :param start: the two sides; the reference machines if left out.
    :raises ExtensionError: there is no such scenario, it cannot be followed,
        or the judge saw a clause broken in it.
    """
    if name not in SCENARIOS:
        raise ExtensionError(f"no scenario {name!r}; there are: {', '.join(SCENARIOS)}")
    scenario = SCENARIOS[name]
    world = start or World(scenario.budget)
    try:
        before, middle = _follow(world, scenario.before)
        way, end = _follow(middle, scenario.way)
    except Counterexample as found:
        raise ExtensionError(f"scenario {name!r}: {found}") from found
    if end.frontend.busy:
        at = end.frontend.step.value
        raise ExtensionError(
            f"scenario {name!r} ends with the frontend at {at!r}; go on to its end"
        )
    moves = before + way
    with TemporaryDirectory() as folder:
        trace = Path(folder, f"{name}.jsonl")
        starts = record(world, moves, trace)
        events = list(TraceReader(trace))
        judgement = judge_file(trace)
    if judgement.broken or not judgement.complete:
        said = ", ".join(sorted(judgement.broken)) or "the trace is incomplete"
        raise ExtensionError(f"scenario {name!r} is no example: the judge saw broken: {said}")
    spans = zip(moves, starts, [*starts[1:], len(events)], strict=True)
    steps = tuple((move, tuple(events[first:last])) for move, first, last in spans)
    results = judgement.results.items()
    kept = frozenset(clause for (clause, _), r in results if r.verdict is Verdict.KEPT)
    return Played(steps, len(before), kept)


def _follow(world: World, way: tuple[str, ...]) -> tuple[list[str], World]:
    """
    The moves of ``way``, and the world to which they lead.

    :raises Counterexample: a side breaks an invariant, or a move cannot come.
    """
    moves: list[str] = []
    for goal in way:
        taken, world = _to_rest(world) if goal == REST else _to(world, goal)
        moves += taken
    return moves, world


def is_step(move: str) -> bool:
    """Whether one of the two sides takes a step of its own."""
    return move.startswith(tuple(f"{role.value}: " for role in Role))


def is_delivery(move: str) -> bool:
    """Whether an event or the change of a node arrives."""
    return re.match(r"the (frontend|backend) (gets an event|sees /)", move) is not None


def _own(world: World) -> list[tuple[str, World]]:
    """The moves that come by themselves, steps before deliveries."""
    moves = [move for move in world.moves() if is_step(move[0]) or is_delivery(move[0])]
    return sorted(moves, key=lambda move: move[0])


def _to_rest(world: World) -> tuple[list[str], World]:
    """Steps come before deliveries, so each side ends what it is at."""
    taken: list[str] = []
    known = {world}
    while own := _own(world):
        move, world = own[0]
        taken.append(move)
        if world in known:
            raise Counterexample(f"the two sides never rest; again comes {move!r}")
        known.add(world)
    return taken, world


def _to(world: World, goal: str) -> tuple[list[str], World]:
    """The shortest way to the world after ``goal``."""
    known = {world}
    queue: deque[tuple[World, list[str]]] = deque([(world, [])])
    while queue:
        here, taken = queue.popleft()
        for move, after in here.moves():
            if move == goal:
                return [*taken, move], after
        for move, after in _own(here):
            if after not in known:
                known.add(after)
                queue.append((after, [*taken, move]))
    raise Counterexample(f"{goal!r} cannot come here")
