# SPDX-License-Identifier: MIT
"""
The TPM commands and responses that the testers send: quick and harmless ones.
"""

from vtpm_ref import packet
from vtpm_ref.packet import Family


def get_random(family: Family, count: int = 16) -> bytes:
    """A GetRandom command for ``count`` bytes: quick and harmless on every TPM."""
    if family is Family.TPM20:
        return packet.build(0x8001, 0x17B, count.to_bytes(2, "big"))
    return packet.build(0xC1, 0x46, count.to_bytes(4, "big"))


def random_bytes(family: Family, count: int = 16) -> bytes:
    """A well-formed response to GetRandom."""
    width, tag = (2, 0x8001) if family is Family.TPM20 else (4, 0xC4)
    return packet.build(tag, 0, count.to_bytes(width, "big") + bytes(range(count)))


def resized(packet: bytes, size: int) -> bytes:
    """``packet`` cut or filled to ``size`` bytes, its header saying so."""
    sized = packet[:2] + size.to_bytes(4, "big") + packet[6:]
    return (sized + bytes(max(0, size - len(sized))))[:size]
