# SPDX-License-Identifier: MIT
"""
Backends that break what the page says of one exchange.
"""

from dataclasses import replace
from typing import Self

from tests.zoo.base import BackendAnimal, animal
from vtpm_ref import page
from vtpm_ref.backend import Backend, Step
from vtpm_ref.packet import TAGS, is_well_formed
from vtpm_ref.page import Header
from vtpm_ref.states import State
from vtpm_ref.steps import Load, Notify, Operation, Store, store_state

_LATE = "what it stores after FINISH changes a page that is no longer its own"


def _length(backend: Backend) -> Store:
    return Store(page.LENGTH.offset, len(backend.response or b"").to_bytes(4, "little"))


def _packet(backend: Backend) -> Store:
    at = page.packet_offset(backend.header.nr_extra_pages)
    return Store(at, backend.response or b"")


@animal(
    "exchange.response-before-state",
    "states.response-stands-still",
    "packet.response-length",
    why=f"{_LATE}; whoever polls finds the length of one packet and the header of another",
)
class FinishBeforePacket(BackendAnimal):
    """Stores FINISH before the response."""

    def do_put_packet(self) -> Operation:
        return _length(self)

    def do_put_length(self) -> Operation:
        return store_state(State.FINISH)

    def do_put_finish(self) -> Operation:
        return _packet(self)


@animal(
    "exchange.response-before-state",
    "states.response-stands-still",
    "packet.response-length",
    why=f"{_LATE}; whoever polls finds the length of one packet and the header of another",
)
class FinishBeforeLength(BackendAnimal):
    """Stores FINISH before the length of the response."""

    def do_put_length(self) -> Operation:
        return store_state(State.FINISH)

    def do_put_finish(self) -> Operation:
        return _length(self)


@animal("exchange.answer-notifies")
class AnswersWithoutEvent(BackendAnimal):
    """Sends no event after FINISH."""

    def then_put_finish(self, result: None) -> Backend:
        return self._rest()


@animal("exchange.answer-notifies")
class EventBeforeFinish(BackendAnimal):
    """Sends its event before it stores FINISH or IDLE."""

    def do_put_finish(self) -> Operation:
        return Notify()

    def do_put_idle(self) -> Operation:
        return Notify()

    def then_put_finish(self, result: None) -> Backend:
        return replace(self.usual(result), memory=1)

    def then_put_idle(self, result: None) -> Backend:
        return replace(self.usual(result), memory=1)

    def do_ring(self) -> Operation:
        if not self.memory:
            return Notify()  # of a backend that has connected
        return store_state(State.IDLE if self.response is None else State.FINISH)

    def then_ring(self, result: None) -> Backend:
        return replace(self.usual(result), memory=0)


@animal("exchange.answered")
class ForgetsEvents(BackendAnimal):
    """Forgets an event that comes while it is busy with the request before."""

    def event(self) -> Self:
        served = self.step in (Step.PUT_FINISH, Step.RING)
        return self if served else super().event()


@animal("exchange.event-per-change")
class TwoEventsAnAnswer(BackendAnimal):
    """Sends two events for each answer."""

    def then_ring(self, result: None) -> Backend:
        return replace(self.usual(), memory=0) if self.memory else replace(self, memory=1)


@animal("exchange.answered")
class DropsLongestRequest(BackendAnimal):
    """Drops a request of exactly the room, as if it were too long."""

    def then_sample(self, raw: bytes) -> Backend:
        header = Header.unpack(raw)
        full = header.length == page.capacity(header.nr_extra_pages)
        return self._rest() if full else self.usual(raw)


@animal("exchange.answered")
class DropsShortestRequest(BackendAnimal):
    """Drops a request that is a header and nothing else."""

    def then_sample(self, raw: bytes) -> Backend:
        return self._rest() if Header.unpack(raw).length == 10 else self.usual(raw)


@animal(
    "exchange.answered",
    "connecting.look-at-once",
    "connecting.serves-initialised",
    "connecting.backend-connects",
    "coming-back.unknown-request",
    "coming-back.looks-first",
    "coming-back.rings",
    why="no request at all is answered, and no state looked at; for connecting.backend-connects,"
    " one is part of the case's fence",
)
class Deaf(BackendAnimal):
    """Connects, and then answers nothing."""

    def then_look(self, raw: bytes) -> Backend:
        return self._rest()


@animal(
    "exchange.no-acknowledge",
    "exchange.answered",
    "connecting.serves-initialised",
    "coming-back.looks-first",
    why="the second request is over FINISH, well-formed, and in one case of an Initialised"
    " frontend, and it is not answered; in the case of the last it is part of the fence",
)
class WaitsForAcknowledgement(BackendAnimal):
    """Takes no request after FINISH until it has seen IDLE."""

    def then_look(self, raw: bytes) -> Backend:
        if raw[0] == State.SUBMIT and self.memory:
            return self._rest()
        return replace(self.usual(raw), memory=0)

    def then_put_finish(self, result: None) -> Backend:
        return replace(self.usual(), memory=1)


@animal("exchange.one-copy")
class LoadsHeaderTwice(BackendAnimal):
    """Loads the header again together with the packet."""

    def do_fetch(self) -> Operation:
        return Load(0, page.packet_offset(self.header.nr_extra_pages) + self.header.length)

    def then_fetch(self, raw: bytes) -> Backend:
        return self.usual(raw[page.packet_offset(self.header.nr_extra_pages) :])


@animal(
    "exchange.one-copy",
    "robust.answer-place",
    why="what is loaded a second time may have changed, and leads the response astray",
)
class ListLengthTwice(BackendAnimal):
    """Loads nr_extra_pages for the response again (mini-os tpmback)."""

    def do_put_packet(self) -> Operation:
        return _packet(self) if self.memory else Load(page.NR_EXTRA_PAGES.offset, 1)

    def then_put_packet(self, raw: bytes) -> Backend:
        if self.memory:
            return replace(self, step=Step.PUT_LENGTH, memory=0)
        header = replace(self.header, nr_extra_pages=raw[0])
        return replace(self, header=header, memory=1)


@animal("exchange.answered")
class KnowsOneFamily(BackendAnimal):
    """Leaves a command of the other family of TPMs alone."""

    def then_fetch(self, raw: bytes) -> Backend:
        known = int.from_bytes(raw[:2], "big") in TAGS[self.family].requests
        return self.usual(raw) if known or not is_well_formed(raw) else self._rest()
