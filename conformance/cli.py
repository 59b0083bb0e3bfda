# SPDX-License-Identifier: MIT
"""
The command line: ``vtpm-conformance run``, ``walk``, ``check`` and ``list``.

Nothing here imports pytest or Hypothesis before a run is about to start, so help and lists
come at once.
"""

import argparse
import io
import json
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from conformance import __version__
from conformance.errors import ConformanceError
from conformance.expect import Deviation
from conformance.options import add_check, add_list, add_run, add_watch, target_words
from conformance.report.results import Exit, RunResult
from conformance.walks import command as walks
from vtpm_ref.states import Role

_EXITS = """\
exit codes:
  0    no MUST seen broken; the last line says how many clauses were observed
  1    a MUST broken (with --strict, a SHOULD as well)
  2    inconclusive
  3    trouble with the adapter, the lab or the disk
  4    usage: an unknown id, an empty selection, a refused trace
  5    a defect of the judge itself
  130  interrupted
"""

_RUN_EXAMPLES = """\
examples:
  vtpm-conformance run backend --exec './my-backend --flag'
  vtpm-conformance run frontend --exec ./my-frontend packet states.submit-when-free
  vtpm-conformance run backend --object conformance.targets.reference:backend
  vtpm-conformance run backend --exec ./my-backend --status stated,practice --level MUST
  vtpm-conformance run backend --exec ./my-backend packet.too-long-answered/4089
  vtpm-conformance run frontend --lab linux

"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = _parse(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a report never fails for its letters
    try:
        return int(options.action(options))
    except ConformanceError as error:
        print(f"vtpm-conformance: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("vtpm-conformance: interrupted", file=sys.stderr)
        return Exit.INTERRUPTED
    except Exception as error:
        print(f"vtpm-conformance: a defect of the judge: {error!r}", file=sys.stderr)
        if getattr(options, "traceback", False):
            traceback.print_exc()
        else:
            print("(--traceback shows where; please report it)", file=sys.stderr)
        return Exit.INTERNAL


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options; a selection may stand before and behind them."""
    parser = _parser()
    options, rest = parser.parse_known_args(argv)
    if any(word.startswith("-") for word in rest) or (rest and not hasattr(options, "select")):
        parser.error(f"unknown: {' '.join(rest)}")
    if rest:
        options.select = [*options.select, *rest]
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="vtpm-conformance",
        description="Judge frontends and backends of the Xen vTPM protocol, version 2.",
        epilog=_EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB", parser_class=_Parser)
    for name, verb in _VERBS.items():
        its = verbs.add_parser(
            name,
            help=verb.help,
            description=verb.about or None,
            epilog=verb.examples + _EXITS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        its.set_defaults(action=verb.action)
        verb.add(its)
    return parser


class _Parser(argparse.ArgumentParser):
    """argparse, with this tool's exit code for usage errors."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n")


def _run(options: argparse.Namespace) -> int:
    from conformance import engine, expect
    from conformance.report import files, jsonlines, terminal
    from conformance.select import select
    from conformance.subjects import subject_of

    role, scale = Role(options.role), options.timeout_multiplier
    subject = subject_of(
        role,
        options.command,
        options.object,
        lab=options.lab,
        xen=options.xen,
        folder=options.traces,
        scale=scale,
    )
    selection = select(
        [role],
        options.select,
        exclude=options.exclude,
        levels=options.level,
        statuses=options.status,
    )
    expected = expect.load(options.expect) if options.expect is not None else {}
    for path in filter(None, (options.junit, options.jsonl, options.write_expect)):
        files.prepare(path)
    out = _Output()
    progress = terminal.Progress(out)
    result = engine.run(
        subject,
        selection,
        options.traces,
        scale=scale,
        strict=options.strict,
        repeat=_repeat(options),
        junit=options.junit is not None,
        most_failures=options.maxfail,
        expected=expected,
        notice=progress.case,
    )
    progress.end()
    terminal.report(result, out, tracebacks=options.traceback)
    if options.junit is not None:
        files.save(options.junit, result.junit)
    if options.jsonl is not None:
        files.save(options.jsonl, jsonlines.text([result]))
    if options.write_expect is not None:
        files.save(options.write_expect, expect.text(_deviations(result)))
    return result.exit_code


def _deviations(result: RunResult) -> list[Deviation]:
    """What was seen broken; of what was expected, the reasons are kept."""
    return [
        result.expected.get(clause.id)
        or Deviation(clause.id, "reason?", f"{clause.page}.html#{clause.id}")
        for clause, _ in result.broken()
    ]


class _Output:
    """Standard output; when its reader has gone, all goes on and the exit code counts."""

    def write(self, text: str) -> None:
        """Write ``text``, now or nowhere."""
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


def _repeat(options: argparse.Namespace) -> str:
    """The command that repeats a case of this run, but for the case's id."""
    words = ["vtpm-conformance", "run", *target_words(options)]
    for option, value in (("--lab", options.lab), ("--xen", options.xen)):
        words += [option, value] if value else []
    words += ["--strict"] if options.strict else []
    return shlex.join(words)


def _walk(options: argparse.Namespace) -> int:
    return walks.run(options, _Output())


def _watch(options: argparse.Namespace) -> int:
    from conformance import watch

    options.traces = watch.run(
        options.frontend,
        options.backend,
        options.traces,
        seconds=options.seconds,
        bodies=options.bodies,
    )
    return _check(options)


def _check(options: argparse.Namespace) -> int:
    from conformance import clauses
    from conformance.cases import CASES
    from conformance.judge import judge
    from conformance.report import files, jsonlines, terminal
    from conformance.report.results import CaseResult, RunResult, worst
    from conformance.trace import TraceReader

    if options.jsonl is not None:
        files.prepare(options.jsonl)
    out = _Output()
    results = []
    for path in options.traces:
        reader = TraceReader(path, incomplete=options.incomplete)
        judgement = judge(reader)
        header = judgement.header
        roles = tuple(Role(name) for name in header.judged)
        known = [c for c in clauses.load().values() if c.role in ("both", *header.judged)]
        result = RunResult(header.target, header.link, roles, known, options.strict)
        result.tpm = judgement.tpm
        case = CASES.get(header.case)
        result.add(CaseResult(header.case or path.name, case, judgement))
        results.append(result)
        changed = [c.id for c in known if header.clauses.get(c.id) not in (c.checksum, None)]
        if changed:
            print(f"note: recorded when {', '.join(changed)} read otherwise", file=out)
        terminal.report(result, out)
    code = worst(result.exit_code for result in results)
    if len(results) > 1:
        print(f"\n{len(results)} traces; the worst of them decides: exit {int(code)}", file=out)
    if options.jsonl is not None:
        files.save(options.jsonl, jsonlines.text(results))
    return code


def _list(options: argparse.Namespace) -> int:
    from conformance.clauses import STATUSES
    from conformance.select import select

    roles = [Role(options.role)] if options.role else list(Role)
    out = _Output()
    selection = select(
        roles,
        options.select,
        exclude=options.exclude,
        levels=options.level,
        statuses=options.status or STATUSES,
    )
    for clause in selection.clauses:
        cases = [case for case in selection.cases if case.clause == clause.id]
        if not cases and options.select:
            continue
        if options.json:
            fields = {
                name: getattr(clause, name)
                for name in (
                    "id",
                    "level",
                    "role",
                    "status",
                    "source",
                    "text",
                    "page",
                    "line",
                    "checksum",
                )
            }
            named = [
                {"id": case.id, "role": case.role.value, "about": case.about} for case in cases
            ]
            fields |= {"unobservable": clause.unobservable, "cases": named}
            print(json.dumps(fields), file=out)
            continue
        print(f"{clause.id}  ({clause.level}, {clause.role}, {clause.status})", file=out)
        for case in cases:
            print(f"    {case.id}: {case.about}", file=out)
        if clause.unobservable:
            print(f"    no tester can observe it; it would take {clause.unobservable}", file=out)
    return Exit.OK


@dataclass(frozen=True)
class _Verb:
    """
    One verb of the command line.

    :param add: adds its options to a parser.
    :param action: carries it out; returns the exit code.
    :param help: one line for the list of verbs; ``about`` for its own help.
    """

    add: Callable[[argparse.ArgumentParser], None]
    action: Callable[[argparse.Namespace], int]
    help: str
    about: str = ""
    examples: str = ""


_VERBS = {
    "run": _Verb(add_run, _run, "play all cases against a target", examples=_RUN_EXAMPLES),
    "walk": _Verb(
        walks.add, _walk, "play long random walks against a target", examples=walks.EXAMPLES
    ),
    "watch": _Verb(
        add_watch,
        _watch,
        "stand between a frontend and a backend of this Xen host, and judge both",
        "The judge is the backend of the one and the frontend of the other, and hands on what"
        " each does. It sees no race between the two: there is always a hand in between, so"
        " times differ from those of a direct connection.",
    ),
    "check": _Verb(add_check, _check, "judge recorded traces"),
    "list": _Verb(add_list, _list, "list clauses and cases"),
}


if __name__ == "__main__":
    sys.exit(main())
