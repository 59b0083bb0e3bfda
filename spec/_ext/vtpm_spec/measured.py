# SPDX-License-Identifier: MIT
"""
What measured implementations did: the result files beside the judge.

A file holds one run of one implementation::

    {"target": "...", "versions": {"Xen": "4.17"}, "date": "2026-11-24",
     "link": "xen", "origin": "who, where", "verdicts": {"states.backend-writes": "kept"}}

The origin is that of a run from elsewhere; one from here has none.
No folder, no results; a value that is missing is left out of what is shown.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

import conformance

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One measured implementation; ``about`` says its versions, the day, the link, the origin."""

    target: str
    about: str
    verdicts: dict[str, str]


def folder(config: Config) -> Path:
    """Where the result files are; it need not exist."""
    return Path(config.vtpm_results)


@cache
def runs(folder: Path) -> tuple[Run, ...]:
    """Every run in ``folder``, in the order of its file names."""
    return tuple(run for file in sorted(folder.glob("*.json")) if (run := _read(file)))


def results_of(clause: str, folder: Path) -> list[tuple[Run, str]]:
    """The runs that say something of ``clause``, each with its verdict."""
    found = [(run, run.verdicts.get(clause, "")) for run in runs(folder)]
    return [(run, verdict) for run, verdict in found if verdict not in ("", "not applicable")]


def files(folder: Path) -> list[Path]:
    """What pages with results depend on; a folder tells of new files."""
    return [folder if folder.is_dir() else folder.parent, *folder.glob("*.json")]


def _read(file: Path) -> Run | None:
    try:
        said: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        verdicts = {str(clause): str(verdict) for clause, verdict in said["verdicts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _logger.warning("%s: no results of a run: %r", file, error, type="vtpm", subtype="results")
        return None
    versions = said.get("versions", "")
    if isinstance(versions, dict):
        versions = ", ".join(f"{name} {version}" for name, version in versions.items())
    link = f"over the {said['link']} link" if said.get("link") else ""
    origin = f"from {said['origin']}" if said.get("origin") else ""
    parts = (said.get("role", ""), versions, said.get("date", ""), link, origin)
    about = ", ".join(str(part) for part in parts if part)
    return Run(str(said.get("target", file.stem)), about, verdicts)


def setup(app: Sphinx) -> None:
    """Called by the package's ``setup``."""
    home = Path(conformance.__file__).parent / "results"
    app.add_config_value("vtpm_results", str(home), "env", types=(str,))
