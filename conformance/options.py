# SPDX-License-Identifier: MIT
"""
The options of the command line, verb by verb.
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
    _traces(parser, "the traces")
    parser.add_argument(
        "--timeout-multiplier",
        type=positive,
        default=1.0,
        metavar="X",
        help="multiply every limit, for slow machines",
    )


def _traces(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--traces",
        type=Path,
        default=Path("vtpm-traces"),
        metavar="DIR",
        help=f"record {what} here (default: %(default)s)",
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


def add_run(parser: argparse.ArgumentParser) -> None:
    """Options of ``run``."""
    add_target(parser)
    _selection(parser)
    parser.add_argument(
        "--lab",
        metavar="TARGET",
        help="the target lives on a real Xen in QEMU ('make lab'): 'linux', the kernel's"
        " own frontend; 'exec:COMMAND', a program in dom0; 'guest:KERNEL[,INITRD]', any PV guest",
    )
    parser.add_argument(
        "--xen",
        metavar="DOMID[/DEVICE]",
        help="the target is in that domain of this Xen host; run as root in dom0",
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the results as JUnit XML")
    parser.add_argument(
        "--expect",
        type=Path,
        metavar="FILE",
        help="what the target is known to break; anything else fails, and so does a"
        " clause of the file that is kept",
    )
    parser.add_argument(
        "--write-expect",
        type=Path,
        metavar="FILE",
        help="write such a file of what was seen broken, for you to fill in the reasons",
    )
    parser.add_argument(
        "--maxfail", type=int, default=0, metavar="N", help="stop after N failed cases"
    )
    add_output(parser)


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Options of ``watch``."""
    parser.set_defaults(incomplete=False)
    for role in Role:
        parser.add_argument(role.value, metavar=role.name, help="DOMID or DOMID/DEVICE")
    _traces(parser, "both traces")
    parser.add_argument(
        "--seconds", type=positive, default=math.inf, metavar="N", help="end by itself"
    )
    parser.add_argument("--bodies", action="store_true", help="record what the packets say, too")
    add_output(parser)


def add_check(parser: argparse.ArgumentParser) -> None:
    """Options of ``check``."""
    parser.add_argument("traces", nargs="+", type=Path, metavar="TRACE", help="recorded traces")
    parser.add_argument(
        "--incomplete", action="store_true", help="judge a trace that was cut off as far as it goes"
    )
    add_output(parser)


def add_list(parser: argparse.ArgumentParser) -> None:
    """Options of ``list``."""
    parser.add_argument("--role", choices=[role.value for role in Role], help="only this role")
    _selection(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object for each clause")


def _selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "select",
        nargs="*",
        metavar="SELECT",
        help="clause, prefix, case or glob, such as packet.too-long-answered",
    )
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="SELECT", help="leave these out"
    )
    parser.add_argument(
        "--level",
        type=_words,
        default=[],
        metavar="LEVEL[,...]",
        help="only clauses of this level: MUST, SHOULD, MAY",
    )
    parser.add_argument(
        "--status",
        type=_words,
        default=[],
        metavar="STATUS[,...]",
        help="only clauses of this status; 'stated,practice,corrects' asks whether"
        " the target works with deployed peers",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """How the result is counted and kept."""
    parser.add_argument("--strict", action="store_true", help="a broken SHOULD fails as well")
    parser.add_argument(
        "--jsonl", type=Path, metavar="FILE", help="write the results as JSON Lines"
    )
    parser.add_argument(
        "--traceback", action="store_true", help="show Python tracebacks of defects of the judge"
    )


def _words(text: str) -> list[str]:
    words = [word for word in text.split(",") if word]
    if not words:
        raise argparse.ArgumentTypeError("it names nothing")
    return words
