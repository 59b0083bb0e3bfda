# SPDX-License-Identifier: MIT
"""
The server in dom0: takes requests from the host over a virtio port.

It is started before the snapshot is taken, with Python's library loaded.  What
is judged with comes later: the host sends the code, and each call of it runs in
a fork, so that nothing of one case is left for the next.  Standard library only.

A request is one JSON line; if it has a ``size``, so many bytes for the file ``path``
follow.  A reply is one JSON line and ``size`` bytes; the last ``console`` of these are
what guests have said on their consoles since the reply before.
"""

import contextlib
import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

#: Loaded here, so that no case has to wait for them.
PRELOADED = (
    "argparse",
    "contextlib",
    "ctypes",
    "dataclasses",
    "enum",
    "fcntl",
    "mmap",
    "re",
    "shlex",
    "shutil",
    "socket",
    "struct",
    "termios",
    "threading",
    "tty",
    "typing",
    "zipimport",
    "zlib",
)

PORT = Path("/dev/vport0p1")
GUEST = "/guest"

#: Where the init script lets xenconsoled keep what guests say, and how much a reply brings.
CONSOLES, MOST_CONSOLE = Path("/var/log/xen/console"), 1 << 18


class Host:
    """The line to the host."""

    def __init__(self) -> None:
        self._fd = os.open(PORT, os.O_RDWR)
        self._buffer = bytearray()

    def receive(self) -> dict[str, Any]:
        """The next request; what comes with it is in the file ``path``."""
        while b"\n" not in self._buffer:
            self._fill()
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        request: dict[str, Any] = json.loads(line)
        if size := int(request.get("size", 0)):
            self._store(Path(request["path"]), size)
        return request

    def _store(self, path: Path, size: int) -> None:
        """Write the next ``size`` bytes to a file; dom0 has no memory to keep them in."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            while size:
                if not self._buffer:
                    self._fill()
                part = self._buffer[:size]
                out.write(part)
                del self._buffer[: len(part)]
                size -= len(part)

    def send(self, reply: dict[str, Any], data: bytes = b"") -> None:
        """Send a reply with ``data`` behind it."""
        whole = memoryview(json.dumps(reply | {"size": len(data)}).encode() + b"\n" + data)
        while whole:
            whole = whole[os.write(self._fd, whole[:65536]) :]

    def _fill(self) -> None:
        data = os.read(self._fd, 65536)
        if not data:
            time.sleep(0.05)  # the host has not connected yet, or was replaced
        self._buffer += data


class Consoles:
    """What xenconsoled has written down of the guests' consoles."""

    def __init__(self) -> None:
        self._read: dict[Path, int] = {}

    def news(self) -> bytes:
        """What is new; of very much, the end."""
        found = b""
        for path in sorted(CONSOLES.glob("guest-*.log")):
            with path.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                start = max(self._read.get(path, 0), size - MOST_CONSOLE)
                log.seek(start)
                found += log.read(size - start)
            self._read[path] = size
        return found


def load(request: dict[str, Any]) -> dict[str, Any]:
    """Take the judge's code: a zip file of its modules."""
    sys.path.insert(0, request["path"])
    importlib.invalidate_caches()
    return {"ok": True}


def call(request: dict[str, Any], host: Host, consoles: Consoles) -> None:
    """Run ``module:function(request, folder)`` in a fork; send back what it leaves in ``out``."""
    module, _, function = request["what"].partition(":")
    out = Path("/tmp/out")
    out.unlink(missing_ok=True)
    action = getattr(importlib.import_module(module), function)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _child(action, request, out, writer)
    os.close(writer)
    answer = _outcome(child, reader, float(request["limit"]))
    os.close(reader)
    said = consoles.news()
    left = out.read_bytes() if out.exists() else b""
    host.send(answer | {"console": len(said)}, left + said)


