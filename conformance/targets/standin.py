# SPDX-License-Identifier: MIT
"""
A stand-in for a TPM: answers GetRandom with counted bytes, all else with errors.

For judging the transport when no TPM is at hand.  It draws no random numbers,
so that every run gives the same trace.
"""

from vtpm_ref import packet
from vtpm_ref.packet import CODES, TAGS, Family, PacketHeader

#: Ordinal of GetRandom; then the tag of a response, the bytes of the count.
_GET_RANDOM = {Family.TPM12: (0x46, 0xC4, 4), Family.TPM20: (0x17B, 0x8001, 2)}

#: BAD_ORDINAL of a 1.2, COMMAND_CODE of a 2.0.
_UNKNOWN = {Family.TPM12: 0x0A, Family.TPM20: 0x143}


class StandIn:
    """
    A TPM that has finished as soon as it has started.

    :param family: ``TPM12`` or ``TPM20``.
    """

    def __init__(self, family: Family = Family.TPM20) -> None:
        self.family = family
        self._response: bytes | None = None

    def start(self, packet: bytes, locality: int) -> None:
        """Answer ``packet``; the locality makes no difference."""
        self._response = self._answer(packet)

    def abort(self) -> None:
        """Nothing runs long enough to be abandoned."""

    def finished(self, timeout: float) -> bool:
        """Always."""
        return True

    def result(self) -> bytes | None:
        """The response."""
        return self._response

    def fileno(self) -> int:
        """There is nothing to wait for."""
        return -1

    def _answer(self, request: bytes) -> bytes:
        header = PacketHeader.unpack(request)
        if header.tag not in TAGS[self.family].requests:
            return packet.error_response(self.family, CODES[self.family].tag)
        ordinal, tag, width = _GET_RANDOM[self.family]
        if header.code != ordinal or len(request) < packet.HEADER_SIZE + width:
            return packet.error_response(self.family, _UNKNOWN[self.family])
        count = int.from_bytes(request[10 : 10 + width], "big")
        count_field = count.to_bytes(width, "big")
        counted = bytes(i & 0xFF for i in range(count))
        return packet.build(tag, 0, count_field + counted)
