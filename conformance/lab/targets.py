# SPDX-License-Identifier: MIT
"""
A target in the lab, as the host sees it: cases go in, traces come out.
"""

import os
import shlex
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from conformance.cases import CASES
from conformance.errors import AdapterError, LabError, RecordingError, UsageError
from conformance.lab import build
from conformance.lab.build import Lab
from conformance.lab.session import CODE, CallFailed, Session
from conformance.links import xen
from conformance.links.xen_devices import StoreRefused
from conformance.recorder import renamed
from conformance.run import Subject, trace_path
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

#: Seconds, before the multiplier, that one case may take in dom0.
CASE_LIMIT = 120.0

#: Seconds, before the multiplier, until a guest of the user's has come up.
GUEST_LIMIT = 90.0

#: Where the target's files are in dom0; nothing else is there, whatever their names are.
FILES = "/tmp/target"

#: Machines that play cases at the same time, as far as there are processors.
MACHINES = 2

#: How a program of the judge's own code is started in dom0.
PYTHON = ("env", f"PYTHONPATH={CODE}", "python3.11")

#: The reference backend with a real TPM, libtpms.
REFERENCE = shlex.join([*PYTHON, "-m", "conformance.targets.libtpms"])

#: Errors in dom0 that say what is wrong with the target, or with what it is reached by.
_ADAPTER = (AdapterError.__name__, StoreRefused.__name__)

_PLAY = "conformance.lab.inside.case:play"
_CREATE = "conformance.lab.inside.guests:create"


@dataclass(frozen=True)
class Recipe:
    """
    What dom0 has to have before cases can be played, and how it reaches the target.

    :param role: the role of the target.
    :param kind: ``program`` in dom0, ``linux``, or a ``guest`` of the user's.
    :param command: the program with its arguments, as it is started in dom0.
    :param files: content of each file that dom0 needs, by its path there.
    :param log: whether xenstored's log is read; without, nodes are seen as on a host
        that writes none.
    """

    role: Role
    kind: str
    command: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    log: bool = True


