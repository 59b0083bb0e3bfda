# SPDX-License-Identifier: MIT
"""
Frontends that break what the pages say of the shared page and of its states.
"""

from dataclasses import replace
from typing import Self

from tests.zoo.base import FrontendAnimal, animal
from vtpm_ref import page
from vtpm_ref.errors import ProtocolViolation
from vtpm_ref.frontend import Frontend, Step
from vtpm_ref.states import State
from vtpm_ref.steps import Answer, Deliver, Load, Notify, Operation, Store, store_state

#: What ``Answer.outcome`` says of a response.
_RESPONSE = "response"


@animal("page.byte-order")
class FrontendLengthBigEndian(FrontendAnimal):
    """Stores the length of a request in big-endian byte order."""

    def do_put_length(self) -> Operation:
        return Store(page.LENGTH.offset, len(self.packet).to_bytes(4, "big"))


@animal("page.packet-offset")
class RequestAt16(FrontendAnimal):
    """Stores the request at 16, as the comment in tpmif.h has it."""

    def do_put_packet(self) -> Operation:
        return Store(16, self.packet[: page.PAGE_SIZE - 16])


@animal("page.no-extra-pages")
class AnnouncesExtraPage(FrontendAnimal):
    """Announces one extra page, and puts the packet behind the list."""

    def submit(self, packet: bytes, locality: int = 0) -> Self:
        if len(packet) > page.capacity(1):
            raise ProtocolViolation("packet.request-fits", "frontend", "4084", str(len(packet)))
        return super().submit(packet, locality)

    def do_put_packet(self) -> Operation:
        return Store(page.HEADER_SIZE, bytes(page.GRANT_SIZE) + self.packet)

    def do_put_locality(self) -> Operation:
        return Store(page.LOCALITY.offset, bytes([self.locality, 0, 1]))

    def do_take_packet(self) -> Operation:
        return Load(page.packet_offset(1), min(self.length, page.capacity(1)))


@animal("page.pad-zero")
class FillsPad(FrontendAnimal):
    """Stores 0x5a in pad with each request."""

    def do_put_locality(self) -> Operation:
        return Store(page.LOCALITY.offset, bytes([self.locality, 0x5A]))


@animal("page.zeroed")
class ClearsOnlyHeader(FrontendAnimal):
    """Clears the header of a page that it publishes, and leaves the rest as it was."""

    def do_zero(self) -> Operation:
        return Store(0, bytes(page.HEADER_SIZE))


@animal("states.frontend-writes")
class AcknowledgesResponse(FrontendAnimal):
    """Stores IDLE when it has taken a response."""

    def do_deliver(self) -> Operation:
        answer = self.answer or Answer("failed")
        due = answer.outcome == _RESPONSE and not self.memory
        return store_state(State.IDLE) if due else Deliver(answer)

    def then_deliver(self, result: None) -> Frontend:
        due = self.answer is not None and self.answer.outcome == _RESPONSE and not self.memory
        return replace(self, memory=1) if due else replace(self.usual(), memory=0)


@animal("states.submit-when-free")
class SubmitsTwice(FrontendAnimal):
    """Stores SUBMIT twice."""

    def then_put_submit(self, result: None) -> Frontend:
        return replace(self.usual(), memory=0) if self.memory else replace(self, memory=1)


@animal(
    "states.submit-when-free",
    "states.request-stands-still",
    "exchange.request-before-state",
    why="the second request is stored over the first, which is submitted and the backend's",
)
class SubmitsWithoutLooking(FrontendAnimal):
    """Takes a second order at once, and does not look at state (mini-os tpmfront)."""

    @property
    def ready(self) -> bool:
        return self.step in (Step.READY, Step.WAIT_ANSWER)

    def then_look_free(self, raw: bytes) -> Frontend:
        return self._go(Step.PUT_PACKET)


@animal("states.cancel-when-busy")
class CancelsIdlePage(FrontendAnimal):
    """Stores CANCEL when told to, whatever state is (Linux)."""

    def cancel(self) -> Self:
        return self._go(Step.PUT_CANCEL) if self.ready else super().cancel()

    def then_ring_cancel(self, result: None) -> Frontend:
        return self.usual() if self.busy else self._go(Step.READY)


@animal("states.request-stands-still")
class ClearsBehindRequest(FrontendAnimal):
    """Clears the page behind the request after SUBMIT."""

    def do_ring(self) -> Operation:
        end = page.packet_offset(0) + len(self.packet)
        done = self.memory or end == page.PAGE_SIZE
        return Notify() if done else Store(end, bytes(page.PAGE_SIZE - end))

    def then_ring(self, result: None) -> Frontend:
        done = self.memory or len(self.packet) == page.capacity()
        return replace(self.usual(), memory=0) if done else replace(self, memory=1)


@animal("states.unknown-waits")
class UnknownIsFailure(FrontendAnimal):
    """Takes a state that it does not know for the end of the request."""

    def then_look_answer(self, raw: bytes) -> Frontend:
        unknown = raw[0] > State.CANCEL
        return self._finish(Answer("failed")) if unknown else self.usual(raw)


@animal(
    "states.unknown-waits",
    "exchange.response-taken",
    why="it is no longer there to take the response that follows",
)
class DiesOfUnknownState(FrontendAnimal):
    """Ends when it finds a state that it does not know."""

    def then_look_answer(self, raw: bytes) -> Frontend:
        return self.usual(bytes([State(raw[0])]))
