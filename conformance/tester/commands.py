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


#: Ordinals of ``slow``: CreatePrimary of a 2.0, SelfTestFull of a 1.2.
_SLOW = frozenset({0x131, 0x50})


def is_slow(request: bytes) -> bool:
    """Whether a TPM may take long for a request: seconds, or much longer."""
    return int.from_bytes(request[6:10], "big") in _SLOW


def slow(family: Family) -> bytes:
    """
    A command that a TPM takes long for, so that it can be met while it works.

    On a 2.0 CreatePrimary of an RSA key in the null hierarchy, which leaves a
    transient object; on a 1.2 SelfTestFull.
    """
    if family is not Family.TPM20:
        return packet.build(0xC1, 0x50)
    sessions = bytes.fromhex("00000009 40000009 0000 00 0000")
    sensitive = bytes.fromhex("0004 0000 0000")
    public = bytes.fromhex("0001 000b 00030072 0000 0006 0080 0043 0010 0800 00000000 0000")
    sized = len(public).to_bytes(2, "big") + public
    body = bytes.fromhex("40000007") + sessions + sensitive + sized + bytes(2 + 4)
    return packet.build(0x8002, 0x131, body)


def clock(family: Family) -> bytes:
    """A command whose answer tells whether the TPM was reset: ReadClock, or GetTicks of a 1.2."""
    if family is Family.TPM20:
        return packet.build(0x8001, 0x181)
    return packet.build(0xC1, 0xF1)


def longest_command(family: Family) -> bytes:
    """A command that asks for the longest packet: MAX_COMMAND_SIZE, or INPUT_BUFFER of a 1.2."""
    if family is Family.TPM20:
        return packet.build(0x8001, 0x17A, bytes.fromhex("00000006 0000011e 00000001"))
    return packet.build(0xC1, 0x65, bytes.fromhex("00000005 00000004 00000124"))


def longest_response(family: Family) -> bytes:
    """The same for responses: MAX_RESPONSE_SIZE; a 1.2 has the one number for both."""
    if family is Family.TPM20:
        return packet.build(0x8001, 0x17A, bytes.fromhex("00000006 0000011f 00000001"))
    return longest_command(family)


def random_bytes(family: Family, count: int = 16) -> bytes:
    """A well-formed response to GetRandom."""
    width, tag = (2, 0x8001) if family is Family.TPM20 else (4, 0xC4)
    return packet.build(tag, 0, count.to_bytes(width, "big") + bytes(range(count)))


#: GetCapability of a 1.2 for TPM_CAP_PROPERTY: what is asked for, and four bytes more.
_GET_PROPERTY = packet.build(0xC1, 0x65, bytes.fromhex("0000000500000004"))[6:]

_TIS_TIMEOUT, _DURATION = 0x115, 0x120

#: TPM_CAP_PROP_TIS_TIMEOUT and TPM_CAP_PROP_DURATION, each with what is answered, in
#: microseconds: the timeouts A to D, and the longest short, medium and long command.
_PROPERTIES = {
    _TIS_TIMEOUT: (750_000, 2_000_000, 750_000, 750_000),
    _DURATION: (1_000_000, 1_000_000, 1_000_000),
}


def own_answer(family: Family, request: bytes) -> bytes:
    """
    The response to a request that a frontend makes for its own sake.

    A driver for TPM 1.2 asks how long commands take.  It is told one second, so that
    it gives up while a tester still looks.
    """
    values = _PROPERTIES.get(_property(request))
    if values is None:
        return random_bytes(family)
    body = b"".join(value.to_bytes(4, "big") for value in values)
    return packet.build(0xC4, 0, len(body).to_bytes(4, "big") + body)


def authorised(family: Family, sessions: int) -> bytes:
    """
    A command with authorisations, by ``sessions`` sessions that there are not: it is refused.

    On a 2.0 GetTestResult.  On a 1.2 CreateMaintenanceArchive, which some backends
    refuse before the TPM does; its tag says how many authorisations there are.
    """
    if family is Family.TPM20:
        area = bytes.fromhex("02fffffe 0000 00 0000") * sessions
        return packet.build(0x8002, 0x17C, len(area).to_bytes(4, "big") + area)
    # Generate no random number; then handle, nonce, whether to go on, and HMAC of each.
    return packet.build(0xC1 + sessions, 0x2C, bytes(1) + bytes(4 + 20 + 1 + 20) * sessions)


def asks_durations(request: bytes) -> bool:
    """Whether a frontend asks how long commands take, of which ``own_answer`` tells it."""
    return _property(request) == _DURATION


def _property(request: bytes) -> int:
    """The property of a TPM 1.2 that ``request`` asks for; 0 if it asks for something else."""
    return int.from_bytes(request[18:22], "big") if request[6:18] == _GET_PROPERTY else 0


def resized(packet: bytes, size: int) -> bytes:
    """``packet`` cut or filled to ``size`` bytes, its header saying so."""
    sized = packet[:2] + size.to_bytes(4, "big") + packet[6:]
    return (sized + bytes(max(0, size - len(sized))))[:size]
