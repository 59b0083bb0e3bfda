# SPDX-License-Identifier: MIT
"""
From what the user names, a command or a Python object, to what can be judged.
"""

import importlib
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from conformance.errors import UsageError
from conformance.lab import targets
from conformance.links import memory, process
from conformance.run import Subject
from conformance.targets import Target
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place


def subject_of(
    role: Role,
    command: str | None,
    factory: str | None,
    *,
    lab: str | None = None,
    folder: Path = Path(),
    scale: float = 1.0,
) -> Subject:
    """
    The target that ``--exec``, ``--object`` or ``--lab`` names.

    :param folder: where a lab's console is kept.
    :raises UsageError: none or several are given, or there is no such object.
    :raises LabError: there is no lab.
    """
    if sum(named is not None for named in (command, factory, lab)) != 1:
        raise UsageError(
            "name one target: --exec 'COMMAND', --object package.module:factory or --lab TARGET"
        )
    if lab is not None:
        return targets.subject(role, lab, folder)
    if command is not None:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--exec {command}: {error}") from error
        if not words:
            raise UsageError("--exec names no command")
        return program(role, command, scale=scale)
    return python_object(role, str(factory), _import(str(factory)))


def program(role: Role, command: str, *, scale: float = 1.0) -> Subject:
    """A program over the process link."""
    return Subject(
        command,
        role,
        "process",
        process.EVIDENCE,
        lambda judged, place, recorder: process.ProcessLink(
            judged, place, recorder, command, scale
        ),
    )


def python_object(role: Role, name: str, factory: Callable[[Place], Target]) -> Subject:
    """A Python object over the memory link."""
    return Subject(
        name,
        role,
        "memory",
        memory.EVIDENCE,
        lambda judged, place, recorder: memory.MemoryLink(judged, place, recorder, factory),
    )


def _import(name: str) -> Callable[[Place], Target]:
    module_name, _, attribute = name.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except (Exception, SystemExit) as error:  # a module can raise anything while it is imported
        said = str(error) or repr(error)
        raise UsageError(f"--object {name}: {said}; expected package.module:factory") from error
    finally:
        sys.path.pop(0)
    if not callable(factory):
        raise UsageError(f"--object {name}: it cannot be called, so it is no factory")
    return factory  # type: ignore[no-any-return]
