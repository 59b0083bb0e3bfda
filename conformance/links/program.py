# SPDX-License-Identifier: MIT
"""
One started program: its three channels, its end, and what it leaves behind.
"""

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Sequence

from conformance.errors import AdapterError
from conformance.recorder import Recorder

#: The longest line of JSON, in bytes (adapter page).
LINE_LIMIT = 32768

#: Lines of free text that are recorded of one run; further ones are counted.
CONSOLE_LIMIT = 500


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
    :ivar ended: whether its stdout has come to an end.
    :raises AdapterError: it cannot be started.
    """

    def __init__(self, argv: Sequence[str], fds: Sequence[int], recorder: Recorder) -> None:
        self._recorder = recorder
        self._lines = bytearray()
        self._errors = bytearray()
        self._console = 0
        self.ended = False
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=fds,
                start_new_session=True,
                bufsize=0,
            )
        except (OSError, IndexError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise AdapterError(f"cannot start {' '.join(argv) or 'nothing'!r}: {reason}") from error
        process = self._process
        assert process.stdin and process.stdout and process.stderr
        self.stdin = Outlet(process.stdin.fileno())
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
        data = self._read(self.stderr)
        self._errors += data or b""
        *lines, rest = bytes(self._errors).split(b"\n")
        if len(rest) > LINE_LIMIT:
            lines, rest = [*lines, rest], b""
        self._errors = bytearray(rest)
        for line in lines:
            self._console += 1
            if self._console <= CONSOLE_LIMIT:
                text = line[:LINE_LIMIT].decode("utf-8", "backslashreplace")
                self._recorder.event("console", text=text)
        return data != b""

    def exit_status(self, grace: float) -> str | None:
        """How it ended, in words; ``None`` if it goes on after ``grace`` seconds."""
        if not self.is_over(grace):
            return None
        while self._read(self.stderr):
            self.take_errors()
        status = self._process.wait()
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return f"exit status {status}"

    def is_over(self, grace: float) -> bool:
        """Whether it has ended, or does within ``grace`` seconds."""
        if self._process.poll() is not None:
            return True
        pidfd = os.pidfd_open(self._process.pid)
        try:
            select.select([pidfd], [], [], grace)
        finally:
            os.close(pidfd)
        return self._process.poll() is not None

    def end(self, grace: float) -> None:
        """Close its stdin, give it ``grace`` seconds, then kill its process group."""
        process = self._process
        assert process.stdin and process.stdout and process.stderr
        process.stdin.close()
        if not self.is_over(grace):
            self._recorder.event(
                "console", text="(the target did not end with its stdin and was killed)"
            )
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.take_errors()
        process.stdout.close()
        process.stderr.close()

    @staticmethod
    def _read(fd: int) -> bytes | None:
        """What there is, ``b""`` at the end, ``None`` for nothing yet."""
        try:
            return os.read(fd, 65536)
        except BlockingIOError:
            return None
