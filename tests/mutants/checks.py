# SPDX-License-Identifier: MIT
"""
The checks that a mutant meets, the quickest first; each expects what was written by hand.

Nothing of the model or the judge is imported before a check runs, for a mutant
may have unloaded it.
"""

import inspect
import itertools
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from sybil import Sybil
from sybil.parsers.myst import DocTestDirectiveParser

TREE = Path(__file__).parents[2]

#: Tests that need nothing from pytest but its marks, and no part that is mutated for themselves.
MODULES = (
    "tests.test_states",
    "tests.test_page",
    "tests.test_packet",
    "tests.test_xenbus",
    "tests.test_programs",
    "tests.test_machines",
)


class Caught(Exception):
    """A check did not get what it expects; the text names it."""


def checks() -> Iterator[tuple[str, Callable[[], None]]]:
    """Every check with its name."""
    for name in MODULES:
        yield from _tests(name)
    yield from _cases()
    yield from _pages()
    yield from _searches()


def _tests(name: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """The tests of a module, one for each set of parameters."""
    module = import_module(name)
    for label, test in vars(module).items():
        if not label.startswith("test_") or hasattr(test, "hypothesis"):
            continue
        marks = [m for m in getattr(test, "pytestmark", ()) if m.name == "parametrize"]
        for values in itertools.product(*(_rows(mark) for mark in marks)):
            given: dict[str, Any] = {}
            for part in values:
                given |= part
            if set(inspect.signature(test).parameters) == set(given):
                yield f"{name}.{label}", partial(test, **given)


def _rows(mark: Any) -> list[dict[str, Any]]:
    names, values = mark.args[:2]
    words = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)
    return [dict(zip(words, v if len(words) > 1 else (v,), strict=True)) for v in values]


def _cases() -> Iterator[tuple[str, Callable[[], None]]]:
    """The reference through every case: each is played to its end, and kept."""
    cases = import_module("conformance.cases").CASES
    folder = Path(tempfile.mkdtemp(prefix="vtpm-mutants-"))
    for case in cases.values():
        yield f"case {case.id}", partial(_keeps, case, folder)


def _keeps(case: Any, folder: Path) -> None:
    run, subjects = import_module("conformance.run"), import_module("conformance.subjects")
    reference = import_module("conformance.targets.reference")
    subject = subjects.python_object(case.role, "reference", getattr(reference, case.role.value))
    path = run.play(case, subject, folder)
    judgement = run.judge_file(path)
    path.unlink()
    own = judgement.results[case.clause, case.role]
    if judgement.broken or judgement.setup_failed or own.verdict.value != "kept":
        raise Caught(f"{sorted(judgement.broken)} {judgement.setup_failed} {own.verdict.value}")


def _pages() -> Iterator[tuple[str, Callable[[], None]]]:
    """The examples of the pages."""
    for path in sorted((TREE / "spec").glob("*.md")):
        yield f"examples of {path.name}", partial(_example, path)


def _example(path: Path) -> None:
    for example in Sybil([DocTestDirectiveParser()]).parse(path).examples():
        example.evaluate()


def _searches() -> Iterator[tuple[str, Callable[[], None]]]:
    """Searches that are over soon: one request, and one thing that need not happen."""
    for extra in ("cancels", "expiries", "detaches", "closes", "backend_closes", "crashes"):
        yield f"search {extra}", partial(_search, extra)


def _search(extra: str) -> None:
    world = import_module("vtpm_ref.world")
    opens = int(extra in ("closes", "backend_closes"))
    budget = world.Budget(**{"requests": 1, "opens": opens, extra: 1})
    found = import_module("vtpm_ref.search").survey(world.World.connected(budget))
    if found.failure:
        raise Caught(found.failure)
