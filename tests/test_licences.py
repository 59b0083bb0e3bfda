# SPDX-License-Identifier: MIT
"""Every file names its licence, and none names the machine or the registry it came from."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
MADE = {".git", ".venv", "build", "dist", "__pycache__", ".hypothesis"}
MADE |= {".mypy_cache", ".pytest_cache", ".ruff_cache"}

# No place for a comment: data, and the texts of the licences themselves.
NO_COMMENT = re.compile(r".*\.(json|jsonl|png|svg)|LICENSE|LICENSES/.*")

FOREIGN = re.compile(
    r"(?<![\w.-])/(?:home|opt|root|work|Users)/\w"
    r"|pypi\.org|pythonhosted\.org|npmjs\.org|crates\.io|deb\.debian\.org"
    r"|security\.debian\.org|archive\.ubuntu\.com|docker\.io|ghcr\.io|proxy\.golang\.org"
)


def files() -> list[Path]:
    """What git tracks or would track; without git, everything that make did not make."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found = [ROOT / name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        found = [path for path in ROOT.rglob("*") if not MADE & {*path.relative_to(ROOT).parts}]
    return sorted(path for path in found if path.is_file())


def text(path: Path) -> str | None:
    """The file as text; None for a picture or a compiled program."""
    try:
        found = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in found else found


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_list_of_files_is_not_empty() -> None:
    found = {name(path) for path in files()}
    assert {"pyproject.toml", "vtpm_ref/states.py", "spec/index.md", ".ci/run"} <= found


def test_every_file_names_its_licence() -> None:
    silent = []
    for path in files():
        content = text(path)
        if not content or NO_COMMENT.fullmatch(name(path)):
            continue
        licence = "CC-BY-4.0" if path.suffix == ".md" else "MIT"
        # Alone on its line, but for the signs of a comment.
        line = re.compile(rf"\W*SPDX-License-Identifier: {re.escape(licence)}\W*")
        if not any(map(line.fullmatch, content.splitlines()[:3])):
            silent.append(f"{name(path)}: no SPDX-License-Identifier: {licence} near the top")
    assert not silent, "\n".join(silent)


def test_nothing_of_this_machine() -> None:
    found = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in files()
        for number, line in enumerate((text(path) or "").splitlines(), 1)
        if FOREIGN.search(line) or f"{ROOT}/" in line
    ]
    assert not found, "\n".join(found)


def test_the_text_of_each_licence_is_here() -> None:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in ROOT.glob("LICENSES/*.txt")}
    assert set(texts) == {"CC-BY-4.0", "MIT"}
    assert "Permission is hereby granted, free of charge" in texts["MIT"]
    assert "Section 8 -- Interpretation." in texts["CC-BY-4.0"]