def _child(action: Any, request: dict[str, Any], out: Path, writer: int) -> None:
    """Runs in the fork, and ends it."""
    gc.disable()  # it would copy all that is shared with the server; the fork is short
    os.setsid()
    try:
        answer = {"ok": True, "value": action(request, out)}
    except BaseException as error:
        where = "" if hasattr(error, "exit_code") else traceback.format_exc()
        answer = {"ok": False, "kind": type(error).__name__, "why": str(error), "where": where}
    os.write(writer, json.dumps(answer).encode())
    os._exit(0)


def _outcome(child: int, reader: int, limit: float) -> dict[str, Any]:
    """What the fork said, or how it ended; whatever it started ends with it."""
    said = bytearray()
    deadline = time.monotonic() + limit
    while select.select([reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
        data = os.read(reader, 65536)
        if not data:
            break
        said += data
    late = time.monotonic() >= deadline
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if said:
        return dict(json.loads(said))
    why = f"did not end within {limit:g} s" if late else f"ended with status {status}"
    return {"ok": False, "kind": "Ended", "why": why, "where": ""}


def create_guest() -> int:
    """
    Start the Linux guest and wait until its agent speaks; return its domid.

    :raises RuntimeError: it does not start, or its agent stays silent.
    """
    config = Path("/tmp/linux.cfg")
    config.write_text(
        'name="linux"\ntype="pv"\nmemory=192\nvcpus=1\n'
        f'kernel="{GUEST}/vmlinux"\nramdisk="{GUEST}/initrd"\n'
        'extra="console=hvc0 loglevel=4 panic=-1 quiet rootfstype=ramfs"\non_crash="destroy"\n'
    )
    made = subprocess.run(["xl", "create", config], capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(f"xl create: {made.stderr.strip() or made.stdout.strip()}")
    domid = int(subprocess.run(["xl", "domid", "linux"], capture_output=True, check=True).stdout)
    _wait_for_agent(domid)
    return domid


def _wait_for_agent(domid: int) -> None:
    import tty

    path = _store_read(f"/local/domain/{domid}/console/tty")
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd, 0)
    said = b""
    deadline = time.monotonic() + 120
    while b'"msg": "agent"' not in said:
        rest = deadline - time.monotonic()
        if rest <= 0 or not select.select([fd], [], [], rest)[0]:
            raise RuntimeError(f"the guest's agent does not start; its console: {said[-2000:]!r}")
        data = os.read(fd, 4096)
        if not data:
            raise RuntimeError(f"the guest has ended; its console: {said[-2000:]!r}")
        sys.stdout.write(data.decode("utf-8", "replace"))
        said += data
    os.close(fd)


def _store_read(path: str) -> str:
    """A node of xenstore, asked for by hand: type 2 is READ."""
    import socket
    import struct

    with socket.socket(socket.AF_UNIX) as store:
        store.connect("/run/xenstored/socket")
        payload = path.encode() + b"\0"
        store.sendall(struct.pack("<IIII", 2, 0, 0, len(payload)) + payload)
        _, _, _, size = struct.unpack("<IIII", store.recv(16))
        return store.recv(size).decode()


def main() -> None:
    """Prepare, say so, and serve."""
    for name in PRELOADED:
        importlib.import_module(name)
    while not PORT.exists():
        time.sleep(0.05)
    host = Host()
    try:
        guest = create_guest()
    except Exception as error:
        host.send({"ok": False, "stage": "guest", "why": str(error)})
        raise
    xen = Path("/sys/hypervisor/version")
    version = ".".join((xen / part).read_text().strip() for part in ("major", "minor"))
    extra = (xen / "extra").read_text().strip()
    host.send(
        {
            "ok": True,
            "guest": guest,
            "xen": version + extra,
            "linux": os.uname().release,
            "magic": importlib.util.MAGIC_NUMBER.hex(),
        }
    )
    consoles = Consoles()
    while True:
        request = host.receive()
        try:
            if request["do"] == "load":
                host.send(load(request))
            elif request["do"] == "put":
                Path(request["path"]).chmod(request["mode"])
                host.send({"ok": True})
            else:
                call(request, host, consoles)
        except Exception as error:
            where = traceback.format_exc()
            host.send({"ok": False, "kind": "Server", "why": repr(error), "where": where})


if __name__ == "__main__":
    main()
