# SPDX-License-Identifier: MIT
"""
The agent in the Linux guest: takes orders for ``/dev/tpm0`` on its console.

It speaks the lines of the adapter page, so that to the judge an unmodified
driver looks like any frontend.  What else is on the console, the kernel's
words among it, is free text.  Standard library only.
"""

import contextlib
import errno
import json
import os
import subprocess
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

_TPM = "/dev/tpm0"
_DRIVER = Path("/sys/bus/xen/drivers/vtpm")
_DEVICES = Path("/sys/bus/xen/devices")
_CANCEL = Path("/sys/class/tpm/tpm0/device/cancel")

#: What the driver's error says of an order; any other one has failed.
_OUTCOMES = {
    errno.ECANCELED: "cancelled",
    errno.ETIME: "timed-out",
    errno.EINVAL: "refused",
    errno.E2BIG: "refused",
    errno.ENODEV: "refused",
    errno.ENOENT: "refused",
    errno.ENXIO: "refused",
}

#: The kernel's log, how much of it goes to the console by itself, and which levels matter.
_LOG, _CONSOLE_LEVEL, _WORST = Path("/dev/kmsg"), Path("/proc/sys/kernel/printk"), range(4)

#: Seconds that an order waits for the device to be there, and for it to be free.
PATIENCE = 20.0


class Device:
    """``/dev/tpm0``, open while it is there."""

    def __init__(self) -> None:
        self._fd = -1
        self._lock = threading.Lock()

    def send(self, packet: bytes) -> bytes:
        """
        Bring one packet through the driver; orders that come meanwhile wait there.

        :raises OSError: what the driver says.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fd = self._open()
                os.write(fd, packet)
                return os.read(fd, 8192)
            except OSError as error:
                if error.errno in (errno.ENODEV, errno.EPIPE):
                    self.close()  # the next one opens what has come in its place
                if error.errno not in (errno.EBUSY, errno.ENOENT) or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)

    def close(self) -> None:
        """Let it go, so that the driver can."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        with self._lock:
            if self._fd < 0:
                self._fd = os.open(_TPM, os.O_RDWR | os.O_CLOEXEC)
            return self._fd


