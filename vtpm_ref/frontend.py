# SPDX-License-Identifier: MIT
"""
The reference frontend: connects, submits one request at a time, takes answers, closes.

``_PROGRAM`` has one row a step: what the frontend asks for, and what it does
with the result.  A frontend value never changes; ``after`` and the inputs
(``submit``, ``cancel``, ``close``, ``reopen``, ``event``, ``changed``,
``expired``) return the next.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Self

from vtpm_ref import page, xenbus
from vtpm_ref.errors import ProtocolViolation
from vtpm_ref.machine import Machine, Row, then
from vtpm_ref.packet import HEADER_SIZE, is_well_formed
from vtpm_ref.states import Role, State
from vtpm_ref.steps import (
    Answer,
    Bind,
    Deliver,
    Grant,
    Load,
    Notify,
    Revoke,
    Store,
    Unbind,
    WatchNode,
    WriteNodes,
    load_state,
    parse_number,
    store_state,
)
from vtpm_ref.xenbus import (
    BACKEND_CLOSES,
    BACKEND_HOLDS,
    FEATURE_VALUE,
    Place,
    XenbusState,
    is_state,
)


class Step(Enum):
    """Where the frontend is; every step but the waiting ones asks for one thing."""

    WATCH = "watch the backend"
    READ_EARLIER = "look for an earlier connection"
    END_EARLIER = "end the earlier connection"
    GRANT = "grant the page"
    ZERO = "zero the page"
    ALLOCATE = "allocate the port"
    PUBLISH = "publish the nodes"
    INITIALISED = "become Initialised"
    READ_BACKEND = "read the backend's state"
    WAIT_BACKEND = "wait for the backend"
    READ_FEATURE = "read the backend's feature"
    CONNECTED = "become Connected"
    CLOSING = "become Closing"
    CLOSED = "become Closed"
    READ_GONE = "look whether the backend has let go"
    WAIT_GONE = "wait for the backend to let go"
    UNBIND = "close the port"
    REVOKE = "take the page back"
    DOWN = "closed"
    READY = "ready for a request"
    LOOK_FREE = "look whether the page is free"
    WAIT_FREE = "wait for a free page"
    PUT_PACKET = "store the packet"
    PUT_LENGTH = "store the length"
    PUT_LOCALITY = "store the locality"
    PUT_SUBMIT = "store SUBMIT"
    RING = "notify of the request"
    WAIT_ANSWER = "wait for the answer"
    LOOK_ANSWER = "look for the answer"
    TAKE_LENGTH = "load the length"
    TAKE_PACKET = "load the response"
    PUT_CANCEL = "store CANCEL"
    RING_CANCEL = "notify of the cancel"
    DELIVER = "deliver the answer"


#: Where an event leads, and where a change of the backend's state does, while it waits.
_ON_EVENT = {Step.WAIT_FREE: Step.LOOK_FREE, Step.WAIT_ANSWER: Step.LOOK_ANSWER}
_ON_CHANGE = {
    Step.WAIT_BACKEND: Step.READ_BACKEND,
    Step.READY: Step.READ_BACKEND,
    Step.WAIT_FREE: Step.READ_BACKEND,
    Step.WAIT_ANSWER: Step.READ_BACKEND,
    Step.WAIT_GONE: Step.READ_GONE,
}


@dataclass(frozen=True)
class Frontend(Machine):
    """
    One frontend of one device.

    :param place: whose frontend it is.
    :param packet: the request it is busy with, empty when it has none.
    :param submitted: whether that request has been handed to the backend.
    :param unseen_event: an event came while it was busy with another step.
    :param unseen_change: the backend's state changed while it was busy.
    :param cancelling: the user wants the request abandoned.
    :param gave_up: its own deadline passed; the answer no longer counts.
    :param leaving: the step with which it starts to close, once it can.
    :param was_connected: it has been Connected, so the handshake is over.
    """

    role = Role.FRONTEND

    place: Place = Place()
    step: Step = Step.WATCH
    gref: int = 0
    port: int = 0
    packet: bytes = b""
    locality: int = 0
    length: int = 0
    answer: Answer | None = None
    submitted: bool = False
    unseen_event: bool = False
    unseen_change: bool = False
    cancelling: bool = False
    gave_up: bool = False
    leaving: Step | None = None
    was_connected: bool = False

    @classmethod
    def connected(cls, place: Place = Place()) -> Self:
        """A frontend that has already connected, for examples."""
        return cls(place=place, step=Step.READY, gref=8, port=1, was_connected=True)

    @property
    def ready(self) -> bool:
        """Connected, and without a request."""
        return self.step is Step.READY

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return bool(self.packet)

    @property
    def leaves(self) -> bool:
        """Whether it closes or has closed; it takes no request any more."""
        return self.leaving is not None or self.down

    @property
    def down(self) -> bool:
        """Whether it has closed and holds nothing any more."""
        return self.step is Step.DOWN

    @property
    def patient(self) -> bool:
        """Whether it waits for something that a deadline should bound."""
        return self.step in (Step.WAIT_FREE, Step.WAIT_ANSWER, Step.WAIT_GONE)

    def submit(self, packet: bytes, locality: int = 0) -> Self:
        """
        Start an exchange with ``packet``.

        :raises ProtocolViolation: the packet may not be submitted, or another
            request is under way; both are the caller's fault.
        """
        if not self.ready:
            raise ProtocolViolation(
                "states.submit-when-free", "frontend", self.step.value, "another request"
            )
        if len(packet) < HEADER_SIZE:
            raise ProtocolViolation(
                "packet.request-header", "frontend", "a header of 10 bytes", f"{len(packet)} bytes"
            )
        if len(packet) > page.capacity():
            raise ProtocolViolation(
                "packet.request-fits",
                "frontend",
                f"{page.capacity()} bytes of room",
                f"a packet of {len(packet)} bytes",
            )
        if not is_well_formed(packet):
            raise ProtocolViolation(
                "packet.request-length",
                "frontend",
                f"{len(packet)} bytes of packet",
                f"a header that says {int.from_bytes(packet[2:6], 'big')}",
            )
        if not 0 <= locality <= page.MOST_LOCALITY:
            raise ProtocolViolation(
                "locality.range", "frontend", "localities 0 to 4", f"locality {locality}"
            )
        return replace(self, step=Step.LOOK_FREE, packet=packet, locality=locality)

    def cancel(self) -> Self:
        """Ask for the running request to be abandoned; without one, nothing."""
        if self.step is Step.WAIT_ANSWER:
            return replace(self, step=Step.PUT_CANCEL)
        return replace(self, cancelling=True) if self.busy else self

    def close(self) -> Self:
        """Close the device as soon as the step at hand is done; a request ends with it."""
        if self.leaves:
            return self
        after = replace(self, leaving=Step.CLOSING)
        return after._wait(self.step) if self.step in _ON_CHANGE else after

    def reopen(self) -> Self:
        """Connect again, with a new page; only once it is ``down``."""
        if not self.down:
            return self
        return replace(self, step=Step.READ_EARLIER, leaving=None, was_connected=False)

    def event(self) -> Self:
        """An event arrived on the port."""
        if self.step in _ON_EVENT:
            return self._go(_ON_EVENT[self.step])
        return replace(self, unseen_event=True) if self.busy else self

    def changed(self, path: str) -> Self:
        """The watched node ``path`` changed."""
        if self.step in _ON_CHANGE:
            return self._go(_ON_CHANGE[self.step])
        return self if self.down else replace(self, unseen_change=True)

    def expired(self) -> Self:
        """The deadline of the wait passed: give up, cancel what was submitted."""
        if self.step is Step.WAIT_ANSWER:
            return replace(self, step=Step.PUT_CANCEL, gave_up=True)
        if self.step is Step.WAIT_FREE:
            return self._finish(Answer("timed-out"))
        # A page that the backend still holds is not taken back: it is lost.
        lost = replace(self, step=Step.DOWN, gref=0, port=0)
        return lost if self.step is Step.WAIT_GONE else self

    def _wait(self, step: Step) -> Self:
        """Wait in ``step``, unless something came up in the meantime."""
        if self.leaving is not None and not (step is Step.WAIT_GONE and self.gref):
            return self._leave()
        if self.unseen_change:
            return replace(self, step=_ON_CHANGE[step], unseen_change=False)
        if step is Step.WAIT_ANSWER and self.cancelling:
            return replace(self, step=Step.PUT_CANCEL, cancelling=False)
        if step in _ON_EVENT and self.unseen_event:
            return replace(self, step=_ON_EVENT[step], unseen_event=False)
        return self._go(step)

    def _leave(self) -> Self:
        """Start to close instead of waiting; a request ends first."""
        if self.busy:
            return self._finish(Answer("cancelled"))
        return self._go(self.leaving or Step.CLOSED) if self.gref else self._go(Step.DOWN)

    def _finish(self, answer: Answer) -> Self:
        return replace(self, step=Step.DELIVER, answer=answer)

    def _nodes(self) -> WriteNodes:
        values = (str(self.gref), str(self.port), FEATURE_VALUE)
        names = zip(xenbus.PUBLISHED, values, strict=True)
        return WriteNodes(tuple((self._own(name), value) for name, value in names))

    def _see_earlier(self, text: str | None) -> Self:
        """A backend that is not fresh has served an earlier life of this frontend."""
        used = parse_number(text) in BACKEND_HOLDS | BACKEND_CLOSES
        return self._go(Step.END_EARLIER if used else Step.GRANT)

    def _see_backend(self, text: str | None) -> Self:
        state = parse_number(text)
        if state in BACKEND_CLOSES:
            return replace(self, leaving=Step.CLOSED)._leave()
        if self.was_connected:
            if not self.busy:
                return self._wait(Step.READY)
            return self._wait(Step.WAIT_ANSWER if self.submitted else Step.WAIT_FREE)
        if state == XenbusState.CONNECTED:
            return self._go(Step.READ_FEATURE)
        return self._wait(Step.WAIT_BACKEND)

    def _see_feature(self, text: str | None) -> Self:
        if text == FEATURE_VALUE:
            return self._go(Step.CONNECTED)
        return replace(self, step=Step.CLOSING, leaving=Step.CLOSING)

    def _see_gone(self, text: str | None) -> Self:
        """Nothing is taken back, and nothing new published, while the backend holds a page."""
        held = BACKEND_HOLDS if self.gref else BACKEND_HOLDS | BACKEND_CLOSES
        if parse_number(text) in held or (text is not None and not is_state(text)):
            return self._wait(Step.WAIT_GONE)
        if not self.gref:
            return self._go(Step.GRANT)
        return self._go(Step.UNBIND if self.port else Step.REVOKE)

    def _see_free(self, raw: bytes) -> Self:
        free = raw[0] in (State.IDLE, State.FINISH)
        return self._go(Step.PUT_PACKET) if free else self._wait(Step.WAIT_FREE)

    def _see_answer(self, raw: bytes) -> Self:
        if raw[0] == State.FINISH:
            return self._go(Step.TAKE_LENGTH)
        if raw[0] == State.IDLE:
            return self._finish(Answer("cancelled"))
        return self._wait(Step.WAIT_ANSWER)

    def _see_length(self, raw: bytes) -> Self:
        length = int.from_bytes(raw, "little")
        if HEADER_SIZE <= length <= page.capacity():
            return replace(self, step=Step.TAKE_PACKET, length=length)
        return self._finish(Answer("failed"))

    def _see_packet(self, raw: bytes) -> Self:
        return self._finish(Answer("response", raw) if is_well_formed(raw) else Answer("failed"))

    def _after_cancel(self) -> Self:
        return self._finish(Answer("timed-out")) if self.gave_up else self._wait(Step.WAIT_ANSWER)

    def _delivered(self) -> Self:
        after = replace(
            self,
            packet=b"",
            locality=0,
            length=0,
            answer=None,
            submitted=False,
            unseen_event=False,
            cancelling=False,
            gave_up=False,
        )
        return after._wait(Step.READY)


_PROGRAM: dict[Step, Row] = {
    Step.WATCH: (lambda fe: WatchNode(fe._peers("state")), then(Step.READ_EARLIER)),
    Step.READ_EARLIER: (lambda fe: fe._read_peer("state"), Frontend._see_earlier),
    Step.END_EARLIER: (lambda fe: fe._become(XenbusState.CLOSED), then(Step.READ_GONE)),
    Step.GRANT: (
        lambda fe: Grant(fe.place.backend_id),
        lambda fe, gref: replace(fe, step=Step.ZERO, gref=gref),
    ),
    Step.ZERO: (lambda fe: Store(0, bytes(page.PAGE_SIZE)), then(Step.ALLOCATE)),
    Step.ALLOCATE: (
        lambda fe: Bind(fe.place.backend_id),
        lambda fe, port: replace(fe, step=Step.PUBLISH, port=port),
    ),
    Step.PUBLISH: (Frontend._nodes, then(Step.INITIALISED)),
    Step.INITIALISED: (lambda fe: fe._become(XenbusState.INITIALISED), then(Step.READ_BACKEND)),
    Step.READ_BACKEND: (lambda fe: fe._read_peer("state"), Frontend._see_backend),
    Step.READ_FEATURE: (lambda fe: fe._read_peer("feature-protocol-v2"), Frontend._see_feature),
    Step.CONNECTED: (
        lambda fe: fe._become(XenbusState.CONNECTED),
        lambda fe, _: replace(fe, was_connected=True)._wait(Step.READY),
    ),
    Step.CLOSING: (lambda fe: fe._become(XenbusState.CLOSING), then(Step.CLOSED)),
    Step.CLOSED: (lambda fe: fe._become(XenbusState.CLOSED), then(Step.READ_GONE)),
    Step.READ_GONE: (lambda fe: fe._read_peer("state"), Frontend._see_gone),
    Step.UNBIND: (
        lambda fe: Unbind(fe.port),
        lambda fe, _: replace(fe, step=Step.REVOKE, port=0),
    ),
    Step.REVOKE: (
        lambda fe: Revoke(fe.gref),
        # A backend that was just about to connect has mapped it; it will notice.
        lambda fe, done: replace(fe, step=Step.DOWN, gref=0) if done else fe._wait(Step.WAIT_GONE),
    ),
    Step.LOOK_FREE: (lambda fe: load_state(), Frontend._see_free),
    Step.PUT_PACKET: (
        lambda fe: Store(page.packet_offset(0), fe.packet),
        then(Step.PUT_LENGTH),
    ),
    Step.PUT_LENGTH: (
        lambda fe: Store(page.LENGTH.offset, len(fe.packet).to_bytes(page.LENGTH.size, "little")),
        then(Step.PUT_LOCALITY),
    ),
    Step.PUT_LOCALITY: (
        lambda fe: Store(page.LOCALITY.offset, bytes([fe.locality])),
        then(Step.PUT_SUBMIT),
    ),
    Step.PUT_SUBMIT: (
        lambda fe: store_state(State.SUBMIT),
        lambda fe, _: replace(fe, step=Step.RING, submitted=True),
    ),
    Step.RING: (lambda fe: Notify(), lambda fe, _: fe._wait(Step.WAIT_ANSWER)),
    Step.LOOK_ANSWER: (lambda fe: load_state(), Frontend._see_answer),
    Step.TAKE_LENGTH: (lambda fe: Load(page.LENGTH.offset, page.LENGTH.size), Frontend._see_length),
    Step.TAKE_PACKET: (lambda fe: Load(page.packet_offset(0), fe.length), Frontend._see_packet),
    Step.PUT_CANCEL: (lambda fe: store_state(State.CANCEL), then(Step.RING_CANCEL)),
    Step.RING_CANCEL: (lambda fe: Notify(), lambda fe, _: fe._after_cancel()),
    Step.DELIVER: (
        lambda fe: Deliver(fe.answer or Answer("failed")),
        lambda fe, _: fe._delivered(),
    ),
}

Frontend.program = _PROGRAM
