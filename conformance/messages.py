# SPDX-License-Identifier: MIT
"""
A request and an answer, as the other side finds them in the page.
"""

from dataclasses import dataclass, field

from conformance import trace
from vtpm_ref import page
from vtpm_ref.page import Header


@dataclass
class Request:
    """
    A request, from SUBMIT on.

    :ivar header: the page header as a backend finds it; ``packet`` likewise,
        cut off at the end of the page.
    :ivar number: counts the requests and answers of all connections as they come.
    :ivar answered: that count when the backend stored the answer, 0 before.
    :ivar over: the state that SUBMIT overwrote.
    :ivar early: it was submitted before the backend was Connected.
    :ivar order: the order that the frontend carries out, if it takes orders.
    :ivar room: bytes from the packet's offset to the end of the page.
    :ivar size_in_header: the size that the packet's own header gives, -1 if it has none.
    :ivar well_formed: the pages' term: long enough, not too long, and both lengths agree.
    """

    number: int
    over: int
    early: bool
    order: trace.Order | None
    header: Header = field(default_factory=Header)
    packet: bytes = b""
    room: int = page.capacity()
    size_in_header: int = -1
    well_formed: bool = False
    told: bool = False
    answered: int = 0

    def fill(self, memory: bytearray) -> None:
        """Take the request from the page, once all of it is there."""
        self.header = header = Header.unpack(bytes(memory[: page.HEADER_SIZE]))
        at = page.packet_offset(header.nr_extra_pages)
        self.room = page.PAGE_SIZE - at
        self.packet = packet = bytes(memory[at : at + min(header.length, self.room)])
        self.size_in_header = int.from_bytes(packet[2:6], "big") if len(packet) >= 10 else -1
        fits = 10 <= header.length <= self.room
        self.well_formed = fits and self.size_in_header == header.length


@dataclass
class Answer:
    """
    The backend's answer: FINISH or IDLE, and the page as a frontend finds it.

    :ivar at: the packet's offset, by the ``nr_extra_pages`` of the request.
    :ivar room: bytes from the packet's offset to the end of the page.
    :ivar packet: the response, cut off at the end of the page.
    :ivar size_in_header: the size that a TPM header at the packet's offset gives.
    :ivar code: the response code at the packet's offset.
    :ivar disturbed: the backend has stored to the page after it; what of that the
        frontend has found cannot be told.
    """

    state: int
    length: int
    at: int
    page: bytes
    room: int = field(init=False)
    packet: bytes = field(init=False)
    size_in_header: int = field(init=False)
    code: int = field(init=False)
    disturbed: bool = False

    def __post_init__(self) -> None:
        at = self.at
        self.room = page.PAGE_SIZE - at
        self.packet = self.page[at : at + min(self.length, self.room)]
        self.size_in_header = int.from_bytes(self.page[at + 2 : at + 6], "big")
        self.code = int.from_bytes(self.page[at + 6 : at + 10], "big")

    @property
    def moved(self) -> bool:
        """Whether ``nr_extra_pages`` was changed: it names another place than the request's."""
        return self._now_at != self.at

    @property
    def elsewhere(self) -> bytes:
        """What a frontend takes that goes by ``nr_extra_pages`` as it is now."""
        return self.page[self._now_at : self._now_at + self.length]

    @property
    def _now_at(self) -> int:
        return page.packet_offset(self.page[page.NR_EXTRA_PAGES.offset])

    @property
    def sound(self) -> bool:
        """Whether it is a response whose lengths fit the page and each other."""
        return 10 <= self.length <= self.room and self.size_in_header == self.length