class LabTarget:
    """
    One target, and the restored machines that it lives in.

    A machine serves case after case.  After one that left it in disorder, the next
    gets a machine that is fresh from the snapshot.

    :param folder: where the lines on the machines' consoles go.
    """

    def __init__(self, lab: Lab, recipe: Recipe, folder: Path) -> None:
        self._lab = lab
        self._recipe = recipe
        self._folder = folder
        self._facts = lab.facts()
        self._workers: ThreadPoolExecutor | None = None
        self._twins: dict[str, str] = {}
        self._ahead: dict[str, Future[str]] = {}
        #: By what a case needs: why one did not apply, so that no other is started in vain.
        self._lacks: dict[str, str] = {}
        self._own = threading.local()
        self._open: set[_Machine] = set()
        self._closed = False

    @property
    def place(self) -> Place:
        """Where the device is; a guest of the user's gets the domid after Linux's."""
        linux = int(self._facts["guest"])
        guest = {"linux": linux, "guest": linux + 1, "program": 0}[self._recipe.kind]
        if self._recipe.role is Role.FRONTEND:
            return Place(guest, 0, 0)
        return Place(0, guest, 0)

    def plan(self, cases: list[str]) -> None:
        """
        These cases will be asked for, in this order.

        Of those that do the same the first is played, and lends the others its trace.
        What the consoles of an earlier run said is removed.

        :raises RecordingError: it cannot be.
        """
        try:
            for console in self._folder.glob("console-*.log"):
                console.unlink()
        except OSError as error:
            raise RecordingError(f"{self._folder}: cannot be written: {error.strerror}") from error
        first: dict[object, str] = {}
        self._twins = {case: first.setdefault(CASES[case].deed, case) for case in cases}

    def play(self, case: str, header: dict[str, object], path: Path, scale: float) -> str:
        """
        Play a case and write its trace to ``path``; with it, go on with those planned.

        :param case: its id; empty to start and stop the target only.
        :return: in words, why the case does not apply; empty if it was played.
        :raises AdapterError: the target does not start.
        :raises LabError: the lab failed; the trace is kept as far as it goes.
        """
        twin = self._twins.get(case, case)
        if twin not in self._twins:
            self._ahead[twin] = self._submit(twin, header, path, scale)
        for planned in self._twins.values():
            if planned not in self._ahead:
                where = trace_path(path.parent, planned)
                named = header | {"case": planned}
                self._ahead[planned] = self._submit(planned, named, where, scale)
        played = self._ahead[twin]
        wait([played])
        if twin != case:
            _lend(trace_path(path.parent, twin), path, case)
        return played.result()

    def _submit(
        self, case: str, header: dict[str, object], path: Path, scale: float
    ) -> Future[str]:
        if self._workers is None:
            count = min(MACHINES, os.cpu_count() or 1)
            self._workers = ThreadPoolExecutor(count, thread_name_prefix="lab")
        return self._workers.submit(self._play, case, header, path, scale)

    def close(self) -> None:
        """End all machines; safe to call twice."""
        self._closed = True
        for machine in list(self._open):
            machine.session.close()
        if self._workers is not None:
            self._workers.shutdown(cancel_futures=True)
        for machine in list(self._open):
            machine.session.close()

    def _play(self, case: str, header: dict[str, object], path: Path, scale: float) -> str:
        """In a worker's thread, with a machine of its own."""
        _remove(path)
        needs = CASES[case].needs if case in CASES else ""
        if needs in self._lacks:
            return self._lacks[needs]
        machine = self._machine(scale)
        facts = self._facts
        request = {
            "case": case,
            "role": self._recipe.role.value,
            "header": header
            | {"platform": f"Xen {facts['Xen']} in QEMU, Linux {facts['Linux']} x86_64"},
            "scale": scale,
            "log": self._recipe.log,
            "peer": {
                "kind": self._recipe.kind,
                "command": self._recipe.command,
                "domid": machine.guest,
                "speaks": machine.speaks,
            },
        }
        try:
            said, data = machine.session.call(_PLAY, CASE_LIMIT * scale, **request)
        except CallFailed as failed:
            _write(path, failed.data)
            self._end(machine)
            what = f"case {case}" if case else "stage target"
            if failed.kind in _ADAPTER:
                raise AdapterError(f"{what}: {failed.why}; see {machine.console}") from None
            raise LabError(f"{what}: {failed}; see {machine.console}") from None
        except LabError:
            self._end(machine)
            raise
        _write(path, data)
        if said["disorder"]:
            self._end(machine)
        elif said["agent"] and not machine.speaks:
            machine.speaks = True  # it was slow to come up; now it can be given orders
            self._lacks.clear()
            return self._play(case, header, path, scale)
        if said["skipped"]:
            self._lacks[needs] = said["skipped"]
        return str(said["skipped"])

    def _machine(self, scale: float) -> "_Machine":
        """This worker's machine, restored if need be."""
        machine: _Machine | None = getattr(self._own, "machine", None)
        if machine is None:
            if self._closed:
                raise LabError("the lab has been closed")
            name = threading.current_thread().name.replace("_", "-")
            console = self._folder / f"console-{name}.log"
            machine = _Machine(Session(self._lab, console), console)
            self._open.add(machine)
            self._own.machine = machine
            try:
                if self._closed:  # while it was being restored
                    raise LabError("the lab has been closed")
                self._prepare(machine, scale)
            except BaseException:
                self._end(machine)
                raise
        return machine

    def _prepare(self, machine: "_Machine", scale: float) -> None:
        """Bring the target in."""
        session, recipe = machine.session, self._recipe
        for path, data in recipe.files.items():
            session.put(path, data, executable=True)
        machine.guest = session.guest
        if recipe.kind == "guest":
            files = list(recipe.files)
            try:
                made, _ = session.call(_CREATE, GUEST_LIMIT * scale, files=files, scale=scale)
            except CallFailed as failed:
                raise LabError(f"stage guest: {failed.why}; see {machine.console}") from None
            machine.guest, machine.speaks = made["domid"], made["speaks"]

    def _end(self, machine: "_Machine") -> None:
        machine.session.close()
        self._open.discard(machine)
        self._own.machine = None


