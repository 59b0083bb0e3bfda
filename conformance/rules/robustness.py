# SPDX-License-Identifier: MIT
"""Rules of the page on robustness."""

from conformance import trace
from conformance.messages import Answer, Request
from conformance.rules.base import Rule, rule
from conformance.rules.shared_page import misplaced, swapped
from conformance.rules.states import name_of
from vtpm_ref import page
from vtpm_ref.packet import HEADER_SIZE, TAGS, Family
from vtpm_ref.states import BACKEND, FINISH, FRONTEND, OWNER, Role
from vtpm_ref.steps import parse_number
from vtpm_ref.xenbus import is_state

_ALL = TAGS[Family.NONE]

#: The states in which somebody owns the page.
_KNOWN = tuple(OWNER)


@rule("robust.goes-on")
class GoesOn(Rule):
    """A backend that ends or falls silent after nonsense in the page."""

    def begin(self) -> None:
        self._nonsense = ""

    def on_state(self, by: Role, old: int, new: int) -> None:
        if by is FRONTEND and new not in _KNOWN:
            self._nonsense = f"{name_of(new)} in state"

    def on_change(self, by: Role, at: int, old: bytes, new: bytes, dated: bool) -> None:
        if by is FRONTEND and self.scene.owner() is BACKEND:
            self._nonsense = f"a store at {at} while the page was the backend's"

    def on_request(self, request: Request) -> None:
        if not request.well_formed:
            self._nonsense = f"a request of length {request.header.length}"

    def on_answer(self, request: Request, answer: Answer) -> None:
        if self._nonsense and request.well_formed:
            self.kept()

    def on_silence(self, silence: trace.Silence) -> None:
        if self._nonsense and silence.awaited == "an answer":
            self.broken("an answer", f"none after {self._nonsense}")

    def on_exit(self, how: str) -> None:
        if self._nonsense:
            self.broken("the backend goes on", f"after {self._nonsense} it ended: {how}")


@rule("robust.answer-place")
class AnswerPlace(Rule):
    """
    A response that lies where a count that was changed meanwhile would put it.

    A backend that sampled the request only after the change may put an error
    there: it found no such request.  Success shows that it knew the request.
    """

    def on_answer(self, request: Request, answer: Answer) -> None:
        if answer.state != FINISH or not answer.moved:
            return
        if answer.size_in_header == answer.length:
            self.kept()
            return
        count = answer.page[page.NR_EXTRA_PAGES.offset]
        other = page.packet_offset(count)
        tag = int.from_bytes(answer.page[other : other + 2], "big")
        size, code = (
            int.from_bytes(answer.page[other + at : other + at + 4], "big") for at in (2, 6)
        )
        if tag in _ALL.responses and size == answer.length and code == 0:
            self.broken(
                f"the response at {answer.at}, as nr_extra_pages was with the request",
                f"at {other}, as nr_extra_pages is now",
            )


@rule("robust.own-window", "orders")
class OwnWindow(Rule):
    """A frontend that looks where the backend's count says, not where its request was."""

    def on_result(self, result: trace.Result) -> None:
        answer = self.scene.last_answer
        if answer is None or answer.state != FINISH or not answer.moved or not answer.sound:
            return
        taken = bytes.fromhex(result.packet)
        if self.scene.carries_out(result) and taken in (answer.packet, answer.elsewhere):
            self.check(
                taken == answer.packet,
                f"the response at {answer.at}, the offset of the request",
                "what is where nr_extra_pages puts it now",
            )


@rule("robust.length-once", "loads")
class LengthOnce(Rule):
    """A frontend that loads a byte of the response, or its length, a second time."""

    def begin(self) -> None:
        self._loaded = 0  # one bit a byte
        self._again: int | None = None

    def on_state(self, by: Role, old: int, new: int) -> None:
        self._loaded, self._again = 0, None

    def on_load(self, by: Role, at: int, data: bytes) -> None:
        answer = self.scene.last_answer
        if by is not FRONTEND or self.scene.state != FINISH or answer is None:
            return
        header = ((1 << page.HEADER_SIZE) - 1) & ~((1 << page.LENGTH.end) - 1)
        loaded = ((1 << len(data)) - 1) << at & ~header
        twice = loaded & self._loaded
        if twice and self._again is None:
            self._again = (twice & -twice).bit_length() - 1
        self._loaded |= loaded

    def on_result(self, result: trace.Result) -> None:
        if self._loaded and self.scene.carries_out(result):
            said = f"byte {self._again} loaded twice"
            self.check(self._again is None, "each byte of length and packet loaded once", said)
            self._loaded, self._again = 0, None


