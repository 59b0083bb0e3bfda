# SPDX-License-Identifier: MIT
"""Rules of the page on long packets."""

from conformance.messages import Answer, Request
from conformance.rules.base import Rule, rule
from vtpm_ref import page
from vtpm_ref.packet import HEADER_SIZE, PacketHeader
from vtpm_ref.states import BACKEND, FINISH, FRONTEND, IDLE, Role

#: GetRandom of a 1.2 and of a 2.0, and the width of its count, by tag and code.
_COUNTS = {(0xC1, 0x46): 4, (0x8001, 0x17B): 2}

#: Requests for the longest packet that a TPM takes or gives, without their headers.
_ASKS_SIZE = (
    bytes.fromhex("00000005 00000004 00000124"),
    bytes.fromhex("00000006 0000011e 00000001"),
    bytes.fromhex("00000006 0000011f 00000001"),
)


@rule("long.references-untouched", "grants")
class ReferencesUntouched(Rule):
    """A backend that maps what is in the grant list."""

    def begin(self) -> None:
        self._listed: set[int] = set()

    def on_request(self, request: Request) -> None:
        count = request.header.nr_extra_pages
        raw = bytes(self.scene.page[page.HEADER_SIZE : page.packet_offset(count)])
        starts = range(0, len(raw), page.GRANT_SIZE)
        self._listed = {int.from_bytes(raw[i : i + page.GRANT_SIZE], "little") for i in starts}

    def on_answer(self, request: Request, answer: Answer) -> None:
        if self._listed:
            self.kept()

    def on_mapped(self, by: Role, ok: bool, gref: int) -> None:
        shared = self.scene.nodes.get((FRONTEND, "ring-ref"))
        if by is BACKEND and gref in self._listed and str(gref) != shared:
            self.broken("the list skipped", f"mapping of {gref}, which is in it")


@rule("long.too-long-response", "bodies")
class TooLongResponse(Rule):
    """
    A response that does not fit, sent all the same.

    Known of GetRandom alone, which says how much it asks for and how much it
    gives.  A TPM that gives less than was asked for has no occasion.
    """

    def on_answer(self, request: Request, answer: Answer) -> None:
        width = _count_width(request.packet)
        if not width or _carried(request.packet, width) <= answer.room:
            return
        at = answer.at
        whole = _carried(answer.page[at : at + answer.room], width)
        if answer.state == IDLE or answer.code != 0:
            self.kept()
        elif whole > answer.length or answer.length > answer.room:
            said = f"{answer.length} bytes of a response of {whole}, in a room of {answer.room}"
            self.broken("IDLE, or FINISH and a TPM error", said)


def _count_width(request: bytes) -> int:
    """Bytes of the count in a GetRandom; 0 for another request."""
    if len(request) < HEADER_SIZE:
        return 0
    header = PacketHeader.unpack(request)
    width = _COUNTS.get((header.tag, header.code), 0)
    return width if len(request) == HEADER_SIZE + width else 0


def _carried(packet: bytes, width: int) -> int:
    """Bytes of a response to GetRandom with the count that ``packet`` has."""
    return HEADER_SIZE + width + int.from_bytes(packet[HEADER_SIZE : HEADER_SIZE + width], "big")


@rule("long.size-told", "bodies")
class SizeTold(Rule):
    """A TPM that promises packets for which the page has no room."""

    def on_answer(self, request: Request, answer: Answer) -> None:
        asked = request.well_formed and request.packet[HEADER_SIZE:] in _ASKS_SIZE
        told = answer.state == FINISH and answer.size_in_header == answer.length
        if asked and told and answer.code == 0:
            size, room = int.from_bytes(answer.packet[-4:], "big"), page.capacity()
            self.check(size <= room, f"at most {room} bytes", f"a packet size of {size} bytes")
