# SPDX-License-Identifier: MIT
"""
pytest runs the examples of the pages, and builds the document once per run.
"""

import signal
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.myst import DocTestDirectiveParser

from tests.docs_support import sphinx

# A shell lets what it starts in the background ignore ^C, and what that starts inherits it.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_collect_file = Sybil([DocTestDirectiveParser()], patterns=["spec/*.md"]).pytest()


def _built(builder: str, folder: Path) -> Path:
    run = sphinx(builder, folder)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr
    return folder


@pytest.fixture(scope="session")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the HTML document, built without a warning."""
    return _built("html", tmp_path_factory.mktemp("html"))


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the plain-text document, built without a warning."""
    return _built("text", tmp_path_factory.mktemp("text"))
