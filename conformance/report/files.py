# SPDX-License-Identifier: MIT
"""
Reports that go into files.
"""

from pathlib import Path

from conformance.errors import RecordingError


def prepare(path: Path) -> None:
    """
    Make sure, before a run, that a report can be written to ``path``.

    :raises RecordingError: it cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise _cannot(path, error) from error


def save(path: Path, text: str) -> None:
    """
    Write a report.

    :raises RecordingError: the file cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _cannot(path, error) from error


def _cannot(path: Path, error: OSError) -> RecordingError:
    return RecordingError(f"{path}: cannot be written: {error.strerror}")
