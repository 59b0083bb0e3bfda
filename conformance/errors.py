# SPDX-License-Identifier: MIT
"""
What can go wrong around a judgement, one class for each party at fault.

A broken clause is not an exception; it is a finding.
"""


class ConformanceError(Exception):
    """Base of all errors that the command line reports in one line."""

    exit_code = 5


class UsageError(ConformanceError):
    """The caller's fault: an unknown id, an empty selection, a missing file."""

    exit_code = 4


class AdapterError(ConformanceError):
    """The adapter's fault: it does not start, or does not keep to its page."""

    exit_code = 3


class LabError(ConformanceError):
    """The lab's fault: it cannot be built, or something in it does not come up or ends."""

    exit_code = 3


class Interrupted(ConformanceError):
    """Nobody's fault: it was ended before there was anything to judge."""

    exit_code = 130


class RecordingError(ConformanceError):
    """The machine's fault: a trace cannot be written, for example a full disk."""

    exit_code = 3


class TraceError(ConformanceError):
    """
    The trace's fault: it was cut off, altered, or is not a trace.

    :param line: number of the first bad line, from 1.
    :param reason: what is wrong with it.
    """

    exit_code = 4

    def __init__(self, path: str, line: int, reason: str) -> None:
        super().__init__(f"{path}: refused: line {line}: {reason}")
        self.line = line
        self.reason = reason


class SetupFailed(Exception):
    """A case ends before its stimulus: the ground it needs was not reached."""


class TargetSilent(Exception):
    """A case ends after its stimulus: the target crashed or fell silent."""
