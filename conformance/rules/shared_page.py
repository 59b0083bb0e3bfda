# SPDX-License-Identifier: MIT
"""Rules of the page on the shared page."""

from conformance.messages import Answer, Request
from conformance.rules.base import Rule, rule
from vtpm_ref import page
from vtpm_ref.packet import TAGS, Family
from vtpm_ref.states import BACKEND, CANCEL, FINISH, FRONTEND, SUBMIT, Role

_TAGS = TAGS[Family.NONE]

#: What holds a page.
Memory = bytes | bytearray

#: Where implementations that misread the texts would put a packet, for n = 0 to 3;
#: and how far behind its place, for any n.
ELSEWHERE = (8, 12, 16, 20, 24, 28)
BEHIND = 8


def swapped(length: int) -> int:
    """``length`` as it reads in the other byte order."""
    return int.from_bytes(length.to_bytes(4, "little"), "big")


def _starts_packet(memory: Memory, at: int, length: int, tags: frozenset[int]) -> bool:
    """Whether a packet of ``length`` bytes with one of ``tags`` lies at ``at``."""
    tag = int.from_bytes(memory[at : at + 2], "big")
    return tag in tags and int.from_bytes(memory[at + 2 : at + 6], "big") == length


def misplaced(memory: Memory, at: int, length: int, tags: frozenset[int]) -> int | None:
    """
    Where else than at ``at`` a packet of ``length`` bytes lies; ``None`` if nowhere.

    Clause ``page.packet-offset`` is about it; what is then at ``at`` is no packet.
    """
    if _starts_packet(memory, at, length, tags):
        return None
    places = (*ELSEWHERE, at + BEHIND)
    return next((other for other in places if _starts_packet(memory, other, length, tags)), None)


@rule("page.byte-order")
class ByteOrder(Rule):
    """A length that fits its packet only when its bytes are swapped."""

    def on_request(self, request: Request) -> None:
        if self.role is FRONTEND:
            at = page.packet_offset(request.header.nr_extra_pages)
            self._compare(request.header.length, at)

    def on_answer(self, request: Request, answer: Answer) -> None:
        if self.role is BACKEND and answer.state == FINISH:
            self._compare(answer.length, answer.at)

    def _compare(self, length: int, at: int) -> None:
        size = int.from_bytes(self.scene.page[at + 2 : at + 6], "big")
        if length == size:
            self.kept()
        elif swapped(length) == size:
            self.broken(
                f"length {size}, stored as {size.to_bytes(4, 'little').hex(' ')}",
                f"{length.to_bytes(4, 'little').hex(' ')}, which is {size} in big-endian order",
            )


@rule("page.packet-offset")
class PacketOffset(Rule):
    """A packet that lies elsewhere than at 8 + 4·n."""

    def on_request(self, request: Request) -> None:
        if self.role is FRONTEND:
            at = page.packet_offset(request.header.nr_extra_pages)
            self._find(at, request.header.length, _TAGS.requests)

    def on_answer(self, request: Request, answer: Answer) -> None:
        # Where the frontend has changed the count, robust.answer-place judges.
        if self.role is BACKEND and answer.state == FINISH and not answer.moved:
            self._find(answer.at, answer.length, _TAGS.responses)

    def _find(self, at: int, length: int, tags: frozenset[int]) -> None:
        memory = self.scene.page
        if _starts_packet(memory, at, length, tags):
            self.kept()
        elif (other := misplaced(memory, at, length, tags)) is not None:
            self.broken(f"the packet at offset {at}", f"the packet at offset {other}")


@rule("page.no-extra-pages")
class NoExtraPages(Rule):
    """A request that announces extra pages, without a feature that allows them."""

    def on_request(self, request: Request) -> None:
        count = request.header.nr_extra_pages
        self.check(count == 0, "nr_extra_pages 0", f"nr_extra_pages {count}")


@rule("page.pad-zero")
class PadZero(Rule):
    """A request with something in ``pad``."""

    def on_request(self, request: Request) -> None:
        self.check(request.header.pad == 0, "pad 0", f"pad {request.header.pad}")


@rule("page.pad-ignored", "bodies")
class PadIgnored(Rule):
    """A request answered otherwise than its twin, for what is in ``pad``."""

    def begin(self) -> None:
        self._twin = (b"", 0)
        self._expected = (0, 0)
        self._odd: tuple[int, tuple[int, int]] | None = None
        self._cancelled = False

    def on_state(self, by: Role, old: int, new: int) -> None:
        if by is FRONTEND:
            self._cancelled = new == CANCEL

    def on_answer(self, request: Request, answer: Answer) -> None:
        outcome = (answer.state, answer.code if answer.state == FINISH else 0)
        if self._cancelled:
            return  # the answer may be another for that alone
        twin = (request.packet, request.header.locality)
        if twin == self._twin and request.header.pad != 0:
            self._odd = (request.header.pad, outcome)
        elif twin == self._twin and self._odd is not None:
            self._compare(outcome)
        if request.header.pad == 0:
            self._twin, self._expected, self._odd = twin, outcome, None

    def _compare(self, outcome: tuple[int, int]) -> None:
        """The same request three times: without ``pad``, with it, and without again."""
        if self._odd is None or outcome != self._expected:
            return  # the answer changes by itself, so it shows nothing
        pad, odd = self._odd
        self.check(
            odd == outcome,
            f"{_say(outcome)}, as with pad 0 before and after",
            f"{_say(odd)} with pad {pad}",
        )


def _say(outcome: tuple[int, int]) -> str:
    state, code = outcome
    return f"FINISH with code {code:#x}" if state == FINISH else "IDLE"


@rule("page.zeroed", "bodies")
class Zeroed(Rule):
    """Something else than a request in a page that was just published."""

    def begin(self) -> None:
        self._exact = self.scene.evidence(self.role, "stores") == "exact"
        self._due = False

    def on_node(self, role: Role, name: str, value: str | None, by: str) -> None:
        if role is FRONTEND and name == "ring-ref" and value is not None:
            if self._exact:
                self._look()
            self._due = not self._exact

    def on_sample(self) -> None:
        if self._due:
            self._due = False
            self._look()

    def _look(self) -> None:
        memory = bytearray(self.scene.page)
        if memory[page.STATE.offset] == SUBMIT:
            header = page.Header.unpack(bytes(memory))
            end = min(page.PAGE_SIZE, page.packet_offset(0) + header.length)
            memory[:end] = bytes(end)
        if not any(memory):
            self.kept()
            return
        dirty = next(at for at, byte in enumerate(memory) if byte)
        said = f"byte {dirty} is {memory[dirty]:#04x}"
        self.broken("zeroes in all of the page but a request", said)
