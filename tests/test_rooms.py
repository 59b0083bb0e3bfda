# SPDX-License-Identifier: MIT
"""
The rooms of the house: who may import whom, and what runs where.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[1]


def imported(path: Path) -> set[str]:
    """Top-level names of all modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", sorted((TREE / "vtpm_ref").glob("*.py")), ids=lambda p: p.name)
def test_the_model_imports_nothing_but_itself_and_the_standard_library(path: Path) -> None:
    """No I/O, no clock, no thread either."""
    names = imported(path) - {"vtpm_ref"}
    assert names <= set(sys.stdlib_module_names)
    assert not names & {"os", "io", "time", "threading", "socket", "subprocess", "asyncio"}


@pytest.mark.parametrize("package", ["cases", "rules", "links", "targets"])
def test_nobody_below_imports_what_is_above(package: str) -> None:
    """Cases know no rules, rules no cases and no links, links neither."""
    forbidden = {
        "cases": ("conformance.rules", "conformance.judge", "conformance.report"),
        "rules": ("conformance.cases", "conformance.links", "conformance.report"),
        "links": ("conformance.rules", "conformance.cases", "conformance.judge"),
        "targets": ("conformance.rules", "conformance.cases", "conformance.judge"),
    }[package]
    for path in sorted((TREE / "conformance" / package).glob("*.py")):
        text = path.read_text()
        assert not [name for name in forbidden if f"from {name}" in text], path.name


def test_cases_need_nothing_but_the_standard_library() -> None:
    """A case runs where neither pytest nor msgspec is: next to the devices."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import conformance.cases;"
        "import conformance.recorder, conformance.tester;"
        "import conformance.lab.inside.case, conformance.lab.inside.guests;"
        "import conformance.lab.inside.serve, conformance.targets.libtpms;"
        "print(sorted({'pytest', 'msgspec', 'hypothesis', 'sphinx'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code, str(TREE)], capture_output=True, text=True
    )
    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")
