# SPDX-License-Identifier: MIT
"""
The reference backend: connects, takes each request once, answers every one, lets go.

``_PROGRAM`` has one row a step: what the backend asks for, and what it does
with the result.  A backend value never changes; ``after`` and the inputs
(``event``, ``changed``, ``completed``, ``close``, ``reopen``) return the next.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Self

from vtpm_ref import page
from vtpm_ref.machine import Machine, Row, then
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
    ReadNode,
    Store,
    Unbind,
    Unmap,
    WatchNode,
    load_state,
    parse_number,
    store_state,
)
from vtpm_ref.xenbus import FEATURE_VALUE, FRONTEND_GONE, FRONTEND_READY, Place, XenbusState


class Step(Enum):
    """Where the backend is; every step but the waiting ones asks for one thing."""

    WATCH = "watch the frontend"
    WATCH_ONLINE = "watch for the toolstack"
    FEATURE = "write the feature node"
    INIT_WAIT = "become InitWait"
    READ_FRONTEND = "read the frontend's state"
    WAIT_FRONTEND = "wait for the frontend"
    READ_ONLINE = "read whether the device is to stay"
    READ_FEATURE = "read the frontend's feature"
    READ_GREF = "read the grant reference"
    READ_PORT = "read the port"
    MAP = "map the page"
    BIND = "bind the port"
    LOOK_FIRST = "look for a request that a predecessor has left"
    CONNECTED = "become Connected"
    CHECK_GREF = "read the grant reference again"
    CHECK_PORT = "read the port again"
    CLOSING = "become Closing"
    CLOSED = "become Closed"
    STOP = "abandon the command"
    UNBIND = "close the port"
    UNMAP = "unmap the page"
    DOWN = "closed"
    LOOK = "look at the state"
    REST = "wait for a request"
    SAMPLE = "sample the header"
    FETCH = "fetch the packet"
    DRAIN = "wait for the end of a command that nobody waits for"
    EXECUTE = "start the TPM"
    WORKING = "wait for the TPM"
    LOOK_BUSY = "look for a cancel"
    ABORT = "stop the TPM"
    PUT_PACKET = "store the response"
    PUT_LENGTH = "store the length"
    PUT_FINISH = "store FINISH"
    PUT_IDLE = "store IDLE"
    RING = "notify of the answer"


#: The steps in which a change of a watched node is looked at once.
_WAITING = frozenset({Step.WAIT_FRONTEND, Step.REST, Step.DRAIN, Step.WORKING})


@dataclass(frozen=True)
class Backend(Machine):
    """
    One backend of one device.

    :param place: whose backend it is.
    :param family: the TPM behind it, in whose words it refuses a request.
    :param localities: what it grants to its frontend.
    :param shown: the state that it has written last.
    :param gref: the grant reference that it has mapped, 0 while not connected.
    :param remote: the frontend's port that its own ``port`` is bound to.
    :param late: its frontend was Connected before it came.
    :param left: there was a request in the page then; nobody knows how far it had come.
    :param header: the request's header, sampled once.
    :param response: what to answer, ``None`` while the TPM works.
    :param done: whether the TPM has come to an end.
    :param tpm_busy: whether the TPM works on a command.
    :param orphaned: that command is of a connection that has ended.
    :param unseen_event: an event came while it was busy with another step.
    :param unseen_change: a watched node changed while it was busy.
    :param leaving: it closes once its frontend has.
    """

    role = Role.BACKEND

    place: Place = Place()
    family: Family = Family.TPM20
    localities: frozenset[int] = frozenset({0})
    step: Step = Step.WATCH
    shown: XenbusState = XenbusState.UNKNOWN
    gref: int = 0
    remote: int = 0
    port: int = 0
    late: bool = False
    left: bool = False
    header: Header = Header()
    packet: bytes = b""
    response: bytes | None = None
    done: bool = False
    aborted: bool = False
    tpm_busy: bool = False
    orphaned: bool = False
    unseen_event: bool = False
    unseen_change: bool = False
    leaving: bool = False

    @property
    def down(self) -> bool:
        """Whether it has closed and holds nothing any more."""
        return self.step is Step.DOWN

    @property
    def leaves(self) -> bool:
        """Whether it closes or has closed."""
        return self.leaving or self.down

    @property
    def ready(self) -> bool:
        """Whether it offers the device and waits for a frontend, or serves one."""
        return self.step in _WAITING

    def close(self) -> Self:
        """Close the device: ask the frontend to go, and go when it has."""
        if self.leaving or self.down:
            return self
        return replace(self, leaving=True).changed("")

    def reopen(self) -> Self:
        """Offer the device again; only once it is ``down``."""
        return replace(self, step=Step.FEATURE, leaving=False) if self.down else self

    def event(self) -> Self:
        """An event arrived on the port."""
        if self.step is Step.REST:
            return self._go(Step.LOOK)
        if self.step is Step.WORKING:
            return self._go(Step.LOOK_BUSY)
        return replace(self, unseen_event=True)

    def changed(self, path: str) -> Self:
        """The watched node ``path`` changed."""
        if self.step in _WAITING:
            return self._go(Step.READ_FRONTEND)
        return self if self.down else replace(self, unseen_change=True)

    def completed(self, response: bytes | None) -> Self:
        """
        The TPM has come to an end.

        :param response: its response; ``None`` when it gave the command up.
        """
        if self.orphaned:
            free = replace(self, tpm_busy=False, orphaned=False)
            return free._go(Step.EXECUTE) if free.step is Step.DRAIN else free
        after = replace(self, response=response, done=True, tpm_busy=False)
        return after._working() if self.step is Step.WORKING else after

    # Waiting: for a frontend, for a request, for the TPM.

    def _look_again(self) -> Self:
        return replace(self, step=Step.READ_FRONTEND, unseen_change=False)

    def _wait_frontend(self) -> Self:
        if self.unseen_change:
            return self._look_again()
        closed = self.leaving and self.shown is XenbusState.CLOSED
        return self._go(Step.DOWN if closed else Step.WAIT_FRONTEND)

    def _rest(self) -> Self:
        """Wait for a request, unless something has come in the meantime."""
        if self.unseen_change:
            return self._forget()._look_again()
        after = self._forget()
        return replace(
            after, step=Step.LOOK if self.unseen_event else Step.REST, unseen_event=False
        )

    def _forget(self) -> Self:
        """The request is over."""
        return replace(self, header=Header(), packet=b"", response=None, done=False, aborted=False)

    def _working(self) -> Self:
        """Let the TPM work, and wait for it, unless something has come."""
        if self.done:
            return self._reply(self.response)
        if self.unseen_change:
            return self._look_again()
        if not self.tpm_busy or self.orphaned:
            return self._go(Step.DRAIN if self.orphaned else Step.EXECUTE)
        if self.unseen_event:
            return replace(self, step=Step.LOOK_BUSY, unseen_event=False)
        return self._go(Step.WORKING)

    # The connection.

    def _see_frontend(self, text: str | None) -> Self:
        state = parse_number(text)
        if state in FRONTEND_READY:
            if self.gref:
                return self._go(Step.CHECK_GREF)
            if self.shown is XenbusState.CLOSED:
                return self._go(Step.READ_ONLINE)  # it offers the device anew, if it is to stay
            return replace(self, step=Step.READ_FEATURE, late=state == XenbusState.CONNECTED)
        if text is not None and state not in FRONTEND_GONE:
            return self._resume()
        return self._let_go() if self.gref else self._go(Step.READ_ONLINE)

    def _resume(self) -> Self:
        """Go on as before the look at the frontend."""
        if not self.gref:
            return self._wait_frontend()
        return self._working() if self.packet else self._rest()

    def _let_go(self) -> Self:
        """End the connection; what the TPM still works on, nobody waits for."""
        after = replace(self._forget(), unseen_event=False, orphaned=self.tpm_busy)
        return after._go(Step.STOP if after.tpm_busy else Step.UNBIND)

    def _see_online(self, text: str | None) -> Self:
        """Whether the device is to stay; a toolstack that takes it away says so there."""
        leaves = text == "0" or self.leaving
        if self.gref:
            told = self.shown is XenbusState.CLOSING
            return self._go(Step.CLOSING) if leaves and not told else self._resume()
        wanted = XenbusState.CLOSED if leaves else XenbusState.INIT_WAIT
        if self.shown is wanted:
            return self._wait_frontend()
        return self._go(Step.CLOSED if wanted is XenbusState.CLOSED else Step.INIT_WAIT)

    def _shows(self, state: XenbusState) -> Self:
        return replace(self, shown=state)

    def _see_feature(self, text: str | None) -> Self:
        return self._go(Step.READ_GREF if text == FEATURE_VALUE else Step.CLOSED)

    def _see_gref(self, text: str | None) -> Self:
        gref = parse_number(text)
        return self._fail() if gref is None else replace(self, step=Step.READ_PORT, gref=gref)

    def _see_port(self, text: str | None) -> Self:
        port = parse_number(text)
        return self._fail() if port is None else replace(self, step=Step.MAP, remote=port)

    def _mapped(self, possible: bool) -> Self:
        return self._go(Step.BIND) if possible else self._fail()

    def _bound(self, port: int | None) -> Self:
        if port is None:
            return self._go(Step.UNMAP)
        return replace(self, step=Step.LOOK_FIRST if self.late else Step.CONNECTED, port=port)

    def _begin(self) -> Self:
        """Look for a request; one that was left gets IDLE, and a frontend that waits an event."""
        if not self.late:
            return self._go(Step.LOOK)
        return replace(self, step=Step.PUT_IDLE if self.left else Step.RING, late=False, left=False)

    def _fail(self) -> Self:
        return replace(self, step=Step.CLOSED, gref=0)

    def _unmapped(self) -> Self:
        """A page without a port has never been connected."""
        step = Step.READ_ONLINE if self.port else Step.CLOSED
        return replace(self, step=step, gref=0, remote=0, port=0)

    def _check(self, text: str | None, used: int, right: Step) -> Self:
        """A frontend that has published other numbers has begun anew."""
        number = parse_number(text)
        if number not in (None, used):
            return self._let_go()
        return self._go(right)

    # One request.

    def _see_state(self, raw: bytes) -> Self:
        after = replace(self, unseen_event=False)
        if raw[0] == State.CANCEL:
            return after._go(Step.PUT_IDLE)
        return after._go(Step.SAMPLE) if raw[0] == State.SUBMIT else after._rest()

    def _see_header(self, raw: bytes) -> Self:
        header = Header.unpack(raw)
        after = replace(self, header=header)
        if header.state == State.CANCEL:
            return after._go(Step.PUT_IDLE)
        if HEADER_SIZE <= header.length <= page.capacity(header.nr_extra_pages):
            return after._go(Step.FETCH)
        return after._refuse()

    def _see_packet(self, raw: bytes) -> Self:
        if not is_well_formed(raw):
            return self._refuse()
        if self.header.locality not in self.localities:
            return self._reply(error_response(self.family, CODES[self.family].locality))
        return replace(self, packet=raw)._working()

    def _see_cancel(self, raw: bytes) -> Self:
        if raw[0] == State.CANCEL and not self.aborted and not self.done:
            return replace(self, step=Step.ABORT, aborted=True)
        return self._working()

    def _refuse(self) -> Self:
        return self._reply(error_response(self.family, CODES[self.family].size))

    def _reply(self, response: bytes | None) -> Self:
        """Answer with ``response``, with IDLE for none, with an error if it cannot be sent."""
        if response is None:
            return self._go(Step.PUT_IDLE)
        if len(response) > page.capacity(self.header.nr_extra_pages):
            response = error_response(self.family, CODES[self.family].size)
        elif not is_well_formed(response):
            response = error_response(self.family, CODES[self.family].failure)
        return replace(self, step=Step.PUT_PACKET, response=response)

    @property
    def _offset(self) -> int:
        return page.packet_offset(self.header.nr_extra_pages)

    def _length(self) -> bytes:
        return len(self.response or b"").to_bytes(page.LENGTH.size, "little")


def _becomes(state: XenbusState, after: Callable[[Backend], Backend]) -> Row:
    """A row that writes ``state``, and goes on with ``after``."""
    return lambda be: be._become(state), lambda be, _: after(be._shows(state))


_PROGRAM: dict[Step, Row] = {
    Step.WATCH: (lambda be: WatchNode(be._peers("state")), then(Step.WATCH_ONLINE)),
    Step.WATCH_ONLINE: (lambda be: WatchNode(be._own("online")), then(Step.FEATURE)),
    Step.FEATURE: (
        lambda be: be._write("feature-protocol-v2", FEATURE_VALUE),
        then(Step.INIT_WAIT),
    ),
    Step.INIT_WAIT: _becomes(XenbusState.INIT_WAIT, lambda be: be._go(Step.READ_FRONTEND)),
    Step.READ_FRONTEND: (lambda be: be._read_peer("state"), Backend._see_frontend),
    Step.READ_ONLINE: (lambda be: ReadNode(be._own("online")), Backend._see_online),
    Step.READ_FEATURE: (lambda be: be._read_peer("feature-protocol-v2"), Backend._see_feature),
    Step.READ_GREF: (lambda be: be._read_peer("ring-ref"), Backend._see_gref),
    Step.READ_PORT: (lambda be: be._read_peer("event-channel"), Backend._see_port),
    Step.MAP: (lambda be: Map(be.place.frontend_id, be.gref), Backend._mapped),
    Step.BIND: (lambda be: Bind(be.place.frontend_id, be.remote), Backend._bound),
    Step.LOOK_FIRST: (
        lambda be: load_state(),
        lambda be, raw: replace(
            be, step=Step.CONNECTED, left=raw[0] in (State.SUBMIT, State.CANCEL)
        ),
    ),
    Step.CONNECTED: _becomes(XenbusState.CONNECTED, Backend._begin),
    Step.CHECK_GREF: (
        lambda be: be._read_peer("ring-ref"),
        lambda be, text: be._check(text, be.gref, Step.CHECK_PORT),
    ),
    Step.CHECK_PORT: (
        lambda be: be._read_peer("event-channel"),
        lambda be, text: be._check(text, be.remote, Step.READ_ONLINE),
    ),
    Step.CLOSING: _becomes(XenbusState.CLOSING, Backend._resume),
    Step.CLOSED: _becomes(XenbusState.CLOSED, Backend._wait_frontend),
    Step.STOP: (lambda be: Abort(), then(Step.UNBIND)),
    Step.UNBIND: (lambda be: Unbind(be.port), then(Step.UNMAP)),
    Step.UNMAP: (lambda be: Unmap(be.gref), lambda be, _: be._unmapped()),
    Step.LOOK: (lambda be: load_state(), Backend._see_state),
    Step.SAMPLE: (lambda be: Load(0, page.HEADER_SIZE), Backend._see_header),
    Step.FETCH: (lambda be: Load(be._offset, be.header.length), Backend._see_packet),
    Step.EXECUTE: (
        lambda be: Execute(be.packet, be.header.locality),
        lambda be, _: replace(be, tpm_busy=True)._working(),
    ),
    Step.LOOK_BUSY: (lambda be: load_state(), Backend._see_cancel),
    Step.ABORT: (lambda be: Abort(), lambda be, _: be._working()),
    Step.PUT_PACKET: (lambda be: Store(be._offset, be.response or b""), then(Step.PUT_LENGTH)),
    Step.PUT_LENGTH: (lambda be: Store(page.LENGTH.offset, be._length()), then(Step.PUT_FINISH)),
    Step.PUT_FINISH: (lambda be: store_state(State.FINISH), then(Step.RING)),
    Step.PUT_IDLE: (lambda be: store_state(State.IDLE), then(Step.RING)),
    Step.RING: (lambda be: Notify(), lambda be, _: be._rest()),
}

Backend.program = _PROGRAM
