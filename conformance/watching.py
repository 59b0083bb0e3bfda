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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from conformance.errors import AdapterError, Interrupted
from conformance.links.connection import Connection
from conformance.links.xen import XenLink
from conformance.meeting import Meeting
from conformance.recorder import Recorder
from vtpm_ref import page
from vtpm_ref.page import Header
from vtpm_ref.states import CANCEL, FINISH, FRONTEND, IDLE, SUBMIT, Role

#: Bytes of the page that a redacted trace shows: the header and that of the packet.
SHOWN = page.HEADER_SIZE + 10

#: What such a trace adds to its evidence.
REDACTED = {"bodies": "none"}


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

    :ivar meeting: how far both have come to each other.
    """

    def __init__(self, front: XenLink, back: XenLink) -> None:
        self._front, self._back = front, back
        self.meeting = Meeting(front, back)

    def connect(self, limit: float) -> None:
        """
        Hand on what both do until they have connected.

        :raises AdapterError: one of them does not come within ``limit`` seconds.
        """
        self.serve(lambda: self.meeting.together, limit)
        if not self.meeting.together:
            raise AdapterError(f"waited {limit:g} s for {self.meeting.awaited}: in vain")

    def serve(self, until: Callable[[], bool], limit: float) -> None:
        """Hand on whatever comes until ``until()``, or for ``limit`` seconds."""
        deadline = time.monotonic() + limit
        while not until() and time.monotonic() < deadline:
            self.step(0.02)

    def step(self, timeout: float) -> None:
        """Wait at most ``timeout`` seconds, and hand on what has come."""
        front, back = self._front.first, self._back.first
        if not (self.meeting.together and (front.events or back.events)):
            select.select([*self._front.fds(), *self._back.fds()], [], [], timeout)
        self._front.pump()
        self._back.pump()
        if self.meeting.together and front.events:
            front.events = 0
            self._from_front(front, back)
        if self.meeting.together and back.events:
            back.events = 0
            self._from_back(front, back)
        self.meeting.follow()

    def _from_front(self, front: Connection, back: Connection) -> None:
        state = front.load(page.STATE.offset, 1)[0]
        front.sample()
        if state == SUBMIT and not self.meeting.pending:
            self.meeting.pending = True
            self._copy(front, back, state)
        elif state == CANCEL:
            back.store(page.STATE.offset, bytes([CANCEL]))
            back.notify()
            self.meeting.pending = True

    def _from_back(self, front: Connection, back: Connection) -> None:
        state = back.load(page.STATE.offset, 1)[0]
        back.sample()
        if self.meeting.pending and state in (IDLE, FINISH):
            self.meeting.pending = False
            self._copy(back, front, state)

    @staticmethod
    def _copy(source: Connection, target: Connection, state: int) -> None:
        """Packet and header first, the state last, then the event."""
        raw = source.load(0, page.HEADER_SIZE)
        header = Header.unpack(raw)
        at = page.packet_offset(header.nr_extra_pages)
        size = min(header.length, page.PAGE_SIZE - at)
        if state != IDLE and size:
            target.store(at, source.load(at, size))
        theirs = (page.LOCALITY, page.PAD, page.NR_EXTRA_PAGES) if source.judged is FRONTEND else ()
        for field in (page.LENGTH, *theirs):
            target.store(field.offset, raw[field.offset : field.offset + field.size])
        target.store(page.STATE.offset, bytes([state]))
        target.notify()


@contextmanager
def between(front: XenLink, back: XenLink, limit: float) -> Iterator[Watcher]:
    """
    Start both links and stand between them, once both have connected; at the end stop both.

    :raises AdapterError: one does not start, or they do not connect within ``limit`` seconds.
    :raises Interrupted: somebody ends it before.
    """
    with ExitStack() as stack:
        try:
            for link in (back, front):
                stack.callback(link.stop)
                link.start()
            for link in (back, front):
                link.recorder.event("target", tpm=back.family.value, can="")
            watcher = Watcher(front, back)
            watcher.connect(limit)
        except KeyboardInterrupt:
            raise Interrupted("interrupted before both had connected: nothing to judge") from None
        yield watcher


def trace_paths(folder: Path) -> dict[Role, Path]:
    """Where the trace of each half goes."""
    return {role: folder / f"watch-{role.value}.jsonl" for role in Role}
