# SPDX-License-Identifier: MIT
"""
Backends that break what the page says of long packets.
"""

from dataclasses import replace
from typing import Self

from tests.zoo.base import BackendAnimal, animal
from vtpm_ref import page
from vtpm_ref.backend import Backend
from vtpm_ref.packet import build
from vtpm_ref.steps import Load, Map, Operation


@animal("long.references-untouched")
class MapsListedPage(BackendAnimal):
    """Maps the first page of the grant list before it fetches the packet."""

    def do_fetch(self) -> Operation:
        if self.header.nr_extra_pages and not self.memory:
            return Load(page.HEADER_SIZE, page.GRANT_SIZE)
        if self.memory > 0:
            return Map(self.place.frontend_id, self.memory - 1)
        return Load(page.packet_offset(self.header.nr_extra_pages), self.header.length)

    def then_fetch(self, result: bytes | bool) -> Backend:
        if self.header.nr_extra_pages and not self.memory:
            assert isinstance(result, bytes)
            return replace(self, memory=int.from_bytes(result, "little") + 1)
        if self.memory > 0:
            return replace(self, memory=-1)
        return replace(self, memory=0).usual(result)


@animal("long.too-long-response")
class CutsAndSaysSo(BackendAnimal):
    """Sends as much of a response as fits, with that size in both lengths."""

    def _reply(self, response: bytes | None) -> Self:
        room = page.capacity(self.header.nr_extra_pages)
        if response and len(response) > room:
            response = build(0x8001, 0, response[10:room])
        return super()._reply(response)


@animal("long.size-told")
class PromisesWholePage(BackendAnimal):
    """Lets its TPM report packets of 4096 bytes."""

    def _reply(self, response: bytes | None) -> Self:
        own = page.capacity().to_bytes(4, "big")
        if response and response.endswith(own):
            response = response[:-4] + page.PAGE_SIZE.to_bytes(4, "big")
        return super()._reply(response)
