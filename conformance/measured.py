# SPDX-License-Identifier: MIT
"""
What implementations have been seen to do, as data beside the judge.

``python -m conformance.measured RUN.jsonl`` takes what ``run --jsonl`` has written of all
cases.  Of a target and versions that are known, the verdicts have to be the same; of others
a file is added, with the traces of what was broken.  The pages show all files.
"""

import argparse
import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from conformance.errors import ConformanceError, UsageError
from conformance.report.results import Exit
from conformance.select import select
from vtpm_ref.states import Role

#: The results that ship.
FOLDER = Path(__file__).parent / "results"


def read_run(path: Path) -> dict[str, Any]:
    """
    One run as a result file has it, from the JSON Lines of ``run``.

    :raises UsageError: it cannot be read, is something else, or does not say all that
        a run says.
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        header = next(line for line in lines if line["kind"] == "header")
        clauses = [line for line in lines if line["kind"] == "clause"]
        if lacking := _lacking(header, lines):
            raise UsageError(f"{path}: is no result of a whole run: {lacking}; run it again")
        return {
            "target": header["target"],
            "role": ", ".join(header["roles"]),
            "versions": header["versions"],
            "date": time.strftime("%Y-%m-%d", time.gmtime(path.stat().st_mtime)),
            "link": header["link"],
            "origin": "",
            "verdicts": {clause["id"]: clause["verdict"] for clause in clauses},
            "broken": {
                clause["id"]: clause["findings"][0]
                for clause in clauses
                if clause["verdict"] == "broken"
            },
        }
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, StopIteration, IndexError) as error:
        raise UsageError(f"{path}: is no result of 'run --jsonl': {error!r}") from error


def _lacking(header: dict[str, Any], lines: list[dict[str, Any]]) -> str:
    """In words, why a run does not tell what its target does; empty if it does."""
    last = lines[-1]
    if last["kind"] != "footer":
        return "it has no footer, so it was cut off"
    if last["exit"] not in (Exit.OK, Exit.BROKEN):
        return f"it ended with exit {last['exit']}, expected 0 or 1"
    cases = [line for line in lines if line["kind"] == "case"]
    if failed := [case["id"] for case in cases if case["trouble"] or case["internal"]]:
        return f"there was trouble in {_named(failed)}"
    whole = select([Role(role) for role in header["roles"]])
    played = {case["id"] for case in cases}
    if left := [case.id for case in whole.cases if case.id not in played]:
        return f"it lacks {_named(left)}"
    judged = {line["id"] for line in lines if line["kind"] == "clause"}
    if left := [clause.id for clause in whole.clauses if clause.id not in judged]:
        return f"it lacks verdicts of {_named(left)}"
    return ""


def _named(ids: list[str]) -> str:
    """The first of some ids, and how many more there are."""
    return ids[0] + (f" and {len(ids) - 1} more" if ids[1:] else "")


def known(run: dict[str, Any], folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The file of the same target, role and versions, if there is one."""
    for path in sorted(folder.glob("*.json")):
        other = json.loads(path.read_text(encoding="utf-8"))
        if all(other.get(key) == run[key] for key in ("target", "role", "versions", "link")):
            return path, other
    return None


def differences(run: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """In words, where the verdicts of two runs differ; clauses that one lacks do not."""
    old, new = before["verdicts"], run["verdicts"]
    return [
        f"{clause}: {old[clause]}, now {new[clause]}"
        for clause in new
        if clause in old and old[clause] != new[clause]
    ]


def add(run: dict[str, Any], folder: Path) -> Path:
    """Write a file for ``run``, and copy the traces of what it broke beside it."""
    words = " ".join([run["target"], run["role"], *run["versions"].values()])
    name = re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-")
    traces = folder / "traces"
    traces.mkdir(parents=True, exist_ok=True)
    for old in traces.glob(f"{name}-*"):
        old.unlink()
    for finding in run["broken"].values():
        source = Path(finding["trace"])
        finding["trace"] = f"traces/{name}-{source.name}"
        shutil.copyfile(source, folder / finding["trace"])
    path = folder / f"{name}.json"
    path.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    return path


def main(arguments: list[str] | None = None) -> int:
    """Compare or add; the exit code is 1 if a known target did something else."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("run", type=Path, metavar="RUN.jsonl")
    parser.add_argument("--origin", default="", help="where it was run, if not here")
    parser.add_argument("--replace", action="store_true", help="take the new verdicts")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        run = read_run(options.run) | {"origin": options.origin}
        before = known(run, options.folder)
        if before is not None and not options.replace:
            return _compared(run, *before)
        print(f"measured: added {add(run, options.folder)}")
    except ConformanceError as error:
        print(f"measured: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"measured: {error}", file=sys.stderr)
        return 3
    return 0


def _compared(run: dict[str, Any], path: Path, before: dict[str, Any]) -> int:
    different = differences(run, before)
    for line in different:
        print(f"measured: {line}")
    if different:
        print(f"measured: the same versions did something else in {path.name}; --replace takes it")
    else:
        print(f"measured: as in {path.name}")
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())
