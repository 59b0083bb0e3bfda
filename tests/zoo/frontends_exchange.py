# SPDX-License-Identifier: MIT
"""
Frontends that break what the page says of one exchange.
"""

from dataclasses import replace

from tests.zoo.base import FrontendAnimal, animal
from vtpm_ref import page
from vtpm_ref.frontend import Frontend, Step
from vtpm_ref.packet import HEADER_SIZE
from vtpm_ref.states import State
from vtpm_ref.steps import Answer, Load, Notify, Operation, Store, store_state

_LATE = "what it stores after SUBMIT changes a page that is the backend's"

#: Bytes that ``CutsAt1024`` takes at most.
_BUFFER = 1024


def _length(frontend: Frontend) -> Store:
    return Store(page.LENGTH.offset, len(frontend.packet).to_bytes(4, "little"))


def _locality(frontend: Frontend) -> Store:
    return Store(page.LOCALITY.offset, bytes([frontend.locality]))


@animal("exchange.request-before-state", "states.request-stands-still", why=_LATE)
class SubmitBeforePacket(FrontendAnimal):
    """Stores SUBMIT before the packet."""

    def do_put_packet(self) -> Operation:
        return _length(self)

    def do_put_length(self) -> Operation:
        return _locality(self)

    def do_put_locality(self) -> Operation:
        return store_state(State.SUBMIT)

    def do_put_submit(self) -> Operation:
        return Store(page.packet_offset(0), self.packet)


@animal("exchange.request-before-state", "states.request-stands-still", why=_LATE)
class SubmitBeforeLength(FrontendAnimal):
    """Stores SUBMIT before the length of the request."""

    def do_put_length(self) -> Operation:
        return _locality(self)

    def do_put_locality(self) -> Operation:
        return store_state(State.SUBMIT)

    def do_put_submit(self) -> Operation:
        return _length(self)


@animal("exchange.submit-notifies")
class SubmitsWithoutEvent(FrontendAnimal):
    """Sends no event after SUBMIT."""

    def then_put_submit(self, result: None) -> Frontend:
        return replace(self, submitted=True)._wait(Step.WAIT_ANSWER)


@animal("exchange.submit-notifies")
class EventBeforeSubmit(FrontendAnimal):
    """Sends its event before it stores SUBMIT."""

    def do_put_submit(self) -> Operation:
        return Notify()

    def do_ring(self) -> Operation:
        return store_state(State.SUBMIT)


@animal("exchange.event-per-change")
class TwoEventsARequest(FrontendAnimal):
    """Sends two events for each request."""

    def then_ring(self, result: None) -> Frontend:
        return replace(self.usual(), memory=0) if self.memory else replace(self, memory=1)


@animal("exchange.spurious-events")
class EventIsRefusal(FrontendAnimal):
    """Takes an event that finds SUBMIT for the end of the request."""

    def then_look_answer(self, raw: bytes) -> Frontend:
        refused = raw[0] == State.SUBMIT
        return self._finish(Answer("cancelled")) if refused else self.usual(raw)


@animal(
    "exchange.spurious-events",
    "exchange.waits-for-answer",
    why="what the event makes it take is a response, and state is not FINISH",
)
class EventIsAnswer(FrontendAnimal):
    """Takes an event that finds SUBMIT for the answer."""

    def then_look_answer(self, raw: bytes) -> Frontend:
        return self._go(Step.TAKE_LENGTH) if raw[0] == State.SUBMIT else self.usual(raw)


@animal(
    "exchange.waits-for-answer",
    "closing.request-ends",
    why="a request that has no answer has ended with what it took before it closes",
)
class TakesAtOnce(FrontendAnimal):
    """Takes what is in the page as soon as it has sent its event."""

    def then_ring(self, result: None) -> Frontend:
        return self._go(Step.TAKE_LENGTH)


@animal("exchange.idle-is-no-response")
class IdleIsSuccess(FrontendAnimal):
    """Takes IDLE for a response of no bytes (mini-os tpmfront)."""

    def then_look_answer(self, raw: bytes) -> Frontend:
        idle = raw[0] == State.IDLE
        return self._finish(Answer("response")) if idle else self.usual(raw)


@animal(
    "exchange.idle-is-no-response",
    "cancel.idle-accepted",
    "coming-back.goes-on",
    why="an IDLE that answers a CANCEL ends the request as any IDLE does, and so does that of a"
    " backend that has come back",
)
class WaitsOnIdle(FrontendAnimal):
    """Goes on waiting when the answer is IDLE."""

    def then_look_answer(self, raw: bytes) -> Frontend:
        return self._wait(Step.WAIT_ANSWER) if raw[0] == State.IDLE else self.usual(raw)


@animal("exchange.response-taken")
class CutsAt1024(FrontendAnimal):
    """Takes no more than 1024 bytes of a response."""

    def do_take_packet(self) -> Operation:
        return Load(page.packet_offset(0), min(self.length, _BUFFER))

    def then_take_packet(self, raw: bytes) -> Frontend:
        cut = self.length > _BUFFER
        return self._finish(Answer("response", raw)) if cut else self.usual(raw)


@animal("exchange.response-taken")
class NeedsBody(FrontendAnimal):
    """Takes a response that is a header and no more for none."""

    def then_take_length(self, raw: bytes) -> Frontend:
        bare = int.from_bytes(raw, "little") == HEADER_SIZE
        return self._finish(Answer("failed")) if bare else self.usual(raw)


@animal("exchange.response-taken")
class TakesFrom16(FrontendAnimal):
    """Looks for the response at 16, as the comment in tpmif.h has it."""

    def do_take_packet(self) -> Operation:
        return Load(16, self.length)
