# SPDX-License-Identifier: MIT
"""
TPM packets: the header, what is well-formed, and errors that a transport makes.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtpm_ref import packet
from vtpm_ref.packet import CODES, TAGS, Codes, Family, PacketHeader


def test_a_command_as_the_tcg_writes_it() -> None:
    """TPM2_GetRandom(16), byte for byte."""
    assert packet.build(0x8001, 0x17B, b"\x00\x10").hex() == "80010000000c0000017b0010"


@given(st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=64))
def test_what_is_built_is_well_formed(tag: int, code: int, body: bytes) -> None:
    """The size in the header is the size of the packet."""
    built = packet.build(tag, code, body)
    assert packet.is_well_formed(built)
    assert PacketHeader.unpack(built) == PacketHeader(tag, 10 + len(body), code)


@pytest.mark.parametrize("raw", ["", "00" * 9, "80010000000b0000017b", "8001000000090000017b"])
def test_what_is_not_well_formed(raw: str) -> None:
    """Too short, or a header that says another size."""
    assert not packet.is_well_formed(bytes.fromhex(raw))


def test_nine_bytes_have_no_header() -> None:
    """The error says how many there were."""
    with pytest.raises(ValueError, match="at least 10 bytes, got 9"):
        PacketHeader.unpack(bytes(9))


@pytest.mark.parametrize(
    ("family", "code", "expected"),
    [
        (Family.TPM12, 0x19, "00c40000000a00000019"),
        (Family.TPM20, 0x142, "80010000000a00000142"),
        (Family.TPM20, 0x1E, "00c40000000a0000001e"),
    ],
)
def test_error_responses(family: Family, code: int, expected: str) -> None:
    """Ten bytes with a response's tag; an unreadable tag is answered the 1.2 way."""
    assert packet.error_response(family, code).hex() == expected


@pytest.mark.parametrize(
    ("family", "requests", "responses", "error"),
    [
        (Family.TPM12, "c1 c2 c3", "c4 c5 c6", "c4"),
        (Family.TPM20, "8001 8002", "c4 8001 8002", "8001"),
        (Family.NONE, "c1 c2 c3 8001 8002", "c4 c5 c6 8001 8002", "c4"),
    ],
)
def test_the_tags_of_each_family(family: Family, requests: str, responses: str, error: str) -> None:
    """Hexadecimal, as the TCG writes them."""
    tags = TAGS[family]
    listed = [" ".join(f"{tag:x}" for tag in sorted(tags.requests))]
    listed += [" ".join(f"{tag:x}" for tag in sorted(tags.responses)), f"{tags.error:x}"]
    assert listed == [requests, responses, error]


@pytest.mark.parametrize(
    ("family", "codes"),
    [
        (Family.TPM12, Codes(0x19, 0x1E, 0x3D, 0x09)),
        (Family.TPM20, Codes(0x142, 0x1E, 0x907, 0x101)),
        (Family.NONE, Codes(0x19, 0x1E, 0x3D, 0x09)),
    ],
)
def test_the_codes_of_each_family(family: Family, codes: Codes) -> None:
    """Size, tag, locality, anything else."""
    assert CODES[family] == codes
