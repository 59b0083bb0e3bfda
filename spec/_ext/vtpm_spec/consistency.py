# SPDX-License-Identifier: MIT
"""
Runs the lints when all pages are read, and writes ``clauses.json``.

A problem is shown as a warning with page and line; any problem fails the
build, with or without ``-W``.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

from conformance.clauses import ClauseError
from vtpm_ref import states, xenbus

from . import checks, lints
from .clause import ClauseDomain
from .lints import Citation
from .source import blocks

#: Where model, judge and pages lie together.
TREE = Path(__file__).parents[3]

_logger = logging.getLogger(__name__)


def problems(domain: ClauseDomain, pages: Iterable[tuple[str, Path]]) -> Iterator[lints.Problem]:
    """
    Run every lint.

    :param pages: name and file of every page.
    """
    read, rules, cases = domain.read, checks.rule_ids(), checks.cases()
    for page, file in pages:
        parts = blocks(page, file.read_text(encoding="utf-8"))
        yield from lints.keywords(page, parts)
        yield from lints.rationale(page, parts, read)
        yield from lints.hand_made(page, parts)
    yield from lints.agreement(read)
    yield from lints.checked(read, rules, cases)
    yield from lints.citations(read, _cells(), _texts(states.__file__))
    yield from lints.citations(read, _steps(), _texts(xenbus.__file__))
    yield from lints.citations(read, _judged(), _texts(*checks.files()))
    yield from lints.same_list(domain.clauses, read)


def _texts(*files: str | Path) -> dict[str, str]:
    """Text of each file by its path in the tree."""
    here = {Path(file).relative_to(TREE).as_posix(): Path(file) for file in files}
    return {name: file.read_text(encoding="utf-8") for name, file in here.items()}


def _cells() -> Iterator[Citation]:
    for (old, role, new), cell in states.TRANSITIONS.items():
        name = f"TRANSITIONS[{old.name}, {role.value}, {new.name}]"
        yield Citation(name, cell.clause, cell.clause)
    for role, (_, clause) in states.WRITABLE.items():
        yield Citation(f"WRITABLE[{role.value}]", clause, clause)


def _steps() -> Iterator[Citation]:
    for name, steps in xenbus.HANDSHAKES.items():
        for number, step in enumerate(steps, 1):
            yield Citation(f"{name} step {number}", step.clause, step.clause)


def _judged() -> Iterator[Citation]:
    for clause in sorted(checks.rule_ids()):
        yield Citation(f"rule {checks.rule_of(clause)}", clause, clause)
    for case, clause in checks.cases().items():
        yield Citation(f"case {case}", clause, case)


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """
    Show every problem; one is enough to fail the build.
    """
    domain = env.domains[ClauseDomain.name]
    assert isinstance(domain, ClauseDomain)
    pages = [(page, Path(env.doc2path(page))) for page in sorted(env.found_docs)]
    try:
        if not domain.read and domain.refusal:
            raise domain.refusal
        for problem in problems(domain, pages):
            home = Path(app.srcdir) if "/" not in problem.page else TREE
            _show(app, f"{home / problem.where}", f"{problem.what}; {problem.todo}")
    except ClauseError as error:
        where = Path(app.srcdir, f"{error.page}.md")
        _show(app, f"{where}:{error.line}", str(error).partition(": ")[2])


def _show(app: Sphinx, where: str, text: str) -> None:
    _logger.warning(text, location=where, type="vtpm", subtype="lint")
    app.statuscode = 1


def write_json(app: Sphinx, failure: Exception | None) -> None:
    """
    Write ``clauses.json`` beside the HTML: for tools that link a clause.
    """
    if failure or app.builder.format != "html":
        return
    domain = app.env.domains[ClauseDomain.name]
    assert isinstance(domain, ClauseDomain)
    listed = [
        {
            "id": clause.id,
            "page": clause.page,
            "anchor": f"{app.builder.get_target_uri(clause.page)}#{clause.id}",
            "text": clause.text,
            "level": clause.level,
            "role": clause.role,
            "status": clause.status,
            "source": clause.source,
            "checksum": clause.checksum,
            "cases": list(checks.cases_of(clause.id)),
        }
        for clause in domain.read.values()
    ]
    text = json.dumps(listed, indent=1, ensure_ascii=False)
    Path(app.outdir, "clauses.json").write_text(text + "\n", encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Called by the package's ``setup``."""
    app.connect("env-check-consistency", check)
    app.connect("build-finished", write_json)
