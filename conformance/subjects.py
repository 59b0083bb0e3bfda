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
from conformance.links import memory, process, xen_devices
from conformance.links import xen as xen_link
from conformance.links.base import Link
from conformance.links.xen_peers import Peer
from conformance.recorder import Recorder
from conformance.run import Subject
from conformance.targets import Target
from conformance.watch import device
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place


def subject_of(
    role: Role,
    command: str | None,
    factory: str | None,
    *,
    lab: str | None = None,
    xen: str | None = None,
    folder: Path = Path(),
    scale: float = 1.0,
) -> Subject:
    """
    The target that ``--exec``, ``--object``, ``--lab`` or ``--xen`` names.

    :param folder: where a lab's console is kept.
    :raises UsageError: none or several are given, or there is no such object.
    :raises LabError: there is no lab.
    """
    if sum(named is not None for named in (command, factory, lab, xen)) != 1:
        raise UsageError(
            "name one target: --exec 'COMMAND', --object package.module:factory, --lab TARGET"
            " or --xen DOMID[/DEVICE]"
        )
    if xen is not None:
        return on_this_host(role, xen, scale=scale)
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


def on_this_host(role: Role, name: str, *, scale: float = 1.0) -> Subject:
    """
    A frontend or backend in another domain of this Xen host; the judge is in this one.

    :raises UsageError: ``name`` is not a domid, or a domid and a device's number.
    """
    theirs, number = device(name)
    ours = xen_devices.own_domid()
    place = Place(theirs, ours, number) if role is Role.FRONTEND else Place(ours, theirs, number)

    def make(judged: Role, place: Place, recorder: Recorder) -> Link:
        return xen_link.XenLink(judged, place, recorder, Peer(), scale)

    evidence = xen_link.evidence(role, log=False)
    version = xen_devices.xen_version()
    versions = {"Xen": version} if version else {}
    title = f"{role.value} in domain {name}"
    return Subject(title, role, "xen", evidence, make, versions=versions, place=place)


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
