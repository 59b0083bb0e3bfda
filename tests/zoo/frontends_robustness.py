# SPDX-License-Identifier: MIT
"""
Frontends that break what the page says of robustness.
"""

from dataclasses import replace

from tests.zoo.base import FrontendAnimal, animal
from vtpm_ref import page
from vtpm_ref.frontend import Frontend
from vtpm_ref.packet import TAGS, Family
from vtpm_ref.page import Header
from vtpm_ref.steps import Load, Operation, Store
from vtpm_ref.xenbus import is_state


@animal("robust.own-window")
class FollowsCount(FrontendAnimal):
    """Looks for the response where nr_extra_pages puts it by then (Linux)."""

    def do_take_length(self) -> Operation:
        return Load(0, page.HEADER_SIZE)

    def then_take_length(self, raw: bytes) -> Frontend:
        after = self.usual(raw[: page.LENGTH.end])
        return replace(after, memory=Header.unpack(raw).nr_extra_pages)

    def do_take_packet(self) -> Operation:
        return Load(page.packet_offset(self.memory), min(self.length, page.capacity(self.memory)))


@animal("robust.length-once")
class LoadsLengthAgain(FrontendAnimal):
    """Loads length again together with the packet."""

    def do_take_packet(self) -> Operation:
        return Load(0, page.packet_offset(0) + self.length)

    def then_take_packet(self, raw: bytes) -> Frontend:
        return self.usual(raw[page.packet_offset(0) :])


@animal("robust.length-once")
class PeeksAtHeader(FrontendAnimal):
    """Loads the first ten bytes of the response, and then all of it."""

    def do_take_packet(self) -> Operation:
        return Load(page.packet_offset(0), self.length if self.memory else 10)

    def then_take_packet(self, raw: bytes) -> Frontend:
        return replace(self.usual(raw), memory=0) if self.memory else replace(self, memory=1)


@animal("robust.nothing-behind")
class SubmitsItsBuffer(FrontendAnimal):
    """Stores 64 bytes of its buffer behind each request that leaves so much room."""

    def do_put_packet(self) -> Operation:
        return Store(page.packet_offset(0), (self.packet + b"\x5a" * 64)[: page.capacity()])


@animal(
    "robust.frontend-goes-on",
    "exchange.response-taken",
    why="a response with an unknown tag is one all the same, and the user never gets it",
)
class DiesOfUnknownTag(FrontendAnimal):
    """Ends when a response has a tag that it does not know."""

    def then_take_packet(self, raw: bytes) -> Frontend:
        if int.from_bytes(raw[:2], "big") not in TAGS[Family.NONE].responses:
            raise RuntimeError("no such tag")
        return self.usual(raw)


@animal(
    "robust.frontend-goes-on",
    "packet.response-bounded",
    why="the end is all that its case sees of a response that is too long",
)
class DiesOfLongResponse(FrontendAnimal):
    """Ends when a response passes the end of the page."""

    def then_take_length(self, raw: bytes) -> Frontend:
        if int.from_bytes(raw, "little") > page.capacity():
            raise RuntimeError("too long")
        return self.usual(raw)


@animal("robust.nonsense-state")
class NonsenseIsClosed(FrontendAnimal):
    """Takes a state of its backend that makes no sense for Closed."""

    def then_read_backend(self, text: str | None) -> Frontend:
        return self.usual(text if is_state(text) else "6")
