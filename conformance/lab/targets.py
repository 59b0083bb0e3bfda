# SPDX-License-Identifier: MIT
"""
A target in the lab, as the host sees it: cases go in, traces come out.
"""

import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from conformance.errors import AdapterError, LabError, UsageError
from conformance.lab import build
from conformance.lab.build import Lab
from conformance.lab.session import CallFailed, Session
from conformance.links import xen
from conformance.run import Subject
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

#: Seconds, before the multiplier, that one case may take in dom0.
CASE_LIMIT = 60.0

_PLAY = "conformance.lab.inside.case:play"


@dataclass
class LabTarget:
    """
    One target, and the restored machine that it lives in.

    A machine serves case after case.  After one that left it in disorder, the next
    gets a machine that is fresh from the snapshot.

    :param role: the role of the target.
    :param peer: how dom0 reaches it; ``domid`` is filled in.
    :param files: what dom0 needs, by path: the bytes of programs.
    :param console: file for the console's lines.
    """

    lab: Lab
    role: Role
    peer: dict[str, str]
    files: dict[str, bytes] = field(default_factory=dict)
    console: Path = Path("console.log")
    _session: Session | None = None

    def open(self) -> Session:
        """
        The machine, restored if need be.

        :raises LabError: there is no lab, or it does not come up.
        """
        if self._session is None:
            self._session = Session(self.lab, self.console)
            try:
                for path, data in self.files.items():
                    self._session.put(path, data, executable=True)
            except BaseException:
                self.close()
                raise
        return self._session

    def close(self) -> None:
        """End the machine; safe to call twice."""
        if self._session is not None:
            self._session.close()
        self._session = None

    @property
    def place(self) -> Place:
        """Where the device is: a guest's, or one between two programs of dom0."""
        return Place(self.guest if self.peer["kind"] == "guest" else 0, 0, 0)

    @property
    def guest(self) -> int:
        """Domid of the Linux guest."""
        return int(self.lab.facts()["guest"])

    def platform(self) -> str:
        """Versions for the header of a trace."""
        facts = self.lab.facts()
        return f"Xen {facts['Xen']} in QEMU, Linux {facts['Linux']} x86_64"

    def play(self, case: str, header: dict[str, object], path: Path, scale: float) -> str:
        """
        Play a case and write its trace to ``path``.

        :param case: its id; empty to start and stop the target only.
        :return: in words, why the case does not apply; empty if it was played.
        :raises AdapterError: the target does not start.
        :raises LabError: the lab failed; the trace is kept as far as it goes.
        """
        session = self.open()
        request = {
            "case": case,
            "role": self.role.value,
            "header": header | {"platform": self.platform()},
            "scale": scale,
            "peer": self.peer | {"domid": str(session.guest)},
        }
        try:
            skipped, data = session.call(_PLAY, CASE_LIMIT * scale, **request)
        except CallFailed as failed:
            _write(path, failed.data)
            self.close()
            if failed.kind == AdapterError.__name__:
                raise AdapterError(failed.why) from None
            raise LabError(f"case {case or 'smoke'}: {failed}; see {self.console}") from None
        except LabError:
            self.close()
            raise
        _write(path, data)
        return str(skipped)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def subject(role: Role, spec: str, folder: Path) -> Subject:
    """
    The target that ``--lab`` names.

    :param folder: where the console's lines go.
    :raises UsageError: it names nothing that the lab can hold.
    :raises LabError: there is no lab, or it was made by something else.
    """
    kind, _, rest = spec.partition(":")
    lab, console = build.default(), folder / "console.log"
    facts = lab.facts()
    folder.mkdir(parents=True, exist_ok=True)
    console.unlink(missing_ok=True)
    if spec == "linux":
        if role is not Role.FRONTEND:
            raise UsageError("--lab linux: Linux has a frontend only")
        name = f"xen-tpmfront of Linux {facts['Linux']}"
        target = LabTarget(lab, role, {"kind": "guest"}, console=console)
    elif kind == "exec" and rest:
        name = rest
        target = _program(lab, role, rest, console)
    else:
        raise UsageError(f"--lab {spec}: it can be linux, exec:COMMAND or guest:KERNEL[,INITRD]")
    return Subject(name, role, "xen", xen.evidence(role, log=True), None, target)


def _program(lab: Lab, role: Role, command: str, console: Path) -> LabTarget:
    """A program that is brought into dom0 and started there, with its arguments."""
    try:
        program, *arguments = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--lab exec:{command}: {error}") from error
    found = shutil.which(program)
    if found is None:
        raise UsageError(f"--lab exec:{command}: there is no program {program}")
    path = f"/tmp/{Path(found).name}"
    words = {"kind": "program", "command": shlex.join([path, *arguments])}
    return LabTarget(lab, role, words, {path: Path(found).read_bytes()}, console)
