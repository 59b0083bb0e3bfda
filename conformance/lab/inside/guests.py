# SPDX-License-Identifier: MIT
"""
Runs in dom0: brings up a PV guest of the user's in the place of the Linux guest.
"""

import os
import select
import subprocess
import sys
import time
import tty
from pathlib import Path
from typing import Any

from conformance.errors import LabError
from conformance.links.xen_devices import StoreClient

#: Seconds in which a guest comes up at most, and of silence after its first words
#: after which it has.
_LIMIT, _QUIET = 80.0, 6.0

#: What a guest says when it speaks the lines of the adapter page on its console.
_AGENT = b'{"msg": "agent"'

_PANIC = b"Kernel panic"

#: Bytes of its first words that are kept.
_KEPT = 1 << 14


def create(request: dict[str, Any], out: Path) -> dict[str, Any]:
    """
    Start the guest whose kernel and initrd are ``files``.

    :return: its domid, and whether it speaks the lines of the adapter page.
    :raises LabError: it is not started, or panics.
    """
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
    return {"domid": domid, "speaks": _wait_up(domid)}


def _wait_up(domid: int) -> bool:
    """Follow its console until its agent speaks, or nothing more comes."""
    store = StoreClient(lambda path, token: None)
    console = store.read(f"/local/domain/{domid}/console/tty")
    store.close()
    if console is None:
        raise LabError("the guest has ended, or has no console")
    fd = os.open(console, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd, 0)
    said = b""
    deadline = time.monotonic() + _LIMIT
    try:
        while select.select([fd], [], [], _patience(said, deadline))[0]:
            said += os.read(fd, 4096)
            if _AGENT in said:
                return True
            if _PANIC in said or len(said) > 1 << 20 or time.monotonic() > deadline:
                break
    except OSError:
        said += b"(its console is gone)"
    finally:
        os.close(fd)
        # On the console of this domain, which the host keeps.
        sys.stdout.write(said[-_KEPT:].decode("utf-8", "backslashreplace"))
        sys.stdout.flush()
    if _PANIC in said or said.endswith(b"gone)"):
        last = said[-1500:].decode("utf-8", "backslashreplace")
        raise LabError(f"the guest does not come up; its console: {last}")
    if len(said) > 1 << 20:
        raise LabError("the guest floods its console with more than 1 MiB")
    return False


def _patience(said: bytes, deadline: float) -> float:
    rest = max(0.0, deadline - time.monotonic())
    return min(_QUIET, rest) if said else rest
