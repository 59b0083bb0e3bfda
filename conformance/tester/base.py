# SPDX-License-Identifier: MIT
"""
What both testers share: phases, waiting, nodes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from conformance.errors import SetupFailed, TargetSilent
from conformance.links.base import Link
from vtpm_ref import page
from vtpm_ref.packet import Family
from vtpm_ref.page import Header
from vtpm_ref.steps import parse_number
from vtpm_ref.xenbus import XenbusState

#: Seconds, before the multiplier, for an answer to a command that every TPM does at once.
ANSWER_LIMIT = 2.0
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

    def __init__(self, link: Link, scale: float = 1.0) -> None:
        self.link = link
        self.scale = scale
        self.phase = "setup"

    @property
    def family(self) -> Family:
        """The TPM that the target speaks."""
        return self.link.family

    def stimulus(self) -> None:
        """From here on the case does what its clause is about."""
        self._enter("stimulus")

    def notify(self) -> None:
        """Send the target an event."""
        self.link.notify()

    def set_state(self, state: XenbusState) -> None:
        """Write one's own state node."""
        self.link.write({"state": str(int(state))})

    def write_state(self, value: int) -> None:
        """Store ``value`` to the page's ``state``."""
        self.link.store(page.STATE.offset, bytes([value]))

    def look(self) -> int:
        """Load the page's ``state``."""
        return self.link.load(page.STATE.offset, 1)[0]

    def provoke(self) -> None:
        """
        Send an event and let the target take it; then the same again.

        A target that has taken the second has done with the first.
        """
        for _ in range(2):
            self.link.notify()
            self.link.settle(ANSWER_LIMIT * self.scale)

    def _enter(self, phase: str) -> None:
        self.phase = phase
        self.link.recorder.event("phase", name=phase)

    def _need(self, ready: Callable[[], bool], limit: float, awaited: str) -> None:
        """Wait for what the target owes; without it the case is over."""
        if not self.link.wait(ready, limit * self.scale, awaited):
            raise self._in_vain(awaited)

    def _in_vain(self, awaited: str) -> Exception:
        """What ends a case in which ``awaited`` did not come."""
        kind = SetupFailed if self.phase == "setup" else TargetSilent
        return kind(f"waited for {awaited}: {self.link.exited or 'silence'}")

    def _peer_state(self) -> int | None:
        return parse_number(self.link.read(self.link.judged, "state"))

    def _need_state(self, *wanted: XenbusState, awaited: str, limit: float) -> None:
        """Wait for a state node that the target owes."""
        with self._target_state(wanted) as ready:
            self._need(ready, limit, awaited)

    @contextmanager
    def _target_state(self, wanted: tuple[XenbusState, ...]) -> Iterator[Callable[[], bool]]:
        """Whether the target's state node is a wanted one; read only when it has changed."""
        link, changed = self.link, [True]
        path = link.place.path(link.judged, "state")

        def ready() -> bool:
            if not changed:
                return False
            changed.clear()
            return self._peer_state() in wanted

        link.store_.watch(link.domid, path, path, lambda *_: changed.append(True))
        try:
            yield ready
        finally:
            link.store_.unwatch(link.domid, path, path)

    def rest(self) -> None:
        """Let the target go on as far as it does without an event."""
        self.link.settle(ANSWER_LIMIT * self.scale)

    def _found(self, state: int) -> Found:
        """What lies in the page, with its header, as a peer loads it."""
        header = Header.unpack(self.link.load(0, page.HEADER_SIZE))
        at = page.packet_offset(header.nr_extra_pages)
        size = min(header.length, page.PAGE_SIZE - at)
        return Found(state, header, self.link.load(at, size) if size else b"")

    def _need_event(
        self, ready: Callable[[int], bool], awaited: str, unless: Callable[[], bool] | None = None
    ) -> int:
        """
        Wait until the page's state suits ``ready``, and return it.

        The target owes an event as well.  When that is missing the silence is
        recorded, and the state counts all the same.

        :param unless: ends the wait as well; nothing is owed then.
        """
        link = self.link

        def event_and_state() -> bool:
            if unless is not None and unless():
                return True
            if not link.events:
                return False
            link.events = 0
            return ready(self.look())

        limit = ANSWER_LIMIT * self.scale
        if link.wait(event_and_state, limit, "an event"):
            link.sample()
            return link.recorder.image(0)[page.STATE.offset]
        state = self.look()
        link.sample()
        if ready(state):
            # Where stores are only sampled, the trace knows the state from here on.
            link.wait(lambda: link.events > 0, EVENT_LIMIT * self.scale, "an event")
            return state
        link.silence(awaited, limit)
        raise self._in_vain(awaited)
