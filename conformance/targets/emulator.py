# SPDX-License-Identifier: MIT
"""
swtpm as a process: two sockets, its state in memory that has no name.
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
from enum import IntEnum

from conformance.errors import AdapterError
from conformance.targets.threaded import STARTUP
from vtpm_ref.packet import HEADER_SIZE, Family, PacketHeader
from vtpm_ref.page import capacity

PROGRAM = "swtpm"
_APT = "apt-get install swtpm"

_VERSIONS: dict[Family, tuple[str, ...]] = {Family.TPM12: (), Family.TPM20: ("--tpm2",)}

#: Seconds in which a process that has closed its sockets ends.
_END = 1.0

#: Bytes of a number on the control socket: a command, a result, a size.
_NUMBER = 4


class _Control(IntEnum):
    """Commands of the control socket, as swtpm's manual numbers them."""

    INIT = 2
    SET_LOCALITY = 5
    SET_DATAFD = 16
    SET_BUFFERSIZE = 17


class Ended(Exception):
    """swtpm has crashed or hangs; the text says how that showed."""


def available() -> str:
    """
    What to do before swtpm can be used; empty if nothing.
    """
    return "" if shutil.which(PROGRAM) else _APT


class Emulator:
    """
    A new TPM of ``family``, started up.

    It ends with this process, however that ends: the kernel kills it when nobody
    is left at the other end of its lifeline.  Nothing of it stays behind.

    :param patience: seconds after which it is taken to hang.
    :ivar process: the swtpm.
    :raises AdapterError: it is missing or does not start.
    """

    def __init__(self, family: Family, patience: float) -> None:
        if missing := available():
            raise AdapterError(f"the program {PROGRAM} is missing: {missing}")
        self._locality = 0
        self._patience = patience
        self._log = os.memfd_create("swtpm-log")
        self._control, control = socket.socketpair()
        self._data, data = socket.socketpair()
        self._lifeline = -1
        try:
            with control, data:
                self.process = self._spawn(family, control, data)
            self._switch_on(family)
        except OSError as error:
            self._let_go()
            raise AdapterError(f"swtpm cannot be started: {error.strerror}") from error
        except Ended as ended:
            self.close()
            raise AdapterError(f"swtpm does not start: {ended}") from ended

    def process_command(self, packet: bytes, locality: int) -> bytes:
        """
        Execute one well-formed command and return its response.

        :raises Ended: swtpm does not answer.
        """
        if locality != self._locality:
            self._command(_Control.SET_LOCALITY, bytes([locality]))
            self._locality = locality
        self._send(self._data, packet)
        header = self._receive(self._data, HEADER_SIZE)
        rest = max(0, PacketHeader.unpack(header).size - HEADER_SIZE)
        return header + self._receive(self._data, rest)

    def close(self) -> None:
        """End the process and let go of all that belongs to it; only once."""
        self.process.kill()
        self.process.wait()
        self._let_go()

    def _spawn(
        self, family: Family, control: socket.socket, data: socket.socket
    ) -> "subprocess.Popen[bytes]":
        for end in (self._control, self._data):
            end.settimeout(self._patience)
        # In its socket before it starts: without the lifeline, it ends with the data socket.
        socket.send_fds(self._control, [_number(_Control.SET_DATAFD)], [data.fileno()])
        state = os.memfd_create("swtpm-state")
        lifeline, self._lifeline = os.pipe()
        try:
            process = subprocess.Popen(
                [
                    *(PROGRAM, "socket", *_VERSIONS[family], "--terminate"),
                    *("--tpmstate", f"backend-uri=file:///proc/self/fd/{state}"),
                    *("--ctrl", f"type=unixio,clientfd={control.fileno()}"),
                ],
                pass_fds=(state, control.fileno(), lifeline),
                start_new_session=True,  # an interrupt from the terminal is not for it
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
            )
            _tie(process.pid, lifeline)
        finally:
            os.close(state)
            os.close(lifeline)
        return process

    def _switch_on(self, family: Family) -> None:
        self._result("SET_DATAFD")
        # It must not promise its user packets that do not fit the page.
        self._command(_Control.SET_BUFFERSIZE, _number(capacity()))
        self._receive(self._control, 3 * _NUMBER)  # the size, the least, the most
        self._command(_Control.INIT, _number(0))
        code = PacketHeader.unpack(self.process_command(STARTUP[family], 0)).code
        if code:
            raise Ended(f"it refuses Startup(CLEAR) of TPM {family.value}: {code:#x}")

    def _let_go(self) -> None:
        self._control.close()
        self._data.close()
        os.close(self._log)
        if self._lifeline >= 0:
            os.close(self._lifeline)

    def _command(self, command: _Control, body: bytes) -> None:
        """Give a command on the control socket; it has to succeed."""
        self._send(self._control, _number(command) + body)
        self._result(command.name)

    def _result(self, command: str) -> None:
        result = int.from_bytes(self._receive(self._control, _NUMBER), "big")
        if result:
            raise Ended(f"{command} returns {result:#x}")

    def _send(self, end: socket.socket, data: bytes) -> None:
        try:
            end.sendall(data)
        except OSError as error:
            raise Ended(self._how()) from error

    def _receive(self, end: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                more = end.recv(size - len(data))
            except TimeoutError as error:
                raise Ended(f"no answer within {self._patience:g} s") from error
            except OSError as error:
                raise Ended(self._how()) from error
            if not more:
                raise Ended(self._how())
            data += more
        return data

    def _how(self) -> str:
        """How the process ended, and the last line that it wrote."""
        try:
            status = self.process.wait(_END)
        except subprocess.TimeoutExpired:
            return "it has closed its socket"
        how = f"exit status {status}" if status >= 0 else f"signal {-status}"
        lines = os.pread(self._log, 1 << 16, 0).decode(errors="replace").strip().splitlines()
        return f"{how}; it said: {lines[-1]}" if lines else how


def _tie(pid: int, lifeline: int) -> None:
    """
    Have the kernel kill ``pid`` when the other end of ``lifeline`` is closed.

    The end of the data socket is not enough: swtpm 0.7.1 goes on for ever if it
    finds nobody to take a response.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, pid)
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)


def _number(value: int) -> bytes:
    return value.to_bytes(_NUMBER, "big")
