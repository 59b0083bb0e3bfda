# SPDX-License-Identifier: MIT
"""The last line of a run names what was left out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

SKIPS = """
import pytest

@pytest.mark.skip(reason="not run: apt-get install chromium libtpms0")
def test_browser(): pass

def test_tpm():
    pytest.skip("not run: apt-get install libtpms0")

@pytest.mark.skip(reason="only where there is a Xen host")
def test_other(): pass

@pytest.mark.xfail
def test_expected(): assert False

def test_fine(): pass
"""
RUNS = "def test_fine(): pass\n"


def run(folder: Path, source: str, require_all: bool) -> tuple[int, str]:
    (folder / "test_it.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\n")
    env = {**os.environ, "VTPM_REQUIRE_ALL": "1" if require_all else ""}
    env.pop("PYTEST_ADDOPTS", None)
    env["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.notrun", "-p", "no:cacheprovider"],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()[-1]


@pytest.mark.parametrize(("require_all", "status"), [(False, 0), (True, 1)])
def test_left_out(tmp_path: Path, require_all: bool, status: int) -> None:
    assert run(tmp_path, SKIPS, require_all) == (
        status,
        "not run: 3 tests; apt-get install chromium libtpms0",
    )


@pytest.mark.parametrize("require_all", [False, True])
def test_all_run(tmp_path: Path, require_all: bool) -> None:
    assert run(tmp_path, RUNS, require_all) == (0, "not run: nothing")
