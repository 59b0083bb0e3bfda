# SPDX-License-Identifier: MIT
"""
Backends that break what the page says of packets and their lengths.
"""

from dataclasses import replace
from typing import Self

from tests.zoo.base import BackendAnimal, animal
from vtpm_ref import page
from vtpm_ref.backend import Backend, Step
from vtpm_ref.packet import HEADER_SIZE, Family, PacketHeader, build, is_well_formed
from vtpm_ref.page import Header
from vtpm_ref.steps import Operation, Store

_ENDS = "it does not go on, so what follows is not served, and what it refuses not in time"
_EVERYBODY = "for everybody, and a neighbour's sound request has no answer"


def _room(header: Header) -> int:
    return page.capacity(header.nr_extra_pages)


def _is_error(response: bytes) -> bool:
    return PacketHeader.unpack(response).code != 0


@animal("packet.too-short-answered")
class ObeysShortRequest(BackendAnimal):
    """Reports success for a request of less than ten bytes."""

    def then_sample(self, raw: bytes) -> Backend:
        header = Header.unpack(raw)
        if header.length < HEADER_SIZE:
            return replace(self, header=header)._reply(build(0x8001, 0))
        return self.usual(raw)


@animal(
    "packet.too-short-answered",
    "packet.response-header",
    why="an empty FINISH is no TPM error, and no response either",
)
class EmptyForEmpty(BackendAnimal):
    """Answers an empty request with an empty FINISH (vtpm-stubdom)."""

    def then_sample(self, raw: bytes) -> Backend:
        header = Header.unpack(raw)
        if header.length == 0:
            return replace(self, header=header, step=Step.PUT_PACKET, response=b"")
        return self.usual(raw)


@animal("packet.response-header")
class EmptyForError(BackendAnimal):
    """Answers with an empty FINISH where its TPM reports an error."""

    def _reply(self, response: bytes | None) -> Self:
        if self.packet and response and _is_error(response):
            return replace(self, step=Step.PUT_PACKET, response=b"")
        return super()._reply(response)


@animal(
    "packet.response-header",
    "packet.too-short-answered",
    "packet.too-long-answered",
    why="the responses with which it refuses a request have no length either",
)
class StoresNoLength(BackendAnimal):
    """Stores 0 as the length of every response."""

    def do_put_length(self) -> Operation:
        return Store(page.LENGTH.offset, bytes(page.LENGTH.size))


@animal("packet.too-long-answered")
class CutsLongRequest(BackendAnimal):
    """Cuts a request that is too long to the room, and obeys it."""

    def then_sample(self, raw: bytes) -> Backend:
        header = Header.unpack(raw)
        length = min(header.length, _room(header))
        return self.usual(replace(header, length=length).pack())


@animal(
    "packet.too-long-answered",
    "robust.goes-on",
    "time.refusal-bound",
    why=_ENDS,
)
class DropsLongRequest(BackendAnimal):
    """Drops a request that is too long for ever (mini-os tpmback)."""

    def then_sample(self, raw: bytes) -> Backend:
        header = Header.unpack(raw)
        return self._rest() if header.length > _room(header) else self.usual(raw)


@animal(
    "packet.too-long-answered",
    "robust.goes-on",
    "several.own-service",
    "exchange.answered",
    "time.refusal-bound",
    why=f"{_ENDS}; the copy beyond the page ends it, {_EVERYBODY}",
)
class WrapsLength(BackendAnimal):
    """Adds offset and length in 32 bits before it compares (mini-os tpmback)."""

    def then_sample(self, raw: bytes) -> Backend:
        header = Header.unpack(raw)
        end = (page.packet_offset(header.nr_extra_pages) + header.length) & 0xFFFFFFFF
        if end <= page.PAGE_SIZE < header.length:
            return replace(self, header=header, step=Step.FETCH)
        return self.usual(raw)

    def then_fetch(self, raw: bytes) -> Backend:
        if self.header.length > _room(self.header):
            return replace(self, step=Step.EXECUTE, packet=raw)
        return self.usual(raw)


@animal(
    "packet.too-long-answered",
    "robust.goes-on",
    "several.own-service",
    "exchange.answered",
    "time.refusal-bound",
    why=f"{_ENDS}; it ends {_EVERYBODY}",
)
class DiesOfLongRequest(BackendAnimal):
    """Ends when a request is too long (vtpm-stubdom)."""

    def then_sample(self, raw: bytes) -> Backend:
        header = Header.unpack(raw)
        if header.length > _room(header):
            raise RuntimeError("no request")
        return self.usual(raw)


