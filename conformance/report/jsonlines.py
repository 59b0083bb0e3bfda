# SPDX-License-Identifier: MIT
"""
The report that programs read: JSON Lines, a header, cases, clauses, a footer.
"""

import json
from collections.abc import Iterable, Iterator

from conformance import __version__
from conformance.report.results import RunResult

#: Version of this format.
FORMAT = 1


def text(runs: Iterable[RunResult]) -> str:
    """The reports of ``runs``, one behind the other."""
    return "".join(json.dumps(line) + "\n" for run in runs for line in _lines(run))


def _lines(run: RunResult) -> Iterator[dict[str, object]]:
    yield {
        "kind": "header",
        "format": FORMAT,
        "suite": __version__,
        "target": run.target,
        "link": run.link,
        "roles": [role.value for role in run.roles],
        "tpm": run.tpm,
        "versions": dict(run.versions),
    }
    for entry in run.cases:
        judgement = entry.judgement
        yield {
            "kind": "case",
            "id": entry.name,
            "broken": sorted(judgement.broken) if judgement else [],
            "skipped": entry.skipped,
            "trouble": entry.trouble or (judgement.trouble if judgement else ""),
            "internal": bool(entry.internal),
            "not_reached": judgement.setup_failed if judgement else "",
            "trace": judgement.path if judgement else "",
        }
    for clause, role, verdict, result in run.verdicts():
        yield {
            "kind": "clause",
            "id": clause.id,
            "role": role.value,
            "level": clause.level,
            "status": clause.status,
            "checksum": clause.checksum,
            "verdict": verdict.value,
            "occasions": result.occasions,
            "breaches": result.breaches,
            "why": result.unclear or result.inapplicable,
            "expected": clause.id in run.expected,
            "findings": [
                {
                    "allowed": finding.allowed,
                    "happened": finding.happened,
                    "trace": path,
                    "line": finding.line,
                }
                for path, finding in result.findings
            ],
        }
    counts = {verdict.value: count for verdict, count in run.counts().items()}
    yield {"kind": "footer", "exit": int(run.exit_code), "verdicts": counts}
