# SPDX-License-Identifier: MIT
"""
Runs in dom0: brings up a PV guest of the user's in the place of the Linux guest.
"""

import os
import select
import subprocess
import time
import tty
from pathlib import Path
from typing import Any

from conformance.errors import LabError
from conformance.links.lines import is_agent
from conformance.links.xen_devices import StoreClient

#: Part of the caller's limit in which a guest comes up at most; the rest is for saying so.
_PART = 0.9

#: Seconds, before the multiplier, of silence after its first words, after which it is up.
_QUIET = 6.0

_PANIC = b"Kernel panic"

#: Bytes that it may say until it is up.
_FLOOD = 1 << 20


def create(request: dict[str, Any], out: Path) -> dict[str, Any]:
    """
    Start the guest whose kernel and initrd are ``files``, within ``limit`` seconds.

    :return: its domid, and whether it speaks the lines of the adapter page.
    :raises LabError: it is not started, or panics.
    """
    deadline = time.monotonic() + _PART * float(request["limit"])
    kernel, *initrd = request["files"]
    subprocess.run(["xl", "destroy", "linux"], capture_output=True, check=False)
    lines = ['name="target"', 'type="pv"', "memory=192", "vcpus=1", f'kernel="{kernel}"']
    lines += [f'ramdisk="{path}"' for path in initrd]
    lines += ['extra="console=hvc0 loglevel=4 panic=-1"', 'on_crash="destroy"']
    config = Path("/tmp/target.cfg")
    config.write_text("\n".join(lines) + "\n")
    made = subprocess.run(["xl", "create", config], capture_output=True, text=True, check=False)
    if made.returncode:
        raise LabError(f"xl create: {(made.stderr or made.stdout).strip()}")
    found = subprocess.run(["xl", "domid", "target"], capture_output=True, check=True)
    domid = int(found.stdout)
    quiet = _QUIET * float(request["scale"])
    return {"domid": domid, "speaks": _wait_up(domid, deadline, quiet)}


def _wait_up(domid: int, deadline: float, quiet: float) -> bool:
    """Follow its console until its agent speaks, or nothing more comes."""
    store = StoreClient(lambda path, token: None)
    console = store.read(f"/local/domain/{domid}/console/tty")
    store.close()
    if console is None:
        raise LabError("the guest has ended, or has no console")
    fd = os.open(console, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd, 0)
    try:
        return follow(fd, deadline, quiet)
    finally:
        os.close(fd)


def follow(console: int, deadline: float, quiet: float) -> bool:
    """
    Read a guest's console until it is up.

    :param deadline: until then it is waited for, on the clock of ``time.monotonic``.
    :param quiet: seconds of silence after its first words, after which it is up.
    :return: whether it has an agent, which has spoken.
    :raises LabError: it ends, panics, or says too much.
    """
    said = rest = b""
    while select.select([console], [], [], _patience(said, deadline, quiet))[0]:
        data = _read(console)
        said += data
        *lines, rest = (rest + data).split(b"\n")
        if any(is_agent(line) for line in lines):
            return True
        if not data or _PANIC in said:
            last = said[-1500:].decode("utf-8", "backslashreplace")
            gone = "" if data else " (and it is gone)"
            raise LabError(f"the guest does not come up; its console: {last}{gone}")
        if len(said) > _FLOOD:
            raise LabError(f"the guest floods its console with more than {_FLOOD >> 20} MiB")
        if time.monotonic() > deadline:
            break
    return False


def _read(console: int) -> bytes:
    """What there is on a console; nothing if it is gone."""
    try:
        return os.read(console, 4096)
    except OSError:
        return b""


def _patience(said: bytes, deadline: float, quiet: float) -> float:
    rest = max(0.0, deadline - time.monotonic())
    return min(quiet, rest) if said else rest