@rule("robust.nothing-behind", "stores", "bodies")
class NothingBehind(Rule):
    """Bytes behind the packet that are neither zero nor what lay there."""

    def begin(self) -> None:
        self._changed: dict[int, int] = {}

    def on_change(self, by: Role, at: int, old: bytes, new: bytes, dated: bool) -> None:
        if by is self.role:
            self._changed |= {at + i: new[i] for i in range(len(new)) if new[i] != old[i]}

    def on_request(self, request: Request) -> None:
        if self.role is FRONTEND:
            at = page.packet_offset(request.header.nr_extra_pages)
            self._judge(at, request.header.length, request.size_in_header, _ALL.requests)
        self._changed = {}

    def on_answer(self, request: Request, answer: Answer) -> None:
        if self.role is BACKEND and answer.state == FINISH and not answer.moved:
            self._judge(answer.at, answer.length, answer.size_in_header, _ALL.responses)
        self._changed = {}

    def _judge(self, at: int, length: int, size: int, tags: frozenset[int]) -> None:
        if swapped(length) == size or misplaced(self.scene.page, at, length, tags):
            return  # where the packet ends is for other clauses to judge
        end = at + max(length, size)
        behind = [place for place, byte in self._changed.items() if place >= end and byte]
        said = f"byte {min(behind, default=0)} of the page was stored"
        self.check(not behind, f"nothing behind the packet, which ends at {end}", said)


@rule("robust.frontend-goes-on", "orders")
class FrontendGoesOn(Rule):
    """A frontend that ends or submits no more after a response that makes no sense."""

    def begin(self) -> None:
        self._nonsense = ""

    def on_answer(self, request: Request, answer: Answer) -> None:
        tag = int.from_bytes(answer.packet[:2], "big")
        if answer.state == FINISH and not answer.sound:
            self._nonsense = f"a response of length {answer.length}"
        elif answer.state == FINISH and tag not in TAGS[self.scene.family].responses:
            self._nonsense = f"a response with the tag {tag:#06x}"

    def on_request(self, request: Request) -> None:
        if self._nonsense:
            self.kept()

    def on_silence(self, silence: trace.Silence) -> None:
        if self._nonsense and silence.awaited in ("a request", "a result"):
            self.broken(silence.awaited, f"none after {self._nonsense}")

    def on_exit(self, how: str) -> None:
        if self._nonsense:
            self.broken("the frontend goes on", f"after {self._nonsense} it ended: {how}")


@rule("robust.nodes-recover")
class NodesRecover(Rule):
    """A backend that never connects again, once a frontend has published nonsense."""

    def begin(self) -> None:
        self._nonsense = ""

    def on_node(self, role: Role, name: str, value: str | None, by: str) -> None:
        if role is FRONTEND and self._is_unsound(name, value):
            said = "was removed" if value is None else f"was {value!r}"
            self._nonsense = f"{name} {said}"
        elif role is BACKEND and name == "state" and value == "4" and self._sound_now():
            self._connected()

    def on_mapped(self, by: Role, ok: bool, gref: int) -> None:
        asked = self._published("ring-ref") == gref and gref not in self.scene.granted
        if by is BACKEND and not ok and asked:
            self._nonsense = f"ring-ref was {gref}, which was not granted"

    def on_bound(self, by: Role, ok: bool, remote: int | None) -> None:
        asked = self._published("event-channel") == remote and remote not in self.scene.allocated
        if by is BACKEND and not ok and asked:
            self._nonsense = f"event-channel was {remote}, which is no port"

    def on_silence(self, silence: trace.Silence) -> None:
        if self._nonsense and silence.awaited == "Connected of the backend":
            self.broken("Connected for sound nodes", f"it never came; {self._nonsense} before")

    def on_exit(self, how: str) -> None:
        if self._nonsense:
            self.broken("the backend goes on", f"{self._nonsense}, and it ended: {how}")

    def _connected(self) -> None:
        if self._nonsense:
            self.kept()
        self._nonsense = ""

    def _sound_now(self) -> bool:
        return all(self._published(name) is not None for name in ("ring-ref", "event-channel"))

    def _published(self, name: str) -> int | None:
        return parse_number(self.scene.nodes.get((FRONTEND, name)))

    @staticmethod
    def _is_unsound(name: str, value: str | None) -> bool:
        if name in ("ring-ref", "event-channel"):
            return parse_number(value) is None
        return name == "state" and (value == "0" or not is_state(value))


