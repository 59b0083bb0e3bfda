# SPDX-License-Identifier: MIT
"""
Backends that break what the pages say of the shared page and of its states.
"""

from dataclasses import replace

from tests.zoo.base import BackendAnimal, animal
from vtpm_ref import page
from vtpm_ref.backend import Backend, Step
from vtpm_ref.page import Header
from vtpm_ref.states import State
from vtpm_ref.steps import Execute, Notify, Operation, Store, store_state

_UNASKED = "what it stores on such an event is also a store to state that nothing asked for"


@animal("page.byte-order")
class BackendLengthBigEndian(BackendAnimal):
    """Stores the length of a response in big-endian byte order."""

    def do_put_length(self) -> Operation:
        return Store(page.LENGTH.offset, len(self.response or b"").to_bytes(4, "big"))


@animal(
    "page.packet-offset",
    "robust.nothing-behind",
    why="over a request of ten bytes it cannot be told from bytes behind the response",
)
class ResponseAt16(BackendAnimal):
    """Stores the response at 16 + 4 n, as the comment in tpmif.h has it."""

    def do_put_packet(self) -> Operation:
        return Store(16 + 4 * self.header.nr_extra_pages, self.response or b"")


@animal(
    "page.packet-offset",
    "states.backend-fields",
    why="where there are extra pages its response lies over the grant list",
)
class ResponseOverList(BackendAnimal):
    """Stores the response at 8, however long the grant list is."""

    def do_put_packet(self) -> Operation:
        return Store(page.HEADER_SIZE, self.response or b"")


@animal("page.pad-ignored")
class RefusesPad(BackendAnimal):
    """Refuses a request when pad is not zero."""

    def then_sample(self, raw: bytes) -> Backend:
        header = Header.unpack(raw)
        return replace(self, header=header)._refuse() if header.pad else self.usual(raw)


@animal("states.backend-writes")
class MarksBusy(BackendAnimal):
    """Stores 4 in state while its TPM works."""

    def do_execute(self) -> Operation:
        return Execute(self.packet, self.header.locality) if self.memory else store_state(4)

    def then_execute(self, result: None) -> Backend:
        return replace(self.usual(), memory=0) if self.memory else replace(self, memory=1)


@animal("states.backend-writes")
class WritesSubmit(BackendAnimal):
    """Stores SUBMIT once more when it has taken a request."""

    def do_execute(self) -> Operation:
        take = Execute(self.packet, self.header.locality)
        return take if self.memory else store_state(State.SUBMIT)

    def then_execute(self, result: None) -> Backend:
        return replace(self.usual(), memory=0) if self.memory else replace(self, memory=1)


@animal("states.answer-only-requests")
class FinishesTwice(BackendAnimal):
    """Stores FINISH twice."""

    def then_put_finish(self, result: None) -> Backend:
        return replace(self.usual(), memory=0) if self.memory else replace(self, memory=1)


@animal("states.answer-only-requests", "exchange.spurious-events", why=_UNASKED)
class TakesResponseBack(BackendAnimal):
    """Takes an event in FINISH for an acknowledgement, and stores IDLE."""

    def then_look(self, raw: bytes) -> Backend:
        if raw[0] == State.FINISH:
            return replace(self, step=Step.PUT_IDLE, unseen_event=False)
        return self.usual(raw)


@animal("states.answer-only-requests", "exchange.spurious-events", why=_UNASKED)
class AnswersEveryEvent(BackendAnimal):
    """Stores FINISH again on an event that finds FINISH."""

    def then_look(self, raw: bytes) -> Backend:
        if raw[0] == State.FINISH:
            return replace(self, step=Step.PUT_FINISH, unseen_event=False)
        return self.usual(raw)


@animal("states.response-stands-still")
class ClearsBehindResponse(BackendAnimal):
    """Clears the page behind the response after FINISH."""

    def do_ring(self) -> Operation:
        end = page.packet_offset(self.header.nr_extra_pages) + len(self.response or b"")
        return Notify() if self.memory else Store(end, bytes(page.PAGE_SIZE - end))

    def then_ring(self, result: None) -> Backend:
        return replace(self.usual(), memory=0) if self.memory else replace(self, memory=1)


@animal(
    "states.response-stands-still",
    "exchange.response-before-state",
    why="what it stores over the response was not there before FINISH",
)
class ClearsOnEvent(BackendAnimal):
    """Takes an event in FINISH for an acknowledgement, and clears the response."""

    def then_look(self, raw: bytes) -> Backend:
        if raw[0] == State.FINISH:
            return replace(self, step=Step.PUT_PACKET, unseen_event=False, memory=1)
        return self.usual(raw)

    def do_put_packet(self) -> Operation:
        data = bytes(page.PAGE_SIZE - self._offset) if self.memory else self.response
        return Store(self._offset, data or b"")

    def then_put_packet(self, result: None) -> Backend:
        return replace(self, memory=0)._rest() if self.memory else self.usual()


@animal("states.backend-fields")
class StoresWholeHeader(BackendAnimal):
    """Stores the header as a whole with FINISH, zeroes where the frontend's fields are."""

    def do_put_finish(self) -> Operation:
        length = len(self.response or b"")
        return Store(0, Header(length=length, state=State.FINISH).pack())


@animal("states.backend-fields")
class MarksServedPage(BackendAnimal):
    """Stores 1 in pad before its first FINISH."""

    def do_put_finish(self) -> Operation:
        return store_state(State.FINISH) if self.memory else Store(page.PAD.offset, b"\x01")

    def then_put_finish(self, result: None) -> Backend:
        return self.usual() if self.memory else replace(self, memory=1)


@animal("states.unknown-waits")
class EndsUnknownState(BackendAnimal):
    """Stores IDLE over a state that it does not know."""

    def then_look(self, raw: bytes) -> Backend:
        if raw[0] > State.CANCEL:
            return replace(self, step=Step.PUT_IDLE, unseen_event=False)
        return self.usual(raw)


@animal("states.unknown-waits")
class UnknownIsSubmit(BackendAnimal):
    """Takes a state that it does not know for SUBMIT."""

    def then_look(self, raw: bytes) -> Backend:
        return self.usual(bytes([State.SUBMIT]) if raw[0] > State.CANCEL else raw)
