# SPDX-License-Identifier: MIT
"""
The commands that traffic sends: quick, of every length, for every kind of TPM.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from conformance.tester.commands import get_random, resized
from conformance.traffic.census import LENGTHS
from vtpm_ref.packet import HEADER_SIZE, Family, build


@dataclass(frozen=True)
class Menu:
    """
    What one kind of TPM is sent.

    :param draw: draws a command.
    :param first: what each new TPM executes before there is any traffic.
    """

    draw: Callable[[Random], bytes]
    first: tuple[bytes, ...] = ()


def stand_in(family: Family) -> Menu:
    """For the stand-in, which minds no bytes behind a command: every length in and out."""

    def draw(rng: Random) -> bytes:
        answer = _length(rng)
        if answer == HEADER_SIZE:
            return resized(build(_TAG[family], _UNKNOWN), _length(rng))
        count = max(0, answer - len(get_random(family)))
        command = get_random(family, count)
        return resized(command, max(len(command), _length(rng)))

    return Menu(draw)


def real(family: Family) -> Menu:
    """For a real TPM; one command in four has bytes too many and is answered with an error."""
    kinds = _REAL[family]

    def draw(rng: Random) -> bytes:
        if rng.random() < _TOO_LONG:
            return resized(get_random(family), _length(rng))
        return rng.choice(kinds)(rng)

    return Menu(draw, _FIRST[family])


#: How often each class of length is drawn; the long ones cost the most.
_WEIGHTS = (20, 45, 20, 8, 7)

_RANGES = tuple(LENGTHS.values())


def _length(rng: Random) -> int:
    (least, most), *_ = rng.choices(_RANGES, _WEIGHTS)
    return rng.randint(least, most)


_TAG = {Family.TPM12: 0xC1, Family.TPM20: 0x8001}

#: An ordinal that no TPM has.
_UNKNOWN = 0

#: How often a real TPM is sent a command that is too long for what it says.
_TOO_LONG = 0.25

# TPM 2.0: an NV index of the most bytes that can be read at once.
_SPACE = 1024
_INDEX = bytes.fromhex("01800001")
_PASSWORD = bytes.fromhex("00000009 40000009 0000 00 0000")


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


#: AUTHREAD, AUTHWRITE and NO_DA, with an empty password.
_PUBLIC = _INDEX + bytes.fromhex("000b 02040004 0000") + _SPACE.to_bytes(2, "big")
_DEFINE = bytes.fromhex("40000001") + _PASSWORD + _sized(b"") + _sized(_PUBLIC)
_WRITE = _INDEX * 2 + _PASSWORD + _sized(bytes(_SPACE)) + b"\0\0"

#: Commands without which others fail.
_FIRST = {
    Family.TPM12: (),
    Family.TPM20: (build(0x8002, 0x12A, _DEFINE), build(0x8002, 0x137, _WRITE)),
}

_Draw = Callable[[Random], bytes]


def _random(family: Family, least: int, most: int) -> _Draw:
    """GetRandom for ``least`` to ``most`` bytes."""
    return lambda rng: get_random(family, rng.randint(least, most))


def _hash(rng: Random) -> bytes:
    """Hash of up to 1024 bytes with SHA-256, a ticket of the null hierarchy."""
    data = rng.randbytes(rng.randint(0, 1024))
    return build(0x8001, 0x17D, _sized(data) + bytes.fromhex("000b 40000007"))


def _nv_read(rng: Random) -> bytes:
    """NV_Read of the whole index."""
    return build(0x8002, 0x14E, _INDEX * 2 + _PASSWORD + _SPACE.to_bytes(2, "big") + b"\0\0")


#: What a real TPM is sent, and how long its answers are.
_REAL: dict[Family, tuple[_Draw, ...]] = {
    Family.TPM12: (
        lambda rng: build(0xC1, 0x53),  # ContinueSelfTest: 10 bytes
        lambda rng: build(0xC1, 0x54),  # GetTestResult: 32
        _random(Family.TPM12, 1, 49),  # 15 to 63
        _random(Family.TPM12, 50, 1009),  # 64 to 1023
        _random(Family.TPM12, 1010, 4073),  # 1024 to 4087
        _random(Family.TPM12, 4074, 4074),  # 4088
    ),
    Family.TPM20: (
        lambda rng: build(0x8001, 0x181),  # ReadClock: 35
        _random(Family.TPM20, 1, 64),  # 13 to 76
        _hash,  # 52
        lambda rng: build(0x8001, 0x17E, bytes.fromhex("00000001 000b 03 ffffff")),  # PCR_Read: 300
        _nv_read,  # 1045
    ),
}
