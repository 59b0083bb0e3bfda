# SPDX-License-Identifier: MIT
"""
Frontends that break what the page says of packets and their lengths.
"""

from dataclasses import replace
from typing import Self

from tests.zoo.base import FrontendAnimal, animal
from vtpm_ref import page
from vtpm_ref.frontend import Frontend, Step
from vtpm_ref.packet import HEADER_SIZE, is_well_formed
from vtpm_ref.steps import Answer, Operation, Store

#: Bytes that ``TakesBeyondPage`` takes at most.
_BUFFER = 8192


@animal("packet.request-header")
class SubmitsNineBytes(FrontendAnimal):
    """Submits what is shorter than a TPM header (Linux)."""

    def submit(self, packet: bytes, locality: int = 0) -> Self:
        if self.ready and len(packet) < HEADER_SIZE:
            return replace(self, step=Step.LOOK_FREE, packet=packet, locality=locality)
        return super().submit(packet, locality)


@animal("packet.request-fits")
class SubmitsTooLong(FrontendAnimal):
    """Submits what is longer than the room, as much of it as fits."""

    def submit(self, packet: bytes, locality: int = 0) -> Self:
        if self.ready and len(packet) > page.capacity():
            return replace(self, step=Step.LOOK_FREE, packet=packet, locality=locality)
        return super().submit(packet, locality)

    def do_put_packet(self) -> Operation:
        return Store(page.packet_offset(0), self.packet[: page.capacity()])


@animal("packet.request-length")
class SubmitsMismatch(FrontendAnimal):
    """Submits a packet whose header gives another size than it has."""

    def submit(self, packet: bytes, locality: int = 0) -> Self:
        fits = HEADER_SIZE <= len(packet) <= page.capacity()
        if self.ready and fits and not is_well_formed(packet):
            return replace(self, step=Step.LOOK_FREE, packet=packet, locality=locality)
        return super().submit(packet, locality)


@animal(
    "packet.request-length",
    "packet.request-fits",
    why="it rounds 12 bytes up to 16, and 4088 to 4096, which is more than the room",
)
class RoundsLength(FrontendAnimal):
    """Stores a length that is rounded up to a multiple of 16."""

    def do_put_length(self) -> Operation:
        length = -(-len(self.packet) // 16) * 16
        return Store(page.LENGTH.offset, length.to_bytes(4, "little"))


@animal(
    "packet.response-bounded",
    "robust.frontend-goes-on",
    why="loading beyond the page ends it",
)
class ClampsToPage(FrontendAnimal):
    """Clamps a length that is too long to 4096, the size of the page."""

    def then_take_length(self, raw: bytes) -> Frontend:
        if int.from_bytes(raw, "little") > page.capacity():
            return replace(self, step=Step.TAKE_PACKET, length=page.PAGE_SIZE)
        return self.usual(raw)

    def then_take_packet(self, raw: bytes) -> Frontend:
        if self.length <= page.capacity():
            return self.usual(raw)
        beyond = bytes(self.length - len(raw))  # what lies behind the page
        return self._finish(Answer("response", raw + beyond))


@animal(
    "packet.response-bounded",
    "robust.frontend-goes-on",
    why="loading beyond the page ends it",
)
class TakesBeyondPage(FrontendAnimal):
    """Takes as many bytes as length says, up to the 8192 of its buffer."""

    def then_take_length(self, raw: bytes) -> Frontend:
        length = min(int.from_bytes(raw, "little"), _BUFFER)
        if length < HEADER_SIZE:
            return self._finish(Answer("failed"))
        return replace(self, step=Step.TAKE_PACKET, length=length)

    def then_take_packet(self, raw: bytes) -> Frontend:
        beyond = bytes(self.length - len(raw))  # what lies behind the page
        return self.usual(raw + beyond)


@animal("packet.response-checked")
class ChecksNoResponse(FrontendAnimal):
    """Passes on length bytes, whatever they are."""

    def then_take_length(self, raw: bytes) -> Frontend:
        length = int.from_bytes(raw, "little")
        if length > page.capacity():
            return self._finish(Answer("failed"))
        return replace(self, step=Step.TAKE_PACKET, length=length)

    def then_take_packet(self, raw: bytes) -> Frontend:
        return self._finish(Answer("response", raw))
