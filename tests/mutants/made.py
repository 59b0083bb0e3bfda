# SPDX-License-Identifier: MIT
"""
The mutants: every entry of every table of the model dropped, added or made another.

A mutant patches what it changes in the process that it is applied in, which
ends with it.
"""

import importlib
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

from vtpm_ref import backend, frontend, packet, page, states, xenbus
from vtpm_ref.packet import Family
from vtpm_ref.states import Kind, State
from vtpm_ref.xenbus import XenbusState

#: Whose modules hold the model's tables, or names for them.
_PACKAGES = ("vtpm_ref", "conformance", "tests")


@dataclass(frozen=True)
class Mutant:
    """
    One change of one table.

    :param table: where it is, for the numbers.
    :param what: the entry, and what becomes of it.
    :param apply: makes the change, for good.
    """

    table: str
    what: str
    apply: Callable[[], None]

    @property
    def name(self) -> str:
        """What it is called in reports."""
        return f"{self.table}: {self.what}"


def all_mutants() -> Iterator[Mutant]:
    """Every mutant, table by table."""
    yield from _of_states()
    yield from _of_xenbus()
    yield from _of_packets()
    yield from _of_sources()
    for module, machine in ((backend, backend.Backend), (frontend, frontend.Frontend)):
        yield from _of_program(machine, module.Step)


# How an entry is changed.


def _set(table: dict[Any, Any], key: object, value: object) -> Callable[[], None]:
    return lambda: table.__setitem__(key, value)


def _drop(table: dict[Any, Any], key: object) -> Callable[[], None]:
    return lambda: table.__delitem__(key)


def _rebind(old: object, new: object) -> Callable[[], None]:
    """Let every name for ``old`` in every module stand for ``new``."""

    def apply() -> None:
        for name, module in list(sys.modules.items()):
            if name.split(".")[0] in _PACKAGES:
                for key, value in list(vars(module).items()):
                    if value is old:
                        setattr(module, key, new)

    return apply


def _of_set(table: str, old: frozenset[Any], members: Iterable[Any]) -> Iterator[Mutant]:
    """Each of ``members`` dropped if it is in, added if it is not."""
    for member in members:
        verb = "drop" if member in old else "add"
        yield Mutant(table, f"{verb} {_say(member)}", _rebind(old, old ^ {member}))


def _of_rows(table: str, old: tuple[Any, ...], change: tuple[str, ...]) -> Iterator[Mutant]:
    """Each row dropped, swapped with the next, or with another row's value in a field."""
    for at, row in enumerate(old):
        label = f"{at + 1} {_say(row)}"
        yield Mutant(table, f"{label}: drop", _rebind(old, old[:at] + old[at + 1 :]))
        if at + 1 < len(old):
            swapped = (*old[:at], old[at + 1], row, *old[at + 2 :])
            yield Mutant(table, f"{label}: swap with the next", _rebind(old, swapped))
        for field in change:
            others = {getattr(other, field) for other in old} - {getattr(row, field)}
            for value in sorted(others, key=str):
                new = (*old[:at], replace(row, **{field: value}), *old[at + 1 :])
                what = f"{label}: {field} becomes {_say(value)}"
                yield Mutant(table, what, _rebind(old, new))


def _say(value: object) -> str:
    if isinstance(value, Enum):
        return value.name
    return str(getattr(value, "name", None) or getattr(value, "does", None) or value)


# The tables.


def _of_states() -> Iterator[Mutant]:
    table = states.TRANSITIONS
    clauses = sorted({cell.clause for cell in table.values()})
    for key, cell in table.items():
        label = f"{key[1].value} {key[0].name} to {key[2].name}"
        yield Mutant("TRANSITIONS", f"{label}: drop", _drop(table, key))
        for kind in Kind:
            if kind is not cell.kind:
                other = replace(cell, kind=kind)
                yield Mutant("TRANSITIONS", f"{label}: {kind.value}", _set(table, key, other))
        for clause in clauses:
            if clause != cell.clause:
                other = replace(cell, clause=clause)
                yield Mutant("TRANSITIONS", f"{label}: {clause}", _set(table, key, other))
    for role, (written, clause) in states.WRITABLE.items():
        yield Mutant("WRITABLE", f"drop {role.value}", _drop(states.WRITABLE, role))
        for state in State:
            other_row = (written ^ {state}, clause)
            what = f"{role.value}: {'drop' if state in written else 'add'} {state.name}"
            yield Mutant("WRITABLE", what, _set(states.WRITABLE, role, other_row))
        foreign = states.WRITABLE[role.peer][1]
        yield Mutant(
            "WRITABLE",
            f"{role.value}: {foreign}",
            _set(states.WRITABLE, role, (written, foreign)),
        )
    for state, owner in states.OWNER.items():
        yield Mutant("OWNER", f"drop {state.name}", _drop(states.OWNER, state))
        what = f"{state.name}: {owner.peer.value}"
        yield Mutant("OWNER", what, _set(states.OWNER, state, owner.peer))