@animal(
    "packet.too-short-answered",
    "packet.too-long-answered",
    "packet.size-mismatch-answered",
    "packet.response-header",
    "robust.goes-on",
    "several.own-service",
    "exchange.answered",
    "time.refusal-bound",
    why="one clause for each way to be malformed, the fourth has a case with an empty request;"
    f" and {_ENDS}; it ends {_EVERYBODY}",
)
class DiesOfMalformedRequest(BackendAnimal):
    """Ends when a request is not well-formed."""

    def _refuse(self) -> Self:
        raise RuntimeError("malformed request")


@animal(
    "packet.size-mismatch-answered",
    "robust.goes-on",
    why="what is never answered keeps the page, and nothing can follow",
)
class DropsMismatch(BackendAnimal):
    """Drops a request whose header gives another size than length."""

    def then_fetch(self, raw: bytes) -> Backend:
        return self.usual(raw) if is_well_formed(raw) else self._rest()


@animal("packet.response-length")
class CountsOneMore(BackendAnimal):
    """Stores a length that is one more than the response has."""

    def do_put_length(self) -> Operation:
        length = len(self.response or b"") + 1
        return Store(page.LENGTH.offset, length.to_bytes(4, "little"))


@animal("packet.response-fits")
class LengthOfBuffer(BackendAnimal):
    """Stores the size of its buffer, 4096, as the length of every response."""

    def do_put_length(self) -> Operation:
        return Store(page.LENGTH.offset, page.PAGE_SIZE.to_bytes(4, "little"))


@animal(
    "packet.response-fits",
    "long.too-long-response",
    why="it claims more than there is room for, and what it sends is a part of a response",
)
class CutsResponse(BackendAnimal):
    """Stores as much of a response as fits, and the length of all of it."""

    def _reply(self, response: bytes | None) -> Self:
        if response and len(response) > _room(self.header):
            return replace(self, step=Step.PUT_PACKET, response=response)
        return super()._reply(response)

    def do_put_packet(self) -> Operation:
        at = page.packet_offset(self.header.nr_extra_pages)
        return Store(at, (self.response or b"")[: page.PAGE_SIZE - at])


@animal(
    "packet.response-fits",
    "long.too-long-response",
    "exchange.answered",
    why="a request for too much gets no answer; it is well-formed, and the case of two clauses",
)
class GivesUpOnLongResponse(BackendAnimal):
    """Stores the length, finds that the response does not fit, and rests (mini-os tpmback)."""

    def _reply(self, response: bytes | None) -> Self:
        if response and len(response) > _room(self.header):
            return replace(self, step=Step.PUT_LENGTH, response=response)
        return super()._reply(response)

    def then_put_length(self, result: None) -> Backend:
        too_long = len(self.response or b"") > _room(self.header)
        return self._rest() if too_long else self.usual()


@animal("packet.response-tag", family=Family.TPM12)
class RequestTagInErrors(BackendAnimal):
    """Gives errors the tag 0x00C3, which is a request's."""

    def _reply(self, response: bytes | None) -> Self:
        after = super()._reply(response)
        if after.response is None or not _is_error(after.response):
            return after
        return replace(after, response=b"\x00\xc3" + after.response[2:])


@animal("packet.response-tag", family=Family.TPM12)
class CopiesRequestTag(BackendAnimal):
    """Gives each response of its TPM the tag of the request."""

    def _reply(self, response: bytes | None) -> Self:
        if response and self.packet:
            response = self.packet[:2] + response[2:]
        return super()._reply(response)


@animal("packet.response-tag", family=Family.TPM12)
class RequestTagInAuthErrors(BackendAnimal):
    """Gives errors for commands with authorisations the tag 0x00C3 (vtpm-stubdom)."""

    def _reply(self, response: bytes | None) -> Self:
        after = super()._reply(response)
        authorised = self.packet[:2] in (b"\x00\xc2", b"\x00\xc3")
        if not authorised or after.response is None or not _is_error(after.response):
            return after
        return replace(after, response=b"\x00\xc3" + after.response[2:])


@animal("packet.response-tag", family=Family.TPM12)
class SetsBitInRequestTag(BackendAnimal):
    """Makes the tag of a response with bit 2 of the request's, which 0x00C3 has no room for."""

    def _reply(self, response: bytes | None) -> Self:
        if response and self.packet:
            tag = int.from_bytes(self.packet[:2], "big") | 4
            response = tag.to_bytes(2, "big") + response[2:]
        return super()._reply(response)