class Agent:
    """Carries out orders, each in a thread of its own."""

    def __init__(self) -> None:
        self._device = Device()
        self._say_lock = threading.Lock()
        self._sending = 0
        self._starts = 0

    def serve(self) -> None:
        """Read lines for ever."""
        for line in sys.stdin:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            kind = message.get("msg")
            if kind == "start":
                self._starts += 1
                self._device.close()
                self._wait_gone(PATIENCE)
                self._say(
                    msg="ready",
                    protocol=1,
                    name=f"xen-tpmfront of Linux {os.uname().release}",
                    tpm="1.2",
                    can="orders,cancel,close,reconnect",
                )
            elif kind == "order" and message.get("do") == "cancel":
                self._cancel()
            elif kind == "order" and message.get("do") != "stop":
                self._in_thread(self._order, message | {"start": self._starts})
            elif kind == "gone":
                self._device.close()
                self._wait_gone(message["limit"])
                self._say(msg="told", id=message["id"], gone=not self._devices())
            elif kind == "run":
                self._in_thread(self._run, message)
            elif kind == "repeat":
                self._in_thread(self._repeat, message)

    def _in_thread(self, action: Callable[[dict[str, Any]], None], message: dict[str, Any]) -> None:
        threading.Thread(target=action, args=(message,), daemon=True).start()

    def _order(self, message: dict[str, Any]) -> None:
        actions = {"send": self._send, "close": self._close, "reconnect": self._reconnect}
        action = actions.get(message.get("do", ""))
        if action is None:
            outcome: dict[str, str] = {"is": "refused", "why": "not an order for this driver"}
        else:
            try:
                outcome = action(message)
            except OSError as error:
                name = errno.errorcode.get(error.errno or 0, str(error.errno))
                outcome = {"is": _OUTCOMES.get(error.errno or 0, "failed"), "why": name}
        if message["start"] == self._starts:  # nobody waits for what was ordered before
            self._say(msg="result", id=message.get("id"), **outcome)

    def _send(self, message: dict[str, Any]) -> dict[str, str]:
        self._sending += 1
        try:
            response = self._device.send(bytes.fromhex(message["packet"]))
        finally:
            self._sending -= 1
        return {"is": "response", "packet": response.hex()}

    def _cancel(self) -> None:
        """
        Cancel, as far as this driver can.

        A command that runs is cancelled by the driver itself, when it has taken longer
        than the TPM has said.  Its ``cancel`` file waits until no command runs.
        """
        if not self._sending:
            with contextlib.suppress(OSError):
                _CANCEL.write_text("1")

    def _wait_gone(self, limit: float) -> None:
        """Wait at most ``limit`` seconds until the driver has let the last device go."""
        deadline = time.monotonic() + limit
        while self._devices() and time.monotonic() < deadline:
            time.sleep(0.005)

    def _close(self, message: dict[str, Any]) -> dict[str, str]:
        self._device.close()
        for device in self._devices():
            (_DRIVER / "unbind").write_text(device)
        return {"is": "closed"}

    def _reconnect(self, message: dict[str, Any]) -> dict[str, str]:
        for device in self._devices():
            (_DRIVER / "bind").write_text(device)
        return {"is": "connected"}

    def _devices(self) -> list[str]:
        return [path.name for path in _DEVICES.glob("vtpm-*")]

    def _run(self, message: dict[str, Any]) -> None:
        """Run a program of the guest and report what it printed."""
        done = subprocess.run(
            message["argv"].split(), capture_output=True, text=True, timeout=300, check=False
        )
        self._say(
            msg="told",
            id=message.get("id"),
            status=done.returncode,
            stdout=done.stdout,
            stderr=done.stderr,
        )

    def _repeat(self, message: dict[str, Any]) -> None:
        """Send the same packet again and again, and report how long that took."""
        packet = bytes.fromhex(message["packet"])
        start = time.monotonic()
        for _ in range(message["count"]):
            self._device.send(packet)
        self._say(msg="told", id=message.get("id"), seconds=time.monotonic() - start)

    def follow_kernel(self) -> None:
        """
        Say the kernel's errors, one line each, for ever.

        The kernel itself would write into the middle of the agent's lines; only its last
        words still do.
        """
        log = os.open(_LOG, os.O_RDONLY)
        os.lseek(log, 0, os.SEEK_END)
        _CONSOLE_LEVEL.write_text("1")
        while True:
            with contextlib.suppress(BrokenPipeError):  # some records were lost
                if text := error_in(os.read(log, 8192)):
                    self._write(text)

    def _say(self, **message: object) -> None:
        self._write(json.dumps(message))

    def _write(self, line: str) -> None:
        with self._say_lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def error_in(record: bytes) -> str:
    """A record of the kernel's log as its console has it; empty if it is no error."""
    head, _, text = record.partition(b";")
    level, _, stamp, *_ = head.split(b",")
    if int(level) & 7 not in _WORST:
        return ""
    said = text.split(b"\n")[0].decode("ascii", "replace")
    return f"[{int(stamp) / 1e6:12.6f}] {said}"


def make_raw(fd: int) -> None:
    """Let bytes through as they are, without an echo."""
    mode = termios.tcgetattr(fd)
    tty.setraw(fd, termios.TCSANOW)
    mode = termios.tcgetattr(fd)
    mode[1] |= termios.OPOST | termios.ONLCR
    termios.tcsetattr(fd, termios.TCSANOW, mode)


def main() -> None:
    """Serve on standard input, which is the console."""
    with contextlib.suppress(termios.error):
        make_raw(0)
    agent = Agent()
    threading.Thread(target=agent.follow_kernel, daemon=True).start()
    print(json.dumps({"msg": "agent", "kernel": os.uname().release}), flush=True)
    agent.serve()


if __name__ == "__main__":
    main()