@rule("robust.nonsense-state")
class NonsenseState(Rule):
    """A side that closes or lets go because its peer's ``state`` is no number."""

    def begin(self) -> None:
        self._last: str | None = None
        self._text: str | None = None

    def on_node(self, role: Role, name: str, value: str | None, by: str) -> None:
        if name == "online" or role is self.role:
            self._own_node(name, value)
        elif name == "state" and (value is None or is_state(value)):
            self._last, self._text = value, None
        elif name == "state" and self._last == "4" and self.scene.connected(self.role):
            self._text = value

    def on_order(self, order: trace.Order) -> None:
        if order.do != "send":
            self._text = None  # what it does then, it was told to do

    def on_answer(self, request: Request, answer: Answer) -> None:
        if self._text is not None and self.role is BACKEND:
            self.kept()

    def on_result(self, result: trace.Result) -> None:
        if self._text is not None and self.role is FRONTEND:
            self.kept()

    def on_unmapped(self, by: Role, gref: int) -> None:
        if by is self.role:
            self._react("it unmapped the page")

    def on_revoked(self, gref: int, ok: bool) -> None:
        if self.role is FRONTEND:
            self._react("it took its page back")

    def on_exit(self, how: str) -> None:
        self._react(f"it ended: {how}")

    def _own_node(self, name: str, value: str | None) -> None:
        if name == "state" and value != "4":
            self._react(f"its own state became {value}")
        elif name == "online":
            self._text = None

    def _react(self, how: str) -> None:
        if self._text is not None:
            said = f"the peer's state was {self._text!r}, and {how}"
            self.broken("to go on as if the peer were still Connected", said)
            self._text = None


#: Bytes that every TPM gives at once, if it is asked for no more.
_GIVEN_AT_ONCE = 16

#: Of a GetRandom: its ordinal, and how many bytes hold the count, there and in the response.
_RANDOM = {Family.TPM12: (0x46, 4), Family.TPM20: (0x17B, 2)}


def bytes_asked_for(family: Family, request: Request | None) -> int | None:
    """The count in a GetRandom without a session; ``None`` if ``request`` is none."""
    if request is None or not request.well_formed or family not in _RANDOM:
        return None
    ordinal, width = _RANDOM[family]
    packet = request.packet
    plain = len(packet) == HEADER_SIZE + width and packet[6:10] == ordinal.to_bytes(4, "big")
    return int.from_bytes(packet[HEADER_SIZE:], "big") if plain else None


@rule("robust.response-belongs", "bodies")
class ResponseBelongs(Rule):
    """A response to GetRandom that has the form, or the count, of another request's."""

    def begin(self) -> None:
        self._asked: set[int] = set()

    def on_request(self, request: Request) -> None:
        count = bytes_asked_for(self.scene.family, request)
        if count is not None:
            self._asked.add(count)

    def on_answer(self, request: Request, answer: Answer) -> None:
        count = bytes_asked_for(self.scene.family, request)
        usable = answer.state == FINISH and answer.sound and not answer.moved and not answer.code
        if count is None or not usable or count > _GIVEN_AT_ONCE:
            return
        _, width = _RANDOM[self.scene.family]
        given = int.from_bytes(answer.packet[HEADER_SIZE : HEADER_SIZE + width], "big")
        if answer.length != HEADER_SIZE + width + given:
            said = f"{answer.length} bytes, which are no response to GetRandom"
            self.broken(f"a response with {count} random bytes", said)
        elif given > count or (given < count and self._was_asked(given)):
            said = f"one with {given}, as another request has asked for"
            self.broken(f"a response with {count} random bytes", said)
        elif given == count:
            self.kept()

    def _was_asked(self, count: int) -> bool:
        """Whether some frontend has asked for ``count``: a TPM may also give less by itself."""
        family, all = self.scene.family, self.scene.all
        elsewhere = (bytes_asked_for(family, scene.request) for scene in all)
        return count in self._asked or count in elsewhere
