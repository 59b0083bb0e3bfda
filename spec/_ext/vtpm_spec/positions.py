# SPDX-License-Identifier: MIT
"""
Every position that the explorer can show, walked with the model: plain data, no Sphinx.

The page's script draws these tables and decides nothing.  What occurs in many
positions (the bytes of the page, where a side is, the nodes) is kept once and
counted from 0.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cache
from zlib import crc32

from conformance.recorder import FORMAT
from vtpm_ref import page
from vtpm_ref.errors import ProtocolViolation
from vtpm_ref.ground import Counterexample, Ground
from vtpm_ref.states import TRANSITIONS, Kind, Role, State
from vtpm_ref.steps import Store, store_state
from vtpm_ref.world import Budget, World
from vtpm_ref.xenbus import XenbusState


@dataclass(frozen=True)
class Scene:
    """
    Where the reader can begin.

    :param name: as links have it; never changed.
    """

    name: str
    title: str
    start: World


SCENES = (
    Scene(
        "requests",
        "Two requests, one cancel, one request given up",
        World.connected(Budget(requests=2, cancels=1, idle_answers=1)),
    ),
    Scene("connect", "Connect", World(Budget(requests=0))),
    Scene(
        "close",
        "One request, close at any moment, connect again",
        World.connected(Budget(requests=1, closes=1, opens=1)),
    ),
)

#: The clause that keeps a role from all of the page but ``state`` when it is not the owner.
REST = {
    Role.FRONTEND: "states.request-stands-still",
    Role.BACKEND: "states.response-stands-still",
}

#: The clause that has a frontend wait for its backend before the first request.
EARLY = "connecting.submit-when-connected"

#: A store to any byte but ``state``.
_OTHER = Store(page.LENGTH.offset, bytes(page.LENGTH.size))


class Numbers:
    """Gives each different value a number, in the order in which they come."""

    def __init__(self) -> None:
        self._known: dict[Hashable, int] = {}

    def of(self, value: Hashable) -> int:
        """The number of ``value``."""
        return self._known.setdefault(value, len(self._known))

    @property
    def values(self) -> list[Hashable]:
        """All values by number."""
        return list(self._known)


def walk(start: World) -> list[tuple[World, list[tuple[str, int]]]]:
    """Every world that can be reached, with its moves and the numbers they lead to."""
    numbers = {start: 0}
    worlds = [start]
    out: list[tuple[World, list[tuple[str, int]]]] = []
    for world in worlds:  # grows on the way
        moves = []
        for name, after in world.moves():
            number = numbers.setdefault(after, len(worlds))
            if number == len(worlds):
                worlds.append(after)
            moves.append((name, number))
        out.append((world, moves))
    return out


def played_by(move: str) -> Role:
    """Whose move it is: a user belongs to the frontend, a TPM to the backend."""
    who = move.partition(":")[0].partition(" /")[0]
    return Role.FRONTEND if "frontend" in who or "the user" in who else Role.BACKEND


@cache
def verdict(ground: Ground, role: Role) -> str:
    """
    What ``role`` may store now: a letter for each value of ``state``, one for the rest.

    ``l`` legal, ``r`` a race within the rules, ``f`` forbidden, ``u`` nobody
    else knows the page yet, ``n`` it has no page.
    """
    out = []
    for operation in (*map(store_state, State), _OTHER):
        try:
            ground.take(role, operation)
        except Counterexample as refusal:
            rule = operation is _OTHER or isinstance(refusal.__cause__, ProtocolViolation)
            out.append("f" if rule else "n")
        else:
            out.append("l" if ground.published else "u")
    if out[0] == "n":
        return "n" * len(out)
    if ground.published:
        old = State(ground.pages[-1][page.STATE.offset])
        for new in State:
            race = TRANSITIONS[old, role, new].kind is Kind.RACE
            out[new] = "r" if race and out[new] == "l" else out[new]
    return "".join(out)


def may_store(world: World) -> tuple[str, str]:
    """
    What each side may store, as ``verdict`` says it, with one letter more.

    ``e`` too early: the backend's state is not Connected.
    """
    # Nodes and events decide no other store; without them few grounds are left to ask.
    bare = replace(
        world.ground, nodes=(), watches=frozenset(), events=frozenset(), changes=frozenset()
    )
    frontend, backend = verdict(bare, Role.FRONTEND), verdict(bare, Role.BACKEND)
    node = world.backend.place.path(Role.BACKEND, "state")
    connected = dict(world.ground.nodes).get(node) == str(int(XenbusState.CONNECTED))
    if frontend[State.SUBMIT] == "l" and not connected:
        frontend = f"{frontend[: State.SUBMIT]}e{frontend[State.SUBMIT + 1 :]}"
    return frontend, backend


def between(world: World) -> tuple[str, ...]:
    """What lies between the two sides, or is on its way, one line each."""
    ground = world.ground
    lines = []
    if ground.gref:
        granted = "no longer granted" if ground.revoked else "granted"
        mapped = ", mapped by the backend" if ground.mapped == ground.gref else ""
        lines.append(f"page {ground.gref}: {granted}{mapped}")
    if ground.port:
        bound = ", bound by the backend" if ground.bound == ground.port else ""
        lines.append(f"event channel, port {ground.port}: open{bound}")
    lines += [f"an event waits for the {role.value}" for role in Role if role in ground.events]
    lines += [f"the {role.value} is to see {path}" for role, path in sorted(ground.changes)]
    if world.running:
        lines.append("the TPM works")
    return tuple(lines)


def cells() -> dict[str, dict[str, list[list[str]]]]:
    """The transition table: by role and old state, kind, clause and reason of each new state."""
    return {
        role.value: {
            old.name: [
                [cell.kind.value, cell.clause, cell.why]
                for cell in (TRANSITIONS[old, role, new] for new in State)
            ]
            for old in State
        }
        for role in Role
    }


def export() -> dict[str, object]:
    """
    All positions of all scenes, for JSON.

    A position is a row of numbers: page, frontend, backend, between, nodes,
    what the frontend may store, what the backend may.  Its moves are pairs in
    one row: which move, and how much further on the position lies that follows.
    """
    pages, moves, steps, ways = Numbers(), Numbers(), Numbers(), Numbers()
    nodes, verdicts = Numbers(), Numbers()
    scenes: list[list[object]] = []
    rows: list[list[int]] = []
    following: list[list[int]] = []
    for scene in SCENES:
        scenes.append([scene.name, scene.title, len(rows)])
        for number, (world, after) in enumerate(walk(scene.start)):
            ground = world.ground
            rows.append(
                [
                    pages.of(ground.pages[-1].hex() if ground.pages else ""),
                    steps.of(world.frontend.step.value),
                    steps.of(world.backend.step.value),
                    ways.of(between(world)),
                    nodes.of(ground.nodes),
                    *map(verdicts.of, may_store(world)),
                ]
            )
            following.append([n for name, to in after for n in (moves.of(name), to - number)])
    return {
        "of": f"{crc32(repr((rows, following, moves.values)).encode()):08x}",
        "format": FORMAT,
        "roles": [role.value for role in Role],
        "xenbus": [state.name.title().replace("_", "") for state in XenbusState],
        "states": [state.name for state in State],
        "fields": [[field.name, field.offset, field.size] for field in page.FIELDS],
        "cells": cells(),
        "early": EARLY,
        "rest": {role.value: clause for role, clause in REST.items()},
        "scenes": scenes,
        "moves": [[str(name), played_by(str(name)).value] for name in moves.values],
        "pages": pages.values,
        "steps": steps.values,
        "between": ways.values,
        "nodes": nodes.values,
        "verdicts": verdicts.values,
        "positions": rows,
        "next": following,
    }
