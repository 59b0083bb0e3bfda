# SPDX-License-Identifier: MIT
"""
Options that several verbs of the command line have in common.
"""

import argparse
import math
from pathlib import Path

from vtpm_ref.states import Role


def add_target(parser: argparse.ArgumentParser) -> None:
    """Which target, where its traces go, and how slow the machine is."""
    parser.add_argument("role", choices=[role.value for role in Role], help="role of the target")
    parser.add_argument(
        "--exec",
        dest="command",
        metavar="COMMAND",
        help="start the target with this command, without a shell",
    )
    parser.add_argument(
        "--object",
        metavar="MODULE:FACTORY",
        help="the target is a Python object that this factory makes",
    )
    parser.add_argument(
        "--traces",
        type=Path,
        default=Path("vtpm-traces"),
        metavar="DIR",
        help="record the traces here (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout-multiplier",
        type=positive,
        default=1.0,
        metavar="X",
        help="multiply every limit, for slow machines",
    )


def target_words(options: argparse.Namespace) -> list[str]:
    """The words of a command line that name the same target once more."""
    words = [options.role]
    for option, value in (("--exec", options.command), ("--object", options.object)):
        words += [option, value] if value else []
    if options.timeout_multiplier != 1.0:
        words += ["--timeout-multiplier", f"{options.timeout_multiplier:g}"]
    return words


def positive(text: str) -> float:
    """A number greater than 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number greater than 0")
    return value
