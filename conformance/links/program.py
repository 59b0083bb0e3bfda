# SPDX-License-Identifier: MIT
"""
One started program: its three channels, its end, and what it leaves behind.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from conformance.errors import AdapterError
from conformance.recorder import Recorder

#: The longest line of JSON, in bytes (adapter page).
LINE_LIMIT = 32768

#: Lines of free text that are recorded of one run; further ones are counted.
CONSOLE_LIMIT = 500

#: Reads of 64 KiB that empty the largest pipe a program can make.
_PIPE_READS = 16


def sealed_memory(size: int) -> int:
    """A memfd of ``size`` bytes that nobody can shrink or grow."""
    fd = os.memfd_create("vtpm-grants", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.ftruncate(fd, size)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def readable(fd: int) -> bool:
    """Whether something can be read from ``fd`` without waiting."""
    return bool(select.select([fd], [], [], 0)[0])


class Outlet:
    """
    A non-blocking descriptor to write to; keeps what did not fit.

    A reader that never reads costs memory, so at most 1 MiB is kept.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._rest = b""
        self._broken = False
        os.set_blocking(fd, False)

    def send(self, data: bytes) -> None:
        """Write ``data``, now or on a later ``flush``."""
        if len(self._rest) < 1 << 20:
            self._rest += data
        self.flush()

    def flush(self) -> None:
        """Write as much as fits; a reader that has gone gets nothing."""
        if not self._rest or self._broken:
            return
        try:
            self._rest = self._rest[os.write(self._fd, self._rest) :]
        except BlockingIOError:
            pass
        except OSError:
            self._broken = True


class Program:
    """
    A child process with its own session.

    :param fds: descriptors that it inherits under the same numbers.
    :ivar pidfd: readable when it has ended, whoever still holds its stdout.
    :ivar ended: whether its stdout has come to an end.
    :raises AdapterError: it cannot be started.
    """

    def __init__(self, argv: Sequence[str], fds: Sequence[int], recorder: Recorder) -> None:
        self._recorder = recorder
        self._lines = bytearray()
        self._errors = bytearray()
        self._console = 0
        self.ended = False
        # Whatever it starts inherits the leash, so one can see when the last has gone.
        self._leash, leash = socket.socketpair()
        try:
            self._leash_name = f"socket:[{os.fstat(leash.fileno()).st_ino}]"
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[*fds, leash.fileno()],
                start_new_session=True,
                bufsize=0,
            )
        except (OSError, IndexError, ValueError) as error:
            self._leash.close()
            reason = getattr(error, "strerror", None) or str(error)
            raise AdapterError(f"cannot start {' '.join(argv) or 'nothing'!r}: {reason}") from error
        finally:
            leash.close()
        process = self._process
        assert process.stdin and process.stdout and process.stderr
        self.pidfd = os.pidfd_open(process.pid)
        self.stdin = Outlet(process.stdin.fileno())
        self.stdin_fd = process.stdin.fileno()
        self.stdout = process.stdout.fileno()
        self.stderr = process.stderr.fileno()
        os.set_blocking(self.stdout, False)
        os.set_blocking(self.stderr, False)

    def take_lines(self) -> list[bytes]:
        """
        The lines that have come on stdout; sets ``ended`` at its end.

        :raises AdapterError: a line is longer than the adapter page allows.
        """
        data = self._read(self.stdout)
        self.ended = data == b""
        self._lines += data or b""
        *lines, rest = bytes(self._lines).split(b"\n")
        if len(rest) > LINE_LIMIT or any(len(line) > LINE_LIMIT for line in lines):
            raise AdapterError(f"the target printed a line of more than {LINE_LIMIT} bytes")
        self._lines = bytearray(rest)
        return [line for line in lines if line.strip()]

    def take_errors(self) -> bool:
        """Record what has come on stderr; ``False`` at its end."""
        return self._take_errors() != b""

    def exit_status(self) -> str:
        """How it ended, in words; it has to have ended."""
        self._take_last_errors()
        info = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOWAIT)
        assert info is not None
        if info.si_code == os.CLD_EXITED:
            return f"exit status {info.si_status}"
        return f"killed by {_signal_name(info.si_status)}"

    def is_over(self, grace: float) -> bool:
        """Whether it has ended, or does within ``grace`` seconds."""
        deadline = time.monotonic() + grace
        waiting = [self.pidfd, self.stderr]
        while True:
            rest = max(0.0, deadline - time.monotonic())
            ready = select.select(waiting, [], [], rest)[0]
            if self.pidfd in ready or not rest:
                return self.pidfd in ready
            # A program whose stderr is full does not come to its end.
            if self.stderr in ready and not self.take_errors():
                waiting.remove(self.stderr)

    def end(self, grace: float) -> bool:
        """
        Close its stdin, give it ``grace`` seconds, then kill what is left.

        :return: whether it ended by itself.
        """
        process = self._process
        assert process.stdin and process.stdout and process.stderr
        process.stdin.close()
        process.stdout.close()
        try:
            return self.is_over(grace)
        finally:
            # It is not waited for before: until then its number is not given to another.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self._end_offspring()
            try:
                self._take_last_errors()
            finally:
                process.stderr.close()
                self._leash.close()
                os.close(self.pidfd)

    def _end_offspring(self) -> None:
        """Kill what it has started and what has left its process group."""
        for _ in range(10):
            if self._leash_is_free(0):
                return
            for pid in self._leashed():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            self._leash_is_free(100)

    def _leash_is_free(self, milliseconds: int) -> bool:
        poll = select.poll()
        poll.register(self._leash, 0)
        return bool(poll.poll(milliseconds))

    def _leashed(self) -> Iterator[int]:
        """Whoever holds the other end of the leash."""
        for process in Path("/proc").glob("[0-9]*"):
            # Processes end while one looks, and not all of them may be looked at.
            with contextlib.suppress(OSError):
                if any(os.readlink(fd) == self._leash_name for fd in (process / "fd").iterdir()):
                    yield int(process.name)

    def _take_errors(self) -> bytes | None:
        """What has come on stderr, as ``_read`` says it; whole lines are recorded."""
        data = self._read(self.stderr)
        self._errors += data or b""
        *lines, rest = bytes(self._errors).split(b"\n")
        if len(rest) > LINE_LIMIT:
            lines, rest = [*lines, rest], b""
        self._errors = bytearray(rest)
        for line in lines:
            self._record(line)
        return data

    def _take_last_errors(self) -> None:
        """What is left of stderr, the last line without a newline included."""
        for _ in range(_PIPE_READS):
            if not self._take_errors():
                break
        if self._errors:
            self._record(bytes(self._errors))
            self._errors.clear()
        if self._console > CONSOLE_LIMIT:
            more = self._console - CONSOLE_LIMIT
            self._recorder.event("console", text=f"(and {more} more lines)")
            self._console = 0

    def _record(self, line: bytes) -> None:
        self._console += 1
        if self._console <= CONSOLE_LIMIT:
            text = line[:LINE_LIMIT].decode("utf-8", "backslashreplace")
            self._recorder.event("console", text=text)

    @staticmethod
    def _read(fd: int) -> bytes | None:
        """What there is, ``b""`` at the end, ``None`` for nothing yet."""
        try:
            return os.read(fd, 65536)
        except BlockingIOError:
            return None


def _signal_name(number: int) -> str:
    """Real-time signals have no names."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
