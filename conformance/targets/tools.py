# SPDX-License-Identifier: MIT
"""
The main job with real programs: tpm2-tools talk to libtpms across the page.

Each tool's command goes ``examples/tpm2_pipe.py`` -> Unix socket -> reference
frontend -> page -> reference backend -> libtpms, and its response the same way
back.  Everything that both sides do to the page is recorded.

``python -m conformance.targets.tools TRACE`` runs them and prints what they print.
"""

import argparse
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conformance.errors import AdapterError
from conformance.links.joint import Joint
from conformance.links.memory import EVIDENCE
from conformance.recorder import Recorder
from conformance.run import header_of
from conformance.targets import libtpms, reference
from conformance.targets.chip import LIBRARY, loads
from vtpm_ref.packet import CODES, HEADER_SIZE, error_response
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

_APT = "apt-get install libtpms0 tpm2-tools libtss2-tcti-cmd0"

_PIPE = Path(__file__).parents[2] / "examples" / "tpm2_pipe.py"

_TOOLS = (
    ("tpm2_getrandom", "16", "--hex"),
    ("tpm2_pcrread", "sha256:0,1,2"),
    ("tpm2_createprimary", "-C", "o", "-g", "sha256", "-G", "rsa2048", "-c", "primary.ctx"),
)

#: Seconds for one tool.
_PATIENCE = 120.0


@dataclass(frozen=True)
class ToolRun:
    """
    One tool's run.

    :param status: its exit status; 124 when it did not end in time.
    """

    name: str
    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    seconds: float


def available() -> str:
    """
    What to do before the tools can run; empty if nothing.
    """
    found = all(shutil.which(argv[0]) for argv in _TOOLS)
    return "" if found and loads("libtss2-tcti-cmd.so.0") and loads(LIBRARY) else _APT


def run_tools(trace: Path) -> list[ToolRun]:
    """
    Run the three tools one after the other; record all that happens on the page.

    :param trace: where the trace goes; it is complete when this returns.
    :raises AdapterError: something is missing, or the two sides do not connect.
    """
    if missing := available():
        raise AdapterError(f"the TPM tools cannot run: {missing}")
    if not _PIPE.is_file():
        raise AdapterError(f"{_PIPE} is missing: the tools run only in the source tree")
    header = header_of(
        (Role.FRONTEND, Role.BACKEND),
        link="memory",
        target="reference frontend + libtpms backend",
        evidence=EVIDENCE,
    )
    recorder = Recorder(trace, header)
    try:
        joint = Joint(Place(), recorder, reference.frontend, libtpms.backend)
        joint.connect()
        with tempfile.TemporaryDirectory() as folder, _served(joint, Path(folder)) as tcti:
            return [_run(argv, tcti, folder) for argv in _TOOLS]
    finally:
        recorder.close()
        libtpms.release()


def _run(argv: tuple[str, ...], tcti: str, folder: str) -> ToolRun:
    environment = {**os.environ, "TPM2TOOLS_TCTI": tcti, "LC_ALL": "C.UTF-8"}
    start = time.monotonic()
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        status, stdout, stderr = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired:
        status, stdout, stderr = 124, "", f"did not end within {_PATIENCE:.0f} s\n"
    return ToolRun(argv[0], argv, status, stdout, stderr, time.monotonic() - start)


@contextmanager
def _served(joint: Joint, folder: Path) -> Iterator[str]:
    """
    Serve ``joint`` on a socket in ``folder``; give the TCTI that leads there.
    """
    path = str(folder / "socket")
    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor(1) as pool:
        listener.bind(path)
        listener.listen()
        serving = pool.submit(_serve, listener, joint)
        try:
            yield "cmd:" + shlex.join([sys.executable, str(_PIPE), path])
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # ends the accept that waits
            serving.result()


def _serve(listener: socket.socket, joint: Joint) -> None:
    """Answer one tool after the other until ``listener`` is shut down."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        try:
            with connection:
                _answer(connection, joint)
        except ConnectionError:
            continue  # that tool has gone; the next may come


def _answer(connection: socket.socket, joint: Joint) -> None:
    """Bring each command through the page until the tool has no more."""
    stream = connection.makefile("rb")
    while len(header := stream.read(HEADER_SIZE)) == HEADER_SIZE:
        size = int.from_bytes(header[2:6], "big")
        outcome = joint.exchange(header + stream.read(max(size - HEADER_SIZE, 0)))
        codes = CODES[joint.family]
        code = codes.size if outcome.outcome == "refused" else codes.failure
        connection.sendall(outcome.packet or error_response(joint.family, code))


def main() -> int:
    """Run the tools and print what they print, as a shell session."""
    parser = argparse.ArgumentParser(description="tpm2-tools talk to libtpms across the page")
    parser.add_argument("trace", type=Path, help="where the trace goes")
    trace = parser.parse_args().trace
    if missing := available():
        print(f"not run: {missing}")
        return AdapterError.exit_code
    runs = run_tools(trace)
    for run in runs:
        print(f"$ {shlex.join(run.argv)}  # {run.seconds:.2f} s")
        print((run.stdout + run.stderr).rstrip())
    return int(any(run.status for run in runs))


if __name__ == "__main__":
    sys.exit(main())
