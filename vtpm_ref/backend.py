# SPDX-License-Identifier: MIT
"""
The reference backend: connects, takes each request once, answers every one.

``_PROGRAM`` has one row a step: what the backend asks for, and what it does
with the result.  A backend value never changes; ``after`` and the inputs
(``event``, ``changed``, ``completed``) return the next.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from vtpm_ref import page
from vtpm_ref.packet import CODES, HEADER_SIZE, Family, error_response, is_well_formed
from vtpm_ref.page import Header
from vtpm_ref.states import Role, State
from vtpm_ref.steps import (
    Abort,
    Bind,
    Execute,
    Load,
    Map,
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
from vtpm_ref.xenbus import FEATURE_VALUE, FRONTEND_READY, Place, XenbusState


class Step(Enum):
    """Where the backend is; every step but the waiting ones asks for one thing."""

    FEATURE = "write the feature node"
    INIT_WAIT = "become InitWait"
    WATCH = "watch the frontend"
    READ_FRONTEND = "read the frontend's state"
    WAIT_FRONTEND = "wait for the frontend"
    READ_FEATURE = "read the frontend's feature"
    READ_GREF = "read the grant reference"
    READ_PORT = "read the port"
    MAP = "map the page"
    BIND = "bind the port"
    CONNECTED = "become Connected"
    CLOSED = "become Closed"
    LOOK = "look at the state"
    REST = "wait for a request"
    SAMPLE = "sample the header"
    FETCH = "fetch the packet"
    EXECUTE = "start the TPM"
    WORKING = "wait for the TPM"
    LOOK_BUSY = "look for a cancel"
    ABORT = "stop the TPM"
    PUT_PACKET = "store the response"
    PUT_LENGTH = "store the length"
    PUT_FINISH = "store FINISH"
    PUT_IDLE = "store IDLE"
    RING = "notify of the answer"


@dataclass(frozen=True)
class Backend:
    """
    One backend of one device.

    :param place: whose backend it is.
    :param family: the TPM behind it, in whose words it refuses a request.
    :param localities: what it grants to its frontend.
    :param header: the request's header, sampled once.
    :param response: what to answer, ``None`` while the TPM works.
    :param done: whether the TPM has come to an end.
    :param unseen_event: an event came while it was busy with another step.
    """

    place: Place = Place()
    family: Family = Family.TPM20
    localities: frozenset[int] = frozenset({0})
    step: Step = Step.FEATURE
    gref: int = 0
    port: int = 0
    header: Header = Header()
    packet: bytes = b""
    response: bytes | None = None
    done: bool = False
    aborted: bool = False
    unseen_event: bool = False

    @property
    def operation(self) -> Operation | None:
        """The one step it wants now; ``None`` while it waits for an input."""
        row = _PROGRAM.get(self.step)
        return row[0](self) if row else None

    def after(self, result: Any = None) -> "Backend":
        """The backend after its ``operation`` was taken with ``result``."""
        return _PROGRAM[self.step][1](self, result)

    def event(self) -> "Backend":
        """An event arrived on the port."""
        if self.step is Step.REST:
            return self._go(Step.LOOK)
        if self.step is Step.WORKING:
            return self._go(Step.LOOK_BUSY)
        return replace(self, unseen_event=True)

    def changed(self, path: str) -> "Backend":
        """The watched node ``path`` changed."""
        return self._go(Step.READ_FRONTEND) if self.step is Step.WAIT_FRONTEND else self

    def completed(self, response: bytes | None) -> "Backend":
        """
        The TPM has come to an end.

        :param response: its response; ``None`` when it gave the command up.
        """
        after = replace(self, response=response, done=True)
        return after._working() if self.step is Step.WORKING else after

    def _go(self, step: Step) -> "Backend":
        return replace(self, step=step)

    def _rest(self) -> "Backend":
        """Wait for a request, unless an event has come in the meantime."""
        return replace(
            self,
            step=Step.LOOK if self.unseen_event else Step.REST,
            header=Header(),
            packet=b"",
            response=None,
            done=False,
            aborted=False,
            unseen_event=False,
        )

    def _working(self) -> "Backend":
        """Wait for the TPM, unless it has ended or an event has come."""
        if self.done:
            return self._reply(self.response)
        if self.unseen_event:
            return replace(self, step=Step.LOOK_BUSY, unseen_event=False)
        return self._go(Step.WORKING)

    def _reply(self, response: bytes | None) -> "Backend":
        """Answer with ``response``, with IDLE for none, with an error if it cannot be sent."""
        if response is None:
            return self._go(Step.PUT_IDLE)
        if len(response) > page.capacity(self.header.nr_extra_pages):
            response = error_response(self.family, CODES[self.family].size)
        elif not is_well_formed(response):
            response = error_response(self.family, CODES[self.family].failure)
        return replace(self, step=Step.PUT_PACKET, response=response)

    def _refuse(self) -> "Backend":
        return self._reply(error_response(self.family, CODES[self.family].size))

    def _become(self, state: XenbusState) -> WriteNodes:
        return self._write("state", str(int(state)))

    def _write(self, node: str, text: str) -> WriteNodes:
        return WriteNodes(((self.place.path(Role.BACKEND, node), text),))

    def _read_frontend(self, node: str) -> ReadNode:
        return ReadNode(self.place.path(Role.FRONTEND, node))

    def _see_frontend(self, text: str | None) -> "Backend":
        ready = parse_number(text) in FRONTEND_READY
        return self._go(Step.READ_FEATURE if ready else Step.WAIT_FRONTEND)

    def _see_feature(self, text: str | None) -> "Backend":
        return self._go(Step.READ_GREF if text == FEATURE_VALUE else Step.CLOSED)

    def _see_gref(self, text: str | None) -> "Backend":
        gref = parse_number(text)
        return (
            self._go(Step.CLOSED) if gref is None else replace(self, step=Step.READ_PORT, gref=gref)
        )

    def _see_port(self, text: str | None) -> "Backend":
        port = parse_number(text)
        return self._go(Step.CLOSED) if port is None else replace(self, step=Step.MAP, port=port)

    def _mapped(self, possible: bool) -> "Backend":
        return self._go(Step.BIND if possible else Step.CLOSED)

    def _bound(self, port: int | None) -> "Backend":
        return (
            self._go(Step.CLOSED) if port is None else replace(self, step=Step.CONNECTED, port=port)
        )

    def _see_state(self, raw: bytes) -> "Backend":
        if raw[0] == State.SUBMIT:
            return replace(self, step=Step.SAMPLE, unseen_event=False)
        if raw[0] == State.CANCEL:
            return replace(self, step=Step.PUT_IDLE, unseen_event=False)
        return replace(self, unseen_event=False)._rest()

    def _see_header(self, raw: bytes) -> "Backend":
        header = Header.unpack(raw)
        after = replace(self, header=header)
        if header.state == State.CANCEL:
            return after._go(Step.PUT_IDLE)
        if HEADER_SIZE <= header.length <= page.capacity(header.nr_extra_pages):
            return after._go(Step.FETCH)
        return after._refuse()

    def _see_packet(self, raw: bytes) -> "Backend":
        if not is_well_formed(raw):
            return self._refuse()
        if self.header.locality not in self.localities:
            return self._reply(error_response(self.family, CODES[self.family].locality))
        return replace(self, step=Step.EXECUTE, packet=raw)

    def _see_cancel(self, raw: bytes) -> "Backend":
        if raw[0] == State.CANCEL and not self.aborted and not self.done:
            return replace(self, step=Step.ABORT, aborted=True)
        return self._working()


_Row = tuple[Callable[[Backend], Operation], Callable[[Backend, Any], Backend]]


def _then(step: Step) -> Callable[[Backend, Any], Backend]:
    """A step whose result changes nothing: on to ``step``."""
    return lambda be, _: be._go(step)


def _packet_offset(be: Backend) -> int:
    return page.packet_offset(be.header.nr_extra_pages)


def _response_length(be: Backend) -> bytes:
    return len(be.response or b"").to_bytes(page.LENGTH.size, "little")


_PROGRAM: dict[Step, _Row] = {
    Step.FEATURE: (
        lambda be: be._write("feature-protocol-v2", FEATURE_VALUE),
        _then(Step.INIT_WAIT),
    ),
    Step.INIT_WAIT: (lambda be: be._become(XenbusState.INIT_WAIT), _then(Step.WATCH)),
    Step.WATCH: (
        lambda be: WatchNode(be.place.path(Role.FRONTEND, "state")),
        _then(Step.READ_FRONTEND),
    ),
    Step.READ_FRONTEND: (lambda be: be._read_frontend("state"), Backend._see_frontend),
    Step.READ_FEATURE: (lambda be: be._read_frontend("feature-protocol-v2"), Backend._see_feature),
    Step.READ_GREF: (lambda be: be._read_frontend("ring-ref"), Backend._see_gref),
    Step.READ_PORT: (lambda be: be._read_frontend("event-channel"), Backend._see_port),
    Step.MAP: (lambda be: Map(be.place.frontend_id, be.gref), Backend._mapped),
    Step.BIND: (lambda be: Bind(be.place.frontend_id, be.port), Backend._bound),
    Step.CONNECTED: (lambda be: be._become(XenbusState.CONNECTED), _then(Step.LOOK)),
    Step.CLOSED: (lambda be: be._become(XenbusState.CLOSED), _then(Step.WAIT_FRONTEND)),
    Step.LOOK: (lambda be: load_state(), Backend._see_state),
    Step.SAMPLE: (lambda be: Load(0, page.HEADER_SIZE), Backend._see_header),
    Step.FETCH: (lambda be: Load(_packet_offset(be), be.header.length), Backend._see_packet),
    Step.EXECUTE: (
        lambda be: Execute(be.packet, be.header.locality),
        lambda be, _: be._working(),
    ),
    Step.LOOK_BUSY: (lambda be: load_state(), Backend._see_cancel),
    Step.ABORT: (lambda be: Abort(), lambda be, _: be._working()),
    Step.PUT_PACKET: (
        lambda be: Store(_packet_offset(be), be.response or b""),
        _then(Step.PUT_LENGTH),
    ),
    Step.PUT_LENGTH: (
        lambda be: Store(page.LENGTH.offset, _response_length(be)),
        _then(Step.PUT_FINISH),
    ),
    Step.PUT_FINISH: (lambda be: store_state(State.FINISH), _then(Step.RING)),
    Step.PUT_IDLE: (lambda be: store_state(State.IDLE), _then(Step.RING)),
    Step.RING: (lambda be: Notify(), lambda be, _: be._rest()),
}
