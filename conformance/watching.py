# SPDX-License-Identifier: MIT
"""
Between a real frontend and a real backend: the judge hands on what each of them does.

To the frontend it is the backend, to the backend the frontend.  Each half is a link
with a trace of its own, in which the judge's part is that of the other half; so both are
judged as any trace is.  What the two would do to each other in the same instant is not
seen here: there is always one hand in between.

Standard library only, so that it also runs in a lab's dom0.
"""

import select
import time
from collections.abc import Callable
from pathlib import Path

from conformance.errors import AdapterError
from conformance.links.connection import Connection
from conformance.links.xen import XenLink
from conformance.recorder import Recorder
from vtpm_ref import page
from vtpm_ref.page import Header
from vtpm_ref.states import CANCEL, FINISH, FRONTEND, IDLE, SUBMIT, Role
from vtpm_ref.steps import parse_number
from vtpm_ref.xenbus import FEATURE_VALUE, PUBLISHED, XenbusState

#: Bytes of the page that a redacted trace shows: the header and that of the packet.
SHOWN = page.HEADER_SIZE + 10

#: What such a trace adds to its evidence.
REDACTED = {"bodies": "none"}

_FEATURE = PUBLISHED[2]


class RedactingRecorder(Recorder):
    """
    Records the page without what the TPM packets say.

    Everything behind the packet's own header is recorded as zero, whoever stored it.
    """

    def load(self, by: str, at: int, data: bytes, connection: int = 0) -> None:
        """See ``Recorder.load``."""
        super().load(by, at, redacted(at, data), connection)

    def store(self, by: str, at: int, data: bytes, connection: int = 0) -> None:
        """See ``Recorder.store``."""
        super().store(by, at, redacted(at, data), connection)

    def sample(self, page: bytes, connection: int = 0) -> None:
        """See ``Recorder.sample``."""
        super().sample(redacted(0, page), connection)


def redacted(at: int, data: bytes) -> bytes:
    """``data`` of the page at offset ``at``, with zeroes for what is not shown."""
    shown = max(0, min(len(data), SHOWN - at))
    return data[:shown] + bytes(len(data) - shown)


class Watcher:
    """
    The hand in between.

    :param front: the link whose target is the frontend.
    :param back: the link whose target is the backend.
    """

    def __init__(self, front: XenLink, back: XenLink) -> None:
        self._front, self._back = front, back
        self._pending = False

    def connect(self, limit: float) -> None:
        """
        Meet both; the frontend is served from the moment that its page is there.

        :raises AdapterError: one of them does not come within ``limit`` seconds.
        """
        front, back = self._front.first, self._back.first
        front.write({_FEATURE: FEATURE_VALUE})
        _set_state(front, XenbusState.INIT_WAIT)
        gref, port = back.grant_page(), back.allocate_port()
        nodes = {PUBLISHED[0]: str(gref), PUBLISHED[1]: str(port), _FEATURE: FEATURE_VALUE}
        back.write(nodes, transaction=True)
        _set_state(back, XenbusState.INITIALISED)
        self._until(lambda: _state(back) == XenbusState.CONNECTED, limit, "the backend")
        _set_state(back, XenbusState.CONNECTED)
        ready = (XenbusState.INITIALISED, XenbusState.CONNECTED)
        self._until(lambda: _state(front) in ready, limit, "the frontend's page")
        numbers = [parse_number(front.read(FRONTEND, name)) for name in PUBLISHED[:2]]
        if None in numbers or not (
            front.map_page(numbers[0] or 0) and front.bind_port(numbers[1] or 0)
        ):
            raise AdapterError("the frontend's page or port could not be used")
        front.sample()
        _set_state(front, XenbusState.CONNECTED)

    def serve(self, until: Callable[[], bool], limit: float) -> None:
        """Hand on whatever comes until ``until()``, or for ``limit`` seconds."""
        deadline = time.monotonic() + limit
        while not until() and time.monotonic() < deadline:
            self.step(0.02)

    def step(self, timeout: float) -> None:
        """Wait at most ``timeout`` seconds, and hand on what has come."""
        front, back = self._front.first, self._back.first
        if not (front.events or back.events):
            select.select([*self._front.fds(), *self._back.fds()], [], [], timeout)
        self._front.pump()
        self._back.pump()
        if front.events:
            front.events = 0
            self._from_front(front, back)
        if back.events:
            back.events = 0
            self._from_back(front, back)

    def _from_front(self, front: Connection, back: Connection) -> None:
        state = front.load(page.STATE.offset, 1)[0]
        front.sample()
        if state == SUBMIT and not self._pending:
            self._pending = True
            self._copy(front, back, state)
        elif state == CANCEL:
            back.store(page.STATE.offset, bytes([CANCEL]))
            back.notify()
            self._pending = True

    def _from_back(self, front: Connection, back: Connection) -> None:
        state = back.load(page.STATE.offset, 1)[0]
        back.sample()
        if self._pending and state in (IDLE, FINISH):
            self._pending = False
            self._copy(back, front, state)

    @staticmethod
    def _copy(source: Connection, target: Connection, state: int) -> None:
        """Packet and header first, the state last, then the event."""
        header = Header.unpack(source.load(0, page.HEADER_SIZE))
        at = page.packet_offset(header.nr_extra_pages)
        size = min(header.length, page.PAGE_SIZE - at)
        if state != IDLE and size:
            target.store(at, source.load(at, size))
        for field in (page.LENGTH, page.LOCALITY, page.PAD, page.NR_EXTRA_PAGES):
            frontends = field is not page.LENGTH
            if not (frontends and target.tester is not FRONTEND):
                target.store(field.offset, source.load(field.offset, field.size))
        target.store(page.STATE.offset, bytes([state]))
        target.notify()

    def _until(self, ready: Callable[[], bool], limit: float, awaited: str) -> None:
        deadline = time.monotonic() + limit
        while not ready():
            if time.monotonic() > deadline:
                raise AdapterError(f"waited {limit:g} s for {awaited}: in vain")
            fds = [*self._front.fds(), *self._back.fds()]
            select.select(fds, [], [], 0.05)
            self._front.pump()
            self._back.pump()


def _state(connection: Connection) -> int | None:
    return parse_number(connection.read(connection.judged, "state"))


def _set_state(connection: Connection, state: XenbusState) -> None:
    connection.write({"state": str(int(state))})


def trace_paths(folder: Path) -> dict[Role, Path]:
    """Where the trace of each half goes."""
    return {role: folder / f"watch-{role.value}.jsonl" for role in Role}
