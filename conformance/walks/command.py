# SPDX-License-Identifier: MIT
"""
The command line of long walks: ``vtpm-conformance walk``.

Hypothesis is not imported before a walk is about to start.
"""

import argparse
import itertools
import random
import shlex
from collections.abc import Iterable
from pathlib import Path

from conformance.options import add_target, target_words
from conformance.report.terminal import Output
from vtpm_ref.states import Role

EXAMPLES = """\
examples:
  vtpm-conformance walk backend --exec './my-backend --flag'
  vtpm-conformance walk frontend --exec ./my-frontend --hostile --thorough
  vtpm-conformance walk backend --object conformance.targets.reference:backend --seed 7

"""

#: Seeds that are drawn are below this; short to type.
_SEEDS = 1_000_000


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add_target(parser)
    parser.add_argument(
        "--hostile", action="store_true", help="break the protocol as well, as a hostile peer does"
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="start with this seed, and repeat what it gave before (default: a random one)",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--thorough", action="store_true", help="walk 25 times as much")
    length.add_argument("--soak", action="store_true", help="walk until something breaks, or ^C")
    parser.add_argument(
        "--database",
        type=Path,
        metavar="DIR",
        help="keep examples in this folder of Hypothesis's, and start with those that are there",
    )
    parser.add_argument("--strict", action="store_true", help="a broken SHOULD fails as well")
    parser.add_argument(
        "--traceback", action="store_true", help="show Python tracebacks of defects of the judge"
    )


def run(options: argparse.Namespace, out: Output) -> int:
    """
    Walk as ``options`` say, and report; the exit code.

    :raises ConformanceError: as ``Session.play``, or there is no such target.
    """
    from conformance.report import walks
    from conformance.subjects import subject_of
    from conformance.walks.session import Session

    role, scale = Role(options.role), options.timeout_multiplier
    session = Session(
        subject_of(role, options.command, options.object, scale=scale),
        options.traces,
        hostile=options.hostile,
        scale=scale,
        strict=options.strict,
        database=options.database,
        notice=walks.Progress(out),
    )
    session.play(_seeds(options))
    walks.report(session, _repeat(options), out)
    return session.exit_code


def _seeds(options: argparse.Namespace) -> Iterable[int]:
    from conformance.walks.session import QUICK, THOROUGH

    first = random.randrange(_SEEDS) if options.seed is None else options.seed
    if options.soak:
        return itertools.count(first)
    return range(first, first + (THOROUGH if options.thorough else QUICK))


def _repeat(options: argparse.Namespace) -> str:
    """The command that repeats a round of this session, but for its seed."""
    words = ["vtpm-conformance", "walk", *target_words(options)]
    words += ["--hostile"] if options.hostile else []
    words += ["--strict"] if options.strict else []
    words += ["--database", str(options.database)] if options.database else []
    return shlex.join(words)
