# SPDX-License-Identifier: MIT
"""
The reference frontend: connects, submits one request at a time, takes answers.

``_PROGRAM`` has one row a step: what the frontend asks for, and what it does
with the result.  A frontend value never changes; ``after`` and the inputs
(``submit``, ``cancel``, ``event``, ``changed``, ``expired``) return the next.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from vtpm_ref import page, xenbus
from vtpm_ref.errors import ProtocolViolation
from vtpm_ref.packet import HEADER_SIZE, is_well_formed
from vtpm_ref.states import Role, State
from vtpm_ref.steps import (
    Answer,
    Bind,
    Deliver,
    Grant,
    Load,
    Notify,
    Operation,
    ReadNode,
    Store,
    WatchNode,
    WriteNodes,
    load_state,
    parse_number,
    store_state,
)
from vtpm_ref.xenbus import FEATURE_VALUE, Place, XenbusState


class Step(Enum):
    """Where the frontend is; every step but the waiting ones asks for one thing."""

    GRANT = "grant the page"
    ZERO = "zero the page"
    ALLOCATE = "allocate the port"
    PUBLISH = "publish the nodes"
    INITIALISED = "become Initialised"
    WATCH = "watch the backend"
    READ_BACKEND = "read the backend's state"
    WAIT_BACKEND = "wait for the backend"
    READ_FEATURE = "read the backend's feature"
    CONNECTED = "become Connected"
    CLOSING = "become Closing"
    CLOSED = "become Closed"
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


_LOOK_AFTER = {Step.WAIT_FREE: Step.LOOK_FREE, Step.WAIT_ANSWER: Step.LOOK_ANSWER}


@dataclass(frozen=True)
class Frontend:
    """
    One frontend of one device.

    :param place: whose frontend it is.
    :param packet: the request it is busy with, empty when it has none.
    :param unseen_event: an event came while it was busy with another step.
    :param cancelling: the user wants the request abandoned.
    :param gave_up: its own deadline passed; the answer no longer counts.
    :param was_connected: it has been Connected, so the handshake is over.
    """

    place: Place = Place()
    step: Step = Step.GRANT
    gref: int = 0
    port: int = 0
    packet: bytes = b""
    locality: int = 0
    length: int = 0
    answer: Answer | None = None
    unseen_event: bool = False
    cancelling: bool = False
    gave_up: bool = False
    was_connected: bool = False

    @classmethod
    def connected(cls, place: Place = Place()) -> "Frontend":
        """A frontend that has already connected, for examples."""
        return cls(place=place, step=Step.READY, gref=8, port=1, was_connected=True)

    @property
    def operation(self) -> Operation | None:
        """The one step it wants now; ``None`` while it waits for an input."""
        row = _PROGRAM.get(self.step)
        return row[0](self) if row else None

    def after(self, result: Any = None) -> "Frontend":
        """The frontend after its ``operation`` was taken with ``result``."""
        return _PROGRAM[self.step][1](self, result)

    @property
    def ready(self) -> bool:
        """Connected, and without a request."""
        return self.step is Step.READY

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return bool(self.packet)

    @property
    def down(self) -> bool:
        """Whether it has closed; it takes no request any more."""
        return self.step is Step.DOWN

    def submit(self, packet: bytes, locality: int = 0) -> "Frontend":
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

    def cancel(self) -> "Frontend":
        """Ask for the running request to be abandoned; without one, nothing."""
        if self.step is Step.WAIT_ANSWER:
            return replace(self, step=Step.PUT_CANCEL)
        return replace(self, cancelling=True) if self.busy else self

    def event(self) -> "Frontend":
        """An event arrived on the port."""
        if self.step in _LOOK_AFTER:
            return replace(self, step=_LOOK_AFTER[self.step])
        return replace(self, unseen_event=True) if self.busy else self

    def changed(self, path: str) -> "Frontend":
        """The watched node ``path`` changed."""
        waits = self.step in (Step.WAIT_BACKEND, Step.READY)
        return replace(self, step=Step.READ_BACKEND) if waits else self

    @property
    def patient(self) -> bool:
        """Whether it waits for something that a deadline should bound."""
        return self.step in _LOOK_AFTER

    def expired(self) -> "Frontend":
        """The deadline of the wait passed: give up, cancel what was submitted."""
        if self.step is Step.WAIT_ANSWER:
            return replace(self, step=Step.PUT_CANCEL, gave_up=True)
        if self.step is Step.WAIT_FREE:
            return self._finish(Answer("timed-out"))
        return self

    def _go(self, step: Step) -> "Frontend":
        return replace(self, step=step)

    def _wait(self, step: Step) -> "Frontend":
        """Wait in ``step``, unless something came up in the meantime."""
        if step is Step.WAIT_ANSWER and self.cancelling:
            return replace(self, step=Step.PUT_CANCEL, cancelling=False)
        if self.unseen_event:
            return replace(self, step=_LOOK_AFTER[step], unseen_event=False)
        return self._go(step)

    def _finish(self, answer: Answer) -> "Frontend":
        return replace(self, step=Step.DELIVER, answer=answer)

    def _become(self, state: XenbusState) -> WriteNodes:
        path = self.place.path(Role.FRONTEND, "state")
        return WriteNodes(((path, str(int(state))),))

    def _read_backend(self, node: str) -> ReadNode:
        return ReadNode(self.place.path(Role.BACKEND, node))

    def _nodes(self) -> WriteNodes:
        values = (str(self.gref), str(self.port), FEATURE_VALUE)
        names = zip(xenbus.PUBLISHED, values, strict=True)
        return WriteNodes(tuple((self.place.path(Role.FRONTEND, n), v) for n, v in names))

    def _see_backend(self, text: str | None) -> "Frontend":
        state = parse_number(text)
        if state in (XenbusState.CLOSING, XenbusState.CLOSED):
            return self._go(Step.CLOSED)
        if self.was_connected:
            return self._go(Step.READY)
        if state == XenbusState.CONNECTED:
            return self._go(Step.READ_FEATURE)
        return self._go(Step.WAIT_BACKEND)

    def _see_feature(self, text: str | None) -> "Frontend":
        return self._go(Step.CONNECTED if text == FEATURE_VALUE else Step.CLOSING)

    def _see_free(self, raw: bytes) -> "Frontend":
        free = raw[0] in (State.IDLE, State.FINISH)
        return self._go(Step.PUT_PACKET) if free else self._wait(Step.WAIT_FREE)

    def _see_answer(self, raw: bytes) -> "Frontend":
        if raw[0] == State.FINISH:
            return self._go(Step.TAKE_LENGTH)
        if raw[0] == State.IDLE:
            return self._finish(Answer("cancelled"))
        return self._wait(Step.WAIT_ANSWER)

    def _see_length(self, raw: bytes) -> "Frontend":
        length = int.from_bytes(raw, "little")
        if HEADER_SIZE <= length <= page.capacity():
            return replace(self, step=Step.TAKE_PACKET, length=length)
        return self._finish(Answer("failed"))

    def _see_packet(self, raw: bytes) -> "Frontend":
        return self._finish(Answer("response", raw) if is_well_formed(raw) else Answer("failed"))

    def _after_cancel(self) -> "Frontend":
        return self._finish(Answer("timed-out")) if self.gave_up else self._wait(Step.WAIT_ANSWER)

    def _delivered(self) -> "Frontend":
        return replace(
            self,
            step=Step.READY,
            packet=b"",
            locality=0,
            length=0,
            answer=None,
            unseen_event=False,
            cancelling=False,
            gave_up=False,
        )


_Row = tuple[Callable[[Frontend], Operation], Callable[[Frontend, Any], Frontend]]


def _then(step: Step) -> Callable[[Frontend, Any], Frontend]:
    """A step whose result changes nothing: on to ``step``."""
    return lambda fe, _: fe._go(step)


_PROGRAM: dict[Step, _Row] = {
    Step.GRANT: (
        lambda fe: Grant(fe.place.backend_id),
        lambda fe, gref: replace(fe, step=Step.ZERO, gref=gref),
    ),
    Step.ZERO: (lambda fe: Store(0, bytes(page.PAGE_SIZE)), _then(Step.ALLOCATE)),
    Step.ALLOCATE: (
        lambda fe: Bind(fe.place.backend_id),
        lambda fe, port: replace(fe, step=Step.PUBLISH, port=port),
    ),
    Step.PUBLISH: (Frontend._nodes, _then(Step.INITIALISED)),
    Step.INITIALISED: (lambda fe: fe._become(XenbusState.INITIALISED), _then(Step.WATCH)),
    Step.WATCH: (
        lambda fe: WatchNode(fe.place.path(Role.BACKEND, "state")),
        _then(Step.READ_BACKEND),
    ),
    Step.READ_BACKEND: (lambda fe: fe._read_backend("state"), Frontend._see_backend),
    Step.READ_FEATURE: (lambda fe: fe._read_backend("feature-protocol-v2"), Frontend._see_feature),
    Step.CONNECTED: (
        lambda fe: fe._become(XenbusState.CONNECTED),
        lambda fe, _: replace(fe, step=Step.READY, was_connected=True),
    ),
    Step.CLOSING: (lambda fe: fe._become(XenbusState.CLOSING), _then(Step.CLOSED)),
    Step.CLOSED: (lambda fe: fe._become(XenbusState.CLOSED), _then(Step.DOWN)),
    Step.LOOK_FREE: (lambda fe: load_state(), Frontend._see_free),
    Step.PUT_PACKET: (
        lambda fe: Store(page.packet_offset(0), fe.packet),
        _then(Step.PUT_LENGTH),
    ),
    Step.PUT_LENGTH: (
        lambda fe: Store(page.LENGTH.offset, len(fe.packet).to_bytes(page.LENGTH.size, "little")),
        _then(Step.PUT_LOCALITY),
    ),
    Step.PUT_LOCALITY: (
        lambda fe: Store(page.LOCALITY.offset, bytes([fe.locality])),
        _then(Step.PUT_SUBMIT),
    ),
    Step.PUT_SUBMIT: (lambda fe: store_state(State.SUBMIT), _then(Step.RING)),
    Step.RING: (lambda fe: Notify(), lambda fe, _: fe._wait(Step.WAIT_ANSWER)),
    Step.LOOK_ANSWER: (lambda fe: load_state(), Frontend._see_answer),
    Step.TAKE_LENGTH: (lambda fe: Load(page.LENGTH.offset, page.LENGTH.size), Frontend._see_length),
    Step.TAKE_PACKET: (lambda fe: Load(page.packet_offset(0), fe.length), Frontend._see_packet),
    Step.PUT_CANCEL: (lambda fe: store_state(State.CANCEL), _then(Step.RING_CANCEL)),
    Step.RING_CANCEL: (lambda fe: Notify(), lambda fe, _: fe._after_cancel()),
    Step.DELIVER: (
        lambda fe: Deliver(fe.answer or Answer("failed")),
        lambda fe, _: fe._delivered(),
    ),
}
