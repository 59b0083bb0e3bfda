# SPDX-License-Identifier: MIT
"""
One QEMU with Xen in it: started, saved, restored, and ended whatever happens.

All that ties it to this process are inherited descriptors: its memory is a
memfd, its monitor and its line to dom0 are socket pairs.  So nothing of it is
left in the file system, and it is killed with the process that started it.
"""

import contextlib
import json
import os
import select
import shlex
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from conformance.errors import LabError

QEMU = "qemu-system-x86_64"

#: MiB of the machine, and those of them that are dom0's.
MEMORY, DOM0_MEMORY = 768, 448

#: Seconds until an order to the monitor has been carried out.
_MONITOR_LIMIT = 60.0

#: Bytes that are either saved or left out of a saved memory.
_BLOCK = 1 << 15

_XEN = "console=com1 com1=115200,8n1 loglvl=warning dom0_max_vcpus=1"
_LINUX = "console=hvc0 panic=-1 quiet rootfstype=ramfs"


class Machine:
    """
    A running QEMU.

    :param memory: descriptor of the memfd that is its memory; becomes the machine's.
    :param console: file that the lines on its serial port are added to.
    :param boot: arguments that make it boot or wait for a saved state.
    :raises LabError: QEMU is missing or ends at once.

    A message between the host and dom0 is one JSON line, and behind it as many bytes of
    data as its ``size`` says.
    """

    def __init__(self, memory: int, console: Path, boot: list[str]) -> None:
        self._lock = threading.Lock()
        self._memory = memory
        self._console = console
        self._monitor, monitor = socket.socketpair()
        self._line, line = socket.socketpair()
        self._buffer = b""
        self._said = bytearray()
        try:
            log = os.open(console, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            self._close()
            for end in (monitor, line):
                end.close()
            raise LabError(f"{console}: cannot be written: {error.strerror}") from error
        inherited = [memory, monitor.fileno(), line.fileno(), log]
        try:
            self._process = subprocess.Popen(
                [*leash(), QEMU, *self._arguments(*inherited), *boot],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=inherited,
                start_new_session=True,
            )
        except OSError as error:
            self._close()
            raise LabError(f"cannot start {QEMU}: {error.strerror}") from error
        finally:
            for end in (monitor, line):
                end.close()
            os.close(log)
        try:
            self._receive()  # its greeting
            self.order("qmp_capabilities")
        except LabError:
            self.end()
            raise

    @staticmethod
    def _arguments(memory: int, monitor: int, line: int, log: int) -> list[str]:
        return shlex.split(
            f"-accel tcg,thread=single,tb-size=256 -cpu qemu64 -smp 1 -m {MEMORY}"
            f" -object memory-backend-file,id=ram,size={MEMORY}M,share=on"
            f",mem-path=/proc/self/fd/{memory}"
            " -machine pc,memory-backend=ram -nodefaults -no-user-config -display none -no-reboot"
            f" -chardev socket,id=monitor,fd={monitor} -mon chardev=monitor,mode=control"
            f" -add-fd fd={log},set=1 -chardev file,id=serial,path=/dev/fdset/1,append=on"
            " -serial chardev:serial"
            f" -device virtio-serial-pci -chardev socket,id=line,fd={line}"
            " -device virtserialport,chardev=line,name=host"
        )

    def order(self, execute: str, **arguments: object) -> Any:
        """
        Give the monitor an order and return what it answers.

        :raises LabError: it refuses, or QEMU has ended.
        """
        request = {"execute": execute, "arguments": arguments}
        try:
            self._monitor.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            raise self.ended() from None
        while True:
            reply = self._receive()
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise LabError(f"QEMU refuses {execute}: {reply['error']['desc']}")

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + _MONITOR_LIMIT
        while b"\n" not in self._buffer:
            if not self._readable(self._monitor, deadline):
                raise LabError(f"QEMU's monitor is silent for {_MONITOR_LIMIT:g} s")
            data = b""
            with contextlib.suppress(ConnectionError):
                data = self._monitor.recv(65536)
            if not data:
                raise self.ended()
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return dict(json.loads(line))

    def send(self, request: dict[str, Any], data: bytes, limit: float, stage: str) -> None:
        """
        Send dom0 a message, with ``data`` behind it.

        :param stage: what the machine is doing, in words, should it fail.
        :raises LabError: dom0 has not taken it within ``limit`` seconds, or QEMU has ended.
        """
        message = json.dumps(request | {"size": len(data)}).encode() + b"\n"
        rest = memoryview(message + data)
        deadline = time.monotonic() + limit
        while rest:
            late = f"{len(rest)} bytes of a request are not taken within {limit:g} s"
            self._wait_line(select.POLLOUT, deadline, stage, late)
            try:
                rest = rest[self._line.send(rest, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                continue
            except OSError:
                raise self.ended(stage) from None

    def receive(self, limit: float, stage: str) -> tuple[dict[str, Any], bytes]:
        """
        The next message of dom0, and the data behind it.

        :raises LabError: it has not come within ``limit`` seconds, or QEMU has ended.
        """
        deadline, late = time.monotonic() + limit, f"no answer within {limit:g} s"
        while b"\n" not in self._said:
            self._hear(deadline, stage, late)
        line, _, rest = bytes(self._said).partition(b"\n")
        self._said = bytearray(rest)
        message = dict(json.loads(line))
        size = int(message["size"])
        while len(self._said) < size:
            self._hear(deadline, stage, late)
        data = bytes(self._said[:size])
        del self._said[:size]
        return message, data

    def _hear(self, deadline: float, stage: str, late: str) -> None:
        self._wait_line(select.POLLIN, deadline, stage, late)
        data = b""
        with contextlib.suppress(OSError):
            data = self._line.recv(1 << 16)
        if not data:
            raise self.ended(stage)
        self._said += data

    def _wait_line(self, event: int, deadline: float, stage: str, late: str) -> None:
        """Wait until the line to dom0 can be read, or written."""
        poll = select.poll()
        try:
            poll.register(self._line, event)
        except ValueError:
            raise self.ended(stage) from None  # by another thread
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise LabError(f"{stage}: {late}; its console is in {self._console}")

    @staticmethod
    def _readable(source: socket.socket, deadline: float) -> bool:
        rest = max(0.0, deadline - time.monotonic())
        return bool(select.select([source], [], [], rest)[0])

    def ended(self, stage: str = "") -> LabError:
        """What to raise when it is no more."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        where = f"{stage}: " if stage else ""
        status = self._process.poll()
        return LabError(
            f"{where}QEMU has ended (status {status}); its console is in {self._console}"
        )

    def save(self, folder: Path) -> None:
        """Write its state and memory into ``folder``; it stays stopped."""
        self.order("stop")
        self._share_memory()
        self.order("migrate", uri=f"exec:cat > {shlex.quote(str(folder / 'devices'))}")
        self._wait_status("query-migrate", "completed", "failed")
        with (folder / "memory").open("wb") as out:
            _save_memory(self._memory, out.fileno())

    def restore(self, devices: Path) -> None:
        """Go on from a saved state; the memory is the saved one already."""
        self._share_memory()
        self.order("migrate-incoming", uri=f"exec:cat {shlex.quote(str(devices))}")
        self._wait_status("query-status", "paused", "internal-error")
        self.order("cont")

    def _share_memory(self) -> None:
        capability = {"capability": "x-ignore-shared", "state": True}
        self.order("migrate-set-capabilities", capabilities=[capability])

    def _wait_status(self, query: str, wanted: str, failed: str) -> None:
        deadline = time.monotonic() + _MONITOR_LIMIT
        while (status := self.order(query).get("status")) != wanted:
            if status == failed or time.monotonic() > deadline:
                raise LabError(f"the machine cannot be saved or restored: {query} says {status}")
            time.sleep(0.005)

    def end(self) -> None:
        """Kill it; safe to call twice, and from two threads."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        with self._lock:
            self._monitor.close()
            self._line.close()
            memory, self._memory = self._memory, -1
            if memory >= 0:
                os.close(memory)


def shape() -> str:
    """What a saved state only fits together with, in short."""
    return f"{MEMORY} MiB, {DOM0_MEMORY} of them dom0's, one CPU"


def leash() -> list[str]:
    """What kills the program behind it when this process dies, however it does."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


def boot(images: Path, console: Path) -> Machine:
    """Start a machine from its images."""
    arguments = [
        *("-kernel", str(images / "xen")),
        *("-append", f"{_XEN} dom0_mem={DOM0_MEMORY}M,max:{DOM0_MEMORY}M"),
        *("-initrd", f"{images / 'vmlinux'} {_LINUX},{images / 'dom0.cpio'}"),
    ]
    return Machine(_memory(), console, arguments)


def resume(snapshot: Path, console: Path) -> Machine:
    """Start a machine from a snapshot."""
    memory = _memory()
    try:
        with (snapshot / "memory").open("rb") as saved:
            _copy_sparse(saved.fileno(), memory)
    except OSError as error:
        os.close(memory)
        raise LabError(f"{snapshot}: cannot be restored: {error.strerror}") from error
    machine = Machine(memory, console, ["-S", "-incoming", "defer"])
    try:
        machine.restore(snapshot / "devices")
    except LabError:
        machine.end()
        raise
    return machine


def _memory() -> int:
    """
    A memfd of the machine's size.

    :raises LabError: this process may not have so much.
    """
    memory = os.memfd_create("vtpm-lab", os.MFD_CLOEXEC)
    try:
        os.ftruncate(memory, MEMORY << 20)
    except OSError as error:
        os.close(memory)
        raise LabError(
            f"stage memory: no {MEMORY} MiB for the machine: {error.strerror}"
        ) from error
    return memory


def _save_memory(source: int, target: int) -> None:
    """Copy the machine's memory, leaving holes where it is zero."""
    nothing = bytes(_BLOCK)
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
    for start in range(0, size, _BLOCK):
        block = os.pread(source, _BLOCK, start)
        if block != nothing:
            os.pwrite(target, block, start)


def _copy_sparse(source: int, target: int) -> None:
    """Copy a file without its holes."""
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
    start = 0
    while start < size:
        try:
            start = os.lseek(source, start, os.SEEK_DATA)
        except OSError:
            return  # nothing but a hole is left
        end = os.lseek(source, start, os.SEEK_HOLE)
        os.lseek(target, start, os.SEEK_SET)
        while start < end:
            start += os.sendfile(target, source, start, min(end - start, 1 << 24))