def _of_xenbus() -> Iterator[Mutant]:
    for name in ("FRONTEND_READY", "FRONTEND_GONE", "BACKEND_CLOSES", "BACKEND_HOLDS"):
        yield from _of_set(name, getattr(xenbus, name), XenbusState)
    yield from _of_rows("HANDSHAKE", xenbus.HANDSHAKE, ("role", "state", "clause"))
    yield from _of_rows("CLOSING", xenbus.CLOSING, ("role", "state", "clause"))
    yield from _of_rows("NODES", xenbus.NODES, ("name", "home", "writer", "reader"))
    yield from _of_rows("PUBLISHED", xenbus.PUBLISHED, ())


def _of_packets() -> Iterator[Mutant]:
    for family, tags in packet.TAGS.items():
        known = sorted(packet.TAGS[Family.NONE].requests | packet.TAGS[Family.NONE].responses)
        for which in ("requests", "responses"):
            old = getattr(tags, which)
            for tag in known:
                new = replace(tags, **{which: old ^ {tag}})
                what = f"{family.value} {which}: {'drop' if tag in old else 'add'} {tag:#x}"
                yield Mutant("TAGS", what, _set(packet.TAGS, family, new))
        for tag in known:
            if tag != tags.error:
                other = replace(tags, error=tag)
                what = f"{family.value} error: {tag:#x}"
                yield Mutant("TAGS", what, _set(packet.TAGS, family, other))
    for family, codes in packet.CODES.items():
        values = [getattr(row, f.name) for row in packet.CODES.values() for f in fields(row)]
        for code in fields(codes):
            for value in sorted(set(values) - {getattr(codes, code.name)}):
                changed = replace(codes, **{code.name: value})
                what = f"{family.value} {code.name}: {value:#x}"
                yield Mutant("CODES", what, _set(packet.CODES, family, changed))


def _of_sources() -> Iterator[Mutant]:
    """What other constants are made of when a module is loaded: the text of its row changes."""
    for field in page.FIELDS:
        row = f'Field("{field.name}", {field.offset}, {field.size},'
        for offset in {field.offset - 1, field.offset + 1, field.offset + 4} - {-1}:
            changed = f'Field("{field.name}", {offset}, {field.size},'
            yield _source("FIELDS", page.__name__, row, changed)
        changed = f'Field("{field.name}", {field.offset}, {5 - field.size},'
        yield _source("FIELDS", page.__name__, row, changed)
    for at, field in enumerate(page.FIELDS[1:]):
        before = page.FIELDS[at]
        yield _source("FIELDS", page.__name__, f'Field("{before.name}"', f'Field("{field.name}"')
    for enum, module in ((XenbusState, xenbus), (State, states)):
        for member in enum:
            for value in range(len(enum) + 1):
                if value != member.value:
                    row, changed = (f"    {member.name} = {v}\n" for v in (member.value, value))
                    yield _source(enum.__name__, module.__name__, row, changed)


def _source(table: str, module: str, row: str, changed: str) -> Mutant:
    def apply() -> None:
        path = Path(str(sys.modules[module].__file__))
        text = path.read_text()
        assert row in text, row
        for name in [name for name in sys.modules if name.split(".")[0] in _PACKAGES]:
            if not name.startswith("tests.mutants"):
                del sys.modules[name]
        importlib.import_module("vtpm_ref.errors")
        fresh = type(sys)(module)
        fresh.__file__ = str(path)
        sys.modules[module] = fresh
        exec(compile(text.replace(row, changed, 1), str(path), "exec"), vars(fresh))
        setattr(sys.modules["vtpm_ref"], module.rpartition(".")[2], fresh)

    return Mutant(table, f"{row.strip()} becomes {changed.strip()}", apply)


def _of_program(machine: Any, steps: type[Enum]) -> Iterator[Mutant]:
    """
    Each row dropped, or leading to another step; a row for each step that waits.

    A row that leads to different steps is made to lead to one, whatever comes.
    """
    program = machine.program
    table = f"program of the {machine.role.value}"
    for step in steps:
        row = program.get(step)
        if row is None:
            for other, (asks, follows) in program.items():
                what = f"{step.name}: add the row of {other.name}"
                yield Mutant(table, what, _set(program, step, (asks, follows)))
            continue
        yield Mutant(table, f"{step.name}: drop", _drop(program, step))
        for target in steps:
            if target is not step and not _always(machine, step, row[1], target):
                led = (row[0], _leading(row[1], target))
                what = f"{step.name}: on to {target.name}"
                yield Mutant(table, what, _set(program, step, led))


#: Results of every kind that a step can have.
_RESULTS = (
    None,
    True,
    False,
    8,
    "0",
    "1",
    "3",
    "4",
    "6",
    *(bytes([n, *bytes(9)]) for n in range(4)),
)


def _always(machine: Any, step: Enum, follows: Callable[[Any, Any], Any], target: Enum) -> bool:
    """Whether the row leads to ``target`` anyway, whatever comes."""
    flags = [f.name for f in fields(machine) if f.type in (bool, "bool")]
    moments = [machine(step=step), *(machine(step=step, **{flag: True}) for flag in flags)]
    for moment, result in itertools.product(moments, _RESULTS):
        try:
            if follows(moment, result).step is not target:
                return False
        except (TypeError, ValueError, AttributeError, IndexError):
            continue  # a result of another kind
    return True


def _leading(follows: Callable[[Any, Any], Any], step: Enum) -> Callable[[Any, Any], Any]:
    return lambda machine, result: replace(follows(machine, result), step=step)
