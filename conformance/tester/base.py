# SPDX-License-Identifier: MIT
"""
What both testers share: phases, waiting, nodes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from conformance.errors import SetupFailed, TargetSilent
from conformance.links.connection import Connection
from vtpm_ref import page
from vtpm_ref.packet import Family
from vtpm_ref.page import Header
from vtpm_ref.steps import parse_number
from vtpm_ref.xenbus import XenbusState

#: Seconds, before the multiplier, for an answer to a command that every TPM does at once.
ANSWER_LIMIT = 2.0
#: The same while a command is, or may be, at work that a TPM takes long for.
WORK_LIMIT = 30.0
#: Seconds, before the multiplier, for an event whose state is in the page already.
EVENT_LIMIT = 0.05
#: Seconds, before the multiplier, for the steps of connecting.
CONNECT_LIMIT = 5.0

#: The states that say whether a target connects.
DECIDED = (XenbusState.CONNECTED, XenbusState.CLOSING, XenbusState.CLOSED)

#: The node that names the protocol.
FEATURE = "feature-protocol-v2"


@dataclass(frozen=True)
class Found:
    """A request or response as the tester found it in the page."""

    state: int
    header: Header
    packet: bytes


class Tester:
    """
    What both testers share: phases, waiting, nodes.

    :param scale: multiplier of every limit, for slow machines.
    """

    def __init__(self, connection: Connection, scale: float = 1.0) -> None:
        self.connection = connection
        self.scale = scale
        self.phase = "setup"

    @property
    def family(self) -> Family:
        """The TPM that the target speaks."""
        return self.connection.family

    def stimulus(self) -> None:
        """From here on the case does what its clause is about."""
        self._enter("stimulus")

    def expire(self) -> bool:
        """Let the target's deadline pass; ``False`` where only time itself can do that."""
        return self.connection.link.expire()

    def notify(self) -> None:
        """Send the target an event."""
        self.connection.notify()

    def set_state(self, state: XenbusState) -> None:
        """Write one's own state node."""
        self.connection.write({"state": str(int(state))})

    def write_state(self, value: int) -> None:
        """Store ``value`` to the page's ``state``."""
        self.connection.store(page.STATE.offset, bytes([value]))

    def write_extra_pages(self, count: int) -> None:
        """Store ``count`` to ``nr_extra_pages``, whoever the page belongs to."""
        self.connection.store(page.NR_EXTRA_PAGES.offset, bytes([count]))

    def let_notice(self) -> None:
        """Let the target take notice of nodes that have changed."""
        self.connection.settle(ANSWER_LIMIT * self.scale, nodes=True)

    def look(self) -> int:
        """Load the page's ``state``."""
        return self.connection.load(page.STATE.offset, 1)[0]

    def provoke(self) -> None:
        """
        Send an event and let the target take it; then the same again.

        A target that has taken the second has done with the first.
        """
        for _ in range(2):
            self.connection.notify()
            self.connection.settle(ANSWER_LIMIT * self.scale)

    def _enter(self, phase: str) -> None:
        self.phase = phase
        self.connection.recorder.event("phase", name=phase)

    def _need(
        self, ready: Callable[[], bool], limit: float, awaited: str, *, eager: bool = False
    ) -> None:
        """Wait for what the target owes; without it the case is over."""
        if not self.connection.wait(ready, limit * self.scale, awaited, eager=eager):
            raise self._in_vain(awaited)

    def _in_vain(self, awaited: str) -> Exception:
        """What ends a case in which ``awaited`` did not come."""
        kind = SetupFailed if self.phase == "setup" else TargetSilent
        return kind(f"waited for {awaited}: {self.connection.exited or 'silence'}")

    def _peer_state(self) -> int | None:
        return parse_number(self.connection.read(self.connection.judged, "state"))

    def _need_state(self, *wanted: XenbusState, awaited: str, limit: float) -> None:
        """Wait for a state node that the target owes."""
        with self._target_state(wanted) as ready:
            self._need(ready, limit, awaited)

    @contextmanager
    def _target_state(self, wanted: tuple[XenbusState, ...]) -> Iterator[Callable[[], bool]]:
        """Whether the target's state node is a wanted one; read only when it has changed."""
        connection, changed = self.connection, [True]
        path = connection.place.path(connection.judged, "state")

        def ready() -> bool:
            if not changed:
                return False
            changed.clear()
            return self._peer_state() in wanted

        connection.link.store_.watch(connection.domid, path, path, lambda *_: changed.append(True))
        try:
            yield ready
        finally:
            connection.link.store_.unwatch(connection.domid, path, path)

    def rest(self) -> None:
        """Let the target go on as far as it does without an event."""
        self.connection.settle(ANSWER_LIMIT * self.scale)

    def _answer_limit(self) -> float:
        """Seconds, before the multiplier, for what is awaited now."""
        return ANSWER_LIMIT

    def _found(self, state: int) -> Found:
        """What lies in the page, with its header, as a peer loads it."""
        header = Header.unpack(self.connection.load(0, page.HEADER_SIZE))
        at = page.packet_offset(header.nr_extra_pages)
        size = min(header.length, page.PAGE_SIZE - at)
        return Found(state, header, self.connection.load(at, size) if size else b"")

    def _need_event(
        self, ready: Callable[[int], bool], awaited: str, unless: Callable[[], bool] | None = None
    ) -> int:
        """
        Wait until the page's state suits ``ready``, and return it.

        The target owes an event as well.  When that is missing the silence is
        recorded, and the state counts all the same.

        :param unless: ends the wait as well; nothing is owed then.
        """
        connection = self.connection

        def event_and_state() -> bool:
            if unless is not None and unless():
                return True
            if not connection.events:
                return False
            connection.events = 0
            return ready(self.look())

        limit = self._answer_limit() * self.scale
        if connection.wait(event_and_state, limit, "an event"):
            connection.sample()
            return connection.image[page.STATE.offset]
        state = self.look()
        connection.sample()
        if ready(state):
            # Where stores are only sampled, the trace knows the state from here on.
            connection.wait(lambda: connection.events > 0, EVENT_LIMIT * self.scale, "an event")
            return state
        connection.silence(awaited, limit)
        raise self._in_vain(awaited)
