# SPDX-License-Identifier: MIT
"""
TPM packets, as far as the transport needs them: the 10-byte header.

Both TPM families start every command and every response with the same three
big-endian fields.  What the codes mean is the Trusted Computing Group's; only
those numbers that a transport has to write or recognise are here.
"""

from dataclasses import dataclass
from enum import StrEnum

#: Bytes of tag, size and code.
HEADER_SIZE = 10


class Family(StrEnum):
    """
    Which TPM a target speaks; ``NONE``: any well-formed error is an answer.
    """

    TPM12 = "1.2"
    TPM20 = "2.0"
    NONE = "none"


@dataclass(frozen=True)
class Tags:
    """
    Tags that open a command, those that open a response, the error's tag.
    """

    requests: frozenset[int]
    responses: frozenset[int]
    error: int


_TAGS12 = Tags(frozenset({0xC1, 0xC2, 0xC3}), frozenset({0xC4, 0xC5, 0xC6}), 0xC4)
_TAGS20 = Tags(frozenset({0x8001, 0x8002}), frozenset({0x8001, 0x8002, 0xC4}), 0x8001)

TAGS = {
    Family.TPM12: _TAGS12,
    Family.TPM20: _TAGS20,
    Family.NONE: Tags(
        _TAGS12.requests | _TAGS20.requests, _TAGS12.responses | _TAGS20.responses, 0xC4
    ),
}


@dataclass(frozen=True)
class Codes:
    """
    The error codes with which a transport refuses a request itself.
    """

    size: int
    tag: int
    locality: int
    failure: int


#: What each of them says, for the table in the pages.
MEANINGS = {
    "size": "the length is wrong",
    "tag": "the tag is unknown",
    "locality": "the locality is not granted",
    "failure": "anything else",
}

#: TPM 1.2: BAD_PARAM_SIZE, BADTAG, BAD_LOCALITY, FAIL.
#: TPM 2.0: RC_COMMAND_SIZE, RC_BAD_TAG, RC_LOCALITY, RC_FAILURE.
CODES = {
    Family.TPM12: Codes(size=0x19, tag=0x1E, locality=0x3D, failure=0x09),
    Family.TPM20: Codes(size=0x142, tag=0x1E, locality=0x907, failure=0x101),
    Family.NONE: Codes(size=0x19, tag=0x1E, locality=0x3D, failure=0x09),
}


@dataclass(frozen=True)
class PacketHeader:
    """
    The first 10 bytes of a command or response.

    :param tag: 16 bits.
    :param size: 32 bits, bytes of the whole packet, this header included.
    :param code: 32 bits, the ordinal of a command or the code of a response.
    """

    tag: int
    size: int
    code: int

    @classmethod
    def unpack(cls, raw: bytes) -> "PacketHeader":
        """
        Read a header from the first 10 bytes of ``raw``.

        :raises ValueError: ``raw`` is shorter than 10 bytes (the sender's fault).
        """
        if len(raw) < HEADER_SIZE:
            raise ValueError(f"a TPM packet has at least {HEADER_SIZE} bytes, got {len(raw)}")
        return cls(
            int.from_bytes(raw[0:2], "big"),
            int.from_bytes(raw[2:6], "big"),
            int.from_bytes(raw[6:10], "big"),
        )

    def pack(self) -> bytes:
        """Return the 10 bytes of this header."""
        return (
            self.tag.to_bytes(2, "big")
            + self.size.to_bytes(4, "big")
            + self.code.to_bytes(4, "big")
        )


def build(tag: int, code: int, body: bytes = b"") -> bytes:
    """
    Return a whole packet: a header whose size is right, then ``body``.
    """
    return PacketHeader(tag, HEADER_SIZE + len(body), code).pack() + body


def is_well_formed(packet: bytes) -> bool:
    """
    Whether ``packet`` has a header, and that header's size is its length.
    """
    return len(packet) >= HEADER_SIZE and PacketHeader.unpack(packet).size == len(packet)


def error_response(family: Family, code: int) -> bytes:
    """
    The 10-byte response with which ``family`` reports ``code``.

    A TPM 2.0 answers an unreadable tag as a 1.2 would, with tag 0x00C4, so
    that a caller of either kind can read it.
    """
    tag = 0xC4 if code == CODES[family].tag else TAGS[family].error
    return build(tag, code)
