# SPDX-License-Identifier: MIT
"""
A stand-in for a TPM: counted random bytes, a clock, its packet sizes, one slow command.

For judging the transport when no TPM is at hand.  It draws no random numbers,
so that every run gives the same trace.  What it does not know it answers with
an error, as a TPM does.
"""

from collections.abc import Callable

from vtpm_ref import packet
from vtpm_ref.packet import CODES, TAGS, Family, PacketHeader
from vtpm_ref.page import capacity

#: BAD_ORDINAL of a 1.2, COMMAND_CODE of a 2.0.
_UNKNOWN = {Family.TPM12: 0x0A, Family.TPM20: 0x143}

#: Tag of a response that carries no session.
_TAG = {Family.TPM12: 0xC4, Family.TPM20: 0x8001}

#: Commands that a TPM takes long for: SelfTestFull, CreatePrimary.
_SLOW = {Family.TPM12: 0x50, Family.TPM20: 0x131}


class StandIn:
    """
    A TPM that has finished as soon as it has started, but for its slow command.

    :param family: ``TPM12`` or ``TPM20``.
    :ivar resets: how often it has been switched on anew; its clock tells.
    """

    def __init__(self, family: Family = Family.TPM20) -> None:
        self.family = family
        self.resets = 0
        self._response: bytes | None = None
        self._slow = False
        self._commands: dict[tuple[Family, int], Callable[[bytes], bytes | None]] = {
            (Family.TPM12, 0x46): lambda body: _random(body, 4),
            (Family.TPM20, 0x17B): lambda body: _random(body, 2),
            (Family.TPM12, 0xF1): lambda _: (
                b"\x00\x14" + bytes(10) + self.resets.to_bytes(20, "big")
            ),
            # There is nothing in the response to the slow command, but it is told from others.
            (Family.TPM12, _SLOW[Family.TPM12]): lambda _: b"",
            (Family.TPM20, _SLOW[Family.TPM20]): lambda _: bytes(32),
            (Family.TPM20, 0x181): lambda _: bytes(16) + self.resets.to_bytes(4, "big") + bytes(5),
            (Family.TPM12, 0x65): _property12,
            (Family.TPM20, 0x17A): _property20,
        }

    def start(self, packet: bytes, locality: int) -> None:
        """Answer ``packet``; the locality makes no difference."""
        self._response = self._answer(packet)
        self._slow = PacketHeader.unpack(packet).code == _SLOW[self.family]

    def abort(self) -> None:
        """A slow command is given up without a response; others have ended already."""
        if self._slow:
            self._response, self._slow = None, False

    def finished(self, timeout: float) -> bool:
        """At once, or, of the slow command, as soon as somebody waits for it."""
        if timeout > 0:
            self._slow = False
        return not self._slow

    def result(self) -> bytes | None:
        """The response, ``None`` if the command was given up."""
        return self._response

    def fileno(self) -> int:
        """There is nothing to wait for."""
        return -1

    def _answer(self, request: bytes) -> bytes:
        header, body = PacketHeader.unpack(request), request[packet.HEADER_SIZE :]
        if header.tag not in TAGS[self.family].requests:
            return packet.error_response(self.family, CODES[self.family].tag)
        command = self._commands.get((self.family, header.code))
        answer = command(body) if command else None
        if answer is None:
            return packet.error_response(self.family, _UNKNOWN[self.family])
        return packet.build(_TAG[self.family], 0, answer)


def _random(body: bytes, width: int) -> bytes | None:
    """A count of ``width`` bytes, and so many bytes; ``None`` without a count."""
    if len(body) < width:
        return None
    count = int.from_bytes(body[:width], "big")
    return count.to_bytes(width, "big") + bytes(i & 0xFF for i in range(count))


def _property12(body: bytes) -> bytes | None:
    """The size of the input buffer, the one property that it knows."""
    known = body == bytes.fromhex("00000005 00000004 00000124")
    return bytes.fromhex("00000004") + capacity().to_bytes(4, "big") if known else None


def _property20(body: bytes) -> bytes | None:
    """The longest command or response, the two properties that it knows."""
    capability, name, count = body[:4], body[4:8], body[8:]
    known = name in (bytes.fromhex("0000011e"), bytes.fromhex("0000011f"))
    if capability != bytes.fromhex("00000006") or not known or len(count) != 4:
        return None
    one = bytes.fromhex("00000001")
    return b"\x00" + capability + one + name + capacity().to_bytes(4, "big")
