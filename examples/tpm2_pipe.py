# SPDX-License-Identifier: MIT
"""TPM packets between stdin, stdout and a Unix socket:

TPM2TOOLS_TCTI="cmd:python3 examples/tpm2_pipe.py SOCKET" tpm2_getrandom 16 --hex
"""

import socket
import sys
from typing import BinaryIO


def packet(stream: BinaryIO) -> bytes:
    """The next packet, as long as its 10-byte header says; empty at the end."""
    header = stream.read(10)
    return header + stream.read(max(int.from_bytes(header[2:6], "big") - 10, 0))


with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    responses = connection.makefile("rb")
    while command := packet(sys.stdin.buffer):
        connection.sendall(command)
        sys.stdout.buffer.write(packet(responses))
        sys.stdout.buffer.flush()
