# SPDX-License-Identifier: MIT
"""
A restored lab and the line to the server in its dom0.
"""

import contextlib
import importlib.machinery
import importlib.util
import io
import marshal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import conformance
import vtpm_ref
from conformance.errors import LabError, RecordingError
from conformance.lab import machine
from conformance.lab.build import Lab

#: Parts of the tree that are loaded in dom0, packages and modules of ``conformance``.
_PARTS = (
    "cases",
    "errors",
    "links",
    "lab/inside",
    "meeting",
    "play",
    "recorder",
    "targets",
    "tester",
    "watching",
    "driver",
    "adapter",
    "grounds",
)

#: Where they are in dom0.
CODE = "/tmp/code.zip"

#: Seconds that the line may be silent beyond what a request takes.
_GRACE = 10.0


class CallFailed(LabError):
    """
    What ran in dom0 failed.

    :ivar kind: name of the exception there; ``Ended`` if it did not end by itself.
    :ivar data: what it has left behind.
    """

    def __init__(self, kind: str, why: str, where: str, data: bytes) -> None:
        super().__init__(f"in dom0: {why}" + (f"\n{where}" if where else ""))
        self.kind = kind
        self.why = why
        self.data = data


class Session:
    """
    One restored machine, with the judge's code in it.

    :param console: file for what is said on its console, and on those of its guests.
    :raises LabError: it cannot be restored, or does not answer.
    """

    def __init__(self, lab: Lab, console: Path) -> None:
        self.facts = lab.facts()
        self.guest = int(self.facts["guest"])
        self._console = console
        self._machine = machine.resume(lab.snapshot, console)
        try:
            request = {"do": "load", "path": CODE}
            self._ask(request, code(self.facts["bytecode"]), 10.0)
        except BaseException:
            self.close()
            raise

    def put(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Write a file in dom0."""
        mode = 0o755 if executable else 0o644
        self._ask({"do": "put", "path": path, "mode": mode}, data, 60.0)

    def call(self, what: str, limit: float, **request: object) -> tuple[Any, bytes]:
        """
        Run ``module:function`` in dom0, in a process of its own.

        :param limit: seconds after which that process is killed.
        :return: what the function returned, and the bytes that it left in its file.
        :raises CallFailed: it raised, or did not end by itself.
        :raises LabError: the machine is no more.
        :raises RecordingError: what guests have said cannot be kept.
        """
        reply, data = self._ask({"do": "call", "what": what, "limit": limit} | request, b"", limit)
        if not reply["ok"]:
            raise CallFailed(reply["kind"], reply["why"], reply["where"], data)
        return reply["value"], data

    def close(self) -> None:
        """End the machine; safe to call twice."""
        self._machine.end()

    def _ask(self, request: dict[str, Any], data: bytes, limit: float) -> tuple[Any, bytes]:
        stage = f"stage {request.get('what', request['do'])}"
        self._machine.send(request, data, limit + _GRACE, stage)
        reply, left = self._machine.receive(limit + _GRACE, stage)
        rest = len(left) - int(reply.get("console", 0))
        self._keep(str(request.get("case") or stage), left[rest:])
        if reply.get("kind") == "Server":
            raise LabError(f"the server in dom0: {reply['why']}\n{reply['where']}")
        return reply, left[:rest]

    def _keep(self, when: str, said: bytes) -> None:
        """Add what guests have said to the console's file."""
        if not said:
            return
        try:
            with self._console.open("ab") as log:
                log.write(f"--- guest, {when} ---\n".encode() + said.rstrip() + b"\n")
        except OSError as error:
            why = f"{self._console}: cannot be written: {error.strerror}"
            raise RecordingError(why) from error


def code(bytecode: str) -> bytes:
    """
    The modules that run in dom0, as a zip file.

    :param bytecode: what dom0's Python calls its bytecode; if this Python makes the
        same, the modules go compiled.
    """
    compiled = importlib.util.MAGIC_NUMBER.hex() == bytecode
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, path in sorted(_modules().items()):
            if not compiled:
                archive.writestr(f"{name}.py", path.read_bytes())
                continue
            dotted = name.removesuffix("/__init__").replace("/", ".")
            loaded = importlib.machinery.SourceFileLoader(dotted, str(path)).get_code(dotted)
            header = importlib.util.MAGIC_NUMBER + bytes(12)
            archive.writestr(f"{name}.pyc", header + marshal.dumps(loaded))
    return out.getvalue()


def _modules() -> dict[str, Path]:
    """Path of each module, by its name with slashes."""
    found: dict[str, Path] = {}
    tree = Path(str(conformance.__file__)).parent
    roots = {Path(str(vtpm_ref.__file__)).parent: "vtpm_ref"}
    for part in _PARTS:
        roots[tree / part] = f"conformance/{part}"
    found["conformance/__init__"] = tree / "__init__.py"
    found["conformance/lab/__init__"] = tree / "lab" / "__init__.py"
    for root, name in roots.items():
        if root.is_dir():
            found |= {f"{name}/{path.stem}": path for path in root.glob("*.py")}
        else:
            found[name] = root.with_suffix(".py")
    return found


@contextlib.contextmanager
def opened(lab: Lab, console: Path) -> Iterator[Session]:
    """A session that ends with the block."""
    session = Session(lab, console)
    try:
        yield session
    finally:
        session.close()