@dataclass(eq=False)
class _Machine:
    """A restored machine, and the guest in it that counts."""

    session: Session
    console: Path
    guest: int = 0
    speaks: bool = True


def _lend(played: Path, path: Path, case: str) -> None:
    """Write to ``path`` the trace that another case has left, as that of ``case``, if any."""
    _remove(path)
    if played.exists():
        _write(path, renamed(played.read_bytes(), case))


def _write(path: Path, data: bytes) -> None:
    _remove(path)
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _remove(path: Path) -> None:
    """Nothing of an earlier run stays at ``path``, where it would be taken for this one's."""
    with _writing(path):
        path.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """What fails in the block is a ``RecordingError`` about ``path``."""
    try:
        yield
    except OSError as error:
        raise RecordingError(f"{path}: cannot be written: {error.strerror}") from error


def subject(role: Role, spec: str, folder: Path) -> Subject:
    """
    The target that ``--lab`` names.

    :param folder: where the consoles' lines go.
    :raises UsageError: it names nothing that the lab can hold.
    :raises LabError: there is no lab, or it was made by something else.
    """
    kind, _, rest = spec.partition(":")
    if spec == "linux":
        if role is not Role.FRONTEND:
            raise UsageError("--lab linux: Linux has a frontend only")
        recipe = Recipe(role, "linux")
    elif kind == "exec" and rest:
        recipe = _program(role, rest)
    elif kind == "guest" and rest:
        recipe = _guest(role, rest)
    else:
        raise UsageError(f"--lab {spec}: it can be linux, exec:COMMAND or guest:KERNEL[,INITRD]")
    name = ""
    if kind == "guest":
        name = " with ".join(Path(path).name for path in rest.split(","))
    return subject_of(recipe, name or rest, folder)


def subject_of(recipe: Recipe, name: str, folder: Path) -> Subject:
    """
    A target in the lab, by its recipe.

    :param name: how reports call it; empty for Linux's driver.
    :param folder: where the consoles' lines go.
    :raises LabError: there is no lab, or it was made by something else.
    """
    lab = build.default()
    facts = lab.facts()
    name = name or f"xen-tpmfront of Linux {facts['Linux']}"
    target = LabTarget(lab, recipe, folder)
    versions = {"Xen": facts["Xen"], "Linux": facts["Linux"]}
    evidence = xen.evidence(recipe.role, log=recipe.log)
    return Subject(name, recipe.role, "xen", evidence, None, target, versions, target.place)


def _program(role: Role, command: str) -> Recipe:
    """
    A program that is brought into dom0 and started there, with its arguments.

    ``python`` is dom0's, with the judge's own modules.
    """
    try:
        program, *arguments = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--lab exec:{command}: {error}") from error
    if program == "python":
        return Recipe(role, "program", shlex.join([*PYTHON, *arguments]))
    found = shutil.which(program)
    if found is None:
        raise UsageError(f"--lab exec:{command}: there is no program {program}")
    path = f"{FILES}/{Path(found).name}"
    files = {path: Path(found).read_bytes()}
    return Recipe(role, "program", shlex.join([path, *arguments]), files)


def _guest(role: Role, names: str) -> Recipe:
    """A PV guest of the user's: its kernel, and its initrd if it has one."""
    paths = [Path(name) for name in names.split(",")]
    for path in paths:
        if not path.is_file() or len(paths) > 2:
            raise UsageError(f"--lab guest:{names}: {path}: expected KERNEL[,INITRD], two files")
    parts = zip(("kernel", "initrd"), paths, strict=False)
    files = {f"{FILES}/{part}": path.read_bytes() for part, path in parts}
    return Recipe(role, "guest", files=files)
