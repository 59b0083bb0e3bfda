# SPDX-License-Identifier: MIT
"""
What a case can do to a target: play its peer, step by step, right or wrong.

Standard library and ``vtpm_ref`` only, so that a case can run wherever a link
can.  A tester never judges; what it does and sees goes into the trace.
"""

from collections.abc import Callable
from dataclasses import dataclass

from conformance.errors import SetupFailed, TargetSilent
from conformance.links.base import Link, Outcome
from vtpm_ref import packet, page
from vtpm_ref.packet import Family
from vtpm_ref.page import Header
from vtpm_ref.states import Role, State
from vtpm_ref.steps import parse_number
from vtpm_ref.xenbus import FEATURE_VALUE, PUBLISHED, XenbusState

#: Seconds, before the multiplier, for an answer to a command that every TPM does at once.
ANSWER_LIMIT = 2.0
#: Seconds, before the multiplier, for an event whose state is in the page already.
EVENT_LIMIT = 0.05
#: Seconds, before the multiplier, for the steps of connecting.
CONNECT_LIMIT = 5.0

_FEATURE = "feature-protocol-v2"


def get_random(family: Family, count: int = 16) -> bytes:
    """A GetRandom command for ``count`` bytes: quick and harmless on every TPM."""
    if family is Family.TPM20:
        return packet.build(0x8001, 0x17B, count.to_bytes(2, "big"))
    return packet.build(0xC1, 0x46, count.to_bytes(4, "big"))


def random_bytes(family: Family, count: int = 16) -> bytes:
    """A well-formed response to GetRandom."""
    width, tag = (2, 0x8001) if family is Family.TPM20 else (4, 0xC4)
    return packet.build(tag, 0, count.to_bytes(width, "big") + bytes(range(count)))


def resized(packet: bytes, size: int) -> bytes:
    """``packet`` cut or filled to ``size`` bytes, its header saying so."""
    sized = packet[:2] + size.to_bytes(4, "big") + packet[6:]
    return (sized + bytes(max(0, size - len(sized))))[:size]


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

    def write_state(self, value: int) -> None:
        """Store ``value`` to the page's ``state``."""
        self.link.store(page.STATE.offset, bytes([value]))

    def look(self) -> int:
        """Load the page's ``state``; if it is new, look at the page as well."""
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
            cause = self.link.exited or "silence"
            kind = SetupFailed if self.phase == "setup" else TargetSilent
            raise kind(f"waited for {awaited}: {cause}")

    def _peer_state(self) -> int | None:
        return parse_number(self.link.read(self.link.judged, "state"))

    def _need_state(self, *wanted: XenbusState, awaited: str, limit: float) -> None:
        """Wait for a state node of the target; told of changes by a watch."""
        changed = [True]
        path = self.link.place.path(self.link.judged, "state")
        self.link.store_.watch(self.link.domid, path, path, lambda *_: changed.append(True))

        def ready() -> bool:
            if not changed:
                return False
            changed.clear()
            return self._peer_state() in wanted

        try:
            self._need(ready, limit, awaited)
        finally:
            self.link.store_.unwatch(self.link.domid, path, path)

    def _state_or_silence(self, awaited: str) -> None:
        """Wait for a decision that the target may also never take."""
        wanted = (XenbusState.CONNECTED, XenbusState.CLOSING, XenbusState.CLOSED)
        path = self.link.place.path(self.link.judged, "state")
        store, domid = self.link.store_, self.link.domid
        changed = [True]
        store.watch(domid, path, path, lambda *_: changed.append(True))

        def ready() -> bool:
            if not changed:
                return False
            changed.clear()
            return self._peer_state() in wanted

        self.link.wait(ready, ANSWER_LIMIT * self.scale, awaited)
        store.unwatch(domid, path, path)

    def rest(self) -> None:
        """Let the target go on as far as it does without an event."""
        self.link.settle(ANSWER_LIMIT * self.scale)

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
        cause = link.exited or "silence"
        kind = SetupFailed if self.phase == "setup" else TargetSilent
        raise kind(f"waited for {awaited}: {cause}")


class FrontendTester(Tester):
    """Plays the frontend against a backend."""

    def publish(self, feature: str | None = FEATURE_VALUE) -> None:
        """Grant a page, allocate a port, and write the nodes in one transaction."""
        gref, port = self.link.grant_page(), self.link.allocate_port()
        nodes = {"ring-ref": str(gref), "event-channel": str(port)}
        if feature is not None:
            nodes[_FEATURE] = feature
        self.link.write(nodes, transaction=True)

    def set_state(self, state: XenbusState) -> None:
        """Write the frontend's own state node."""
        self.link.write({"state": str(int(state))})

    def wait_connected(self) -> None:
        """Wait until the backend is Connected."""
        self._need_state(
            XenbusState.CONNECTED, awaited="Connected of the backend", limit=CONNECT_LIMIT
        )

    def wait_decision(self) -> None:
        """Wait until the backend has connected or closed; it may do neither."""
        self._state_or_silence("a decision of the backend")

    def connect(self) -> None:
        """Go to Connected, the usual way."""
        self.publish()
        self.set_state(XenbusState.INITIALISED)
        self.wait_connected()
        self.set_state(XenbusState.CONNECTED)

    def prepare(self) -> None:
        """Connect, and show with two legal exchanges that the ground holds."""
        self.connect()
        self.exchange(get_random(self.family))
        self.exchange(get_random(self.family))

    def fence(self) -> None:
        """One legal exchange: what did not happen before its answer does not happen."""
        self._enter("fence")
        self.exchange(get_random(self.family))

    def exchange(self, request: bytes) -> Found:
        """Submit ``request`` and wait for its answer."""
        self.submit(request)
        return self.wait_answer()

    def submit(
        self,
        request: bytes,
        *,
        length: int | None = None,
        pad: int | None = None,
        grants: tuple[int, ...] = (),
        locality: int = 0,
        notify: bool = True,
    ) -> None:
        """
        Store ``request`` and its header, then SUBMIT, then notify.

        :param length: ``length`` to claim, if not that of the request.
        :param pad: value of ``pad``; left alone if not given.
        :param grants: entries of ``extra_pages`` to announce.
        :param locality: value of ``locality``.
        :param notify: whether the event follows, as it should.
        """
        link = self.link
        link.sample()
        link.events = 0
        listed = b"".join(gref.to_bytes(4, "little") for gref in grants)
        if listed or link.recorder.image(0)[page.NR_EXTRA_PAGES.offset]:
            link.store(page.NR_EXTRA_PAGES.offset, bytes([len(grants)]))
        room = page.capacity(len(grants))
        link.store(page.HEADER_SIZE, listed + request[:room])
        claimed = len(request) if length is None else length
        link.store(page.LENGTH.offset, claimed.to_bytes(4, "little"))
        if locality != link.recorder.image(0)[page.LOCALITY.offset]:
            link.store(page.LOCALITY.offset, bytes([locality]))
        if pad is not None:
            link.store(page.PAD.offset, bytes([pad]))
        self.write_state(State.SUBMIT)
        if notify:
            link.notify()

    def wait_answer(self) -> Found:
        """Wait for FINISH or IDLE and the event that goes with it."""
        state = self._need_event(lambda s: s in (State.IDLE, State.FINISH), "an answer")
        raw = self.link.load(0, page.HEADER_SIZE)
        header = Header.unpack(raw)
        at = page.packet_offset(header.nr_extra_pages)
        size = min(header.length, page.PAGE_SIZE - at)
        return Found(state, header, self.link.load(at, size) if size else b"")


class BackendTester(Tester):
    """Plays the backend against a frontend that takes orders."""

    def announce(self, feature: str | None = FEATURE_VALUE) -> None:
        """Write the feature node and go to InitWait."""
        if feature is not None:
            self.link.write({_FEATURE: feature})
        self.link.write({"state": str(int(XenbusState.INIT_WAIT))})

    def set_state(self, state: XenbusState) -> None:
        """Write the backend's own state node."""
        self.link.write({"state": str(int(state))})

    def wait_published(self) -> None:
        """Wait until the frontend is Initialised or Connected."""
        self._need_state(
            XenbusState.INITIALISED,
            XenbusState.CONNECTED,
            awaited="nodes of the frontend",
            limit=CONNECT_LIMIT,
        )

    def take_page(self) -> None:
        """Map the page and bind the port that the frontend has published."""
        numbers = [parse_number(self.link.read(Role.FRONTEND, name)) for name in PUBLISHED[:2]]
        gref, port = numbers
        mapped = gref is not None and self.link.map_page(gref)
        bound = port is not None and self.link.bind_port(port)
        if not (mapped and bound):
            raise SetupFailed("the frontend's ring-ref and event-channel could not be used")
        self.link.sample()

    def nudge(self) -> None:
        """Write one's own state again, and let the frontend take notice; twice."""
        for _ in range(2):
            self.set_state(XenbusState.INIT_WAIT)
            self.link.settle(ANSWER_LIMIT * self.scale, nodes=True)

    def wait_connected(self) -> None:
        """Wait until the frontend is Connected."""
        self._need_state(
            XenbusState.CONNECTED, awaited="Connected of the frontend", limit=CONNECT_LIMIT
        )

    def wait_decision(self) -> None:
        """Wait until the frontend has connected or closed; it may do neither."""
        self._state_or_silence("a decision of the frontend")

    def connect(self) -> None:
        """Go to Connected, the usual way, and see the frontend follow."""
        self.announce()
        self.wait_published()
        self.take_page()
        self.set_state(XenbusState.CONNECTED)
        self.wait_connected()

    def prepare(self) -> None:
        """Connect, and show with two legal exchanges that the ground holds."""
        self.connect()
        self.exchange()
        self.exchange()

    def fence(self) -> None:
        """One legal exchange: what did not happen before its answer does not happen."""
        self._enter("fence")
        self.exchange()

    def order(self, request: bytes | None = None, locality: int = 0) -> int:
        """Order the frontend to send ``request``; return the order's number."""
        if request is None:
            request = get_random(self.family)
        return self.link.order("send", request, locality)

    def cancel(self) -> None:
        """Order the frontend to cancel."""
        self.link.order("cancel")

    def exchange(self, response: bytes | None = None) -> Outcome:
        """Order a request, answer it, and wait for the order's result."""
        number = self.order()
        self.wait_request()
        self.rest()
        self.answer(response)
        return self.wait_result(number)

    def wait_request(self, unless: Callable[[], bool] | None = None) -> Found:
        """Wait for SUBMIT and the event that goes with it; or, without them, ``unless``."""
        state = self._need_event(lambda s: s == State.SUBMIT, "a request", unless)
        header = Header.unpack(self.link.load(0, page.HEADER_SIZE))
        at = page.packet_offset(header.nr_extra_pages)
        size = min(header.length, page.PAGE_SIZE - at)
        return Found(state, header, self.link.load(at, size) if size else b"")

    def wait_cancel(self) -> None:
        """Wait for CANCEL and the event that goes with it."""
        self._need_event(lambda s: s == State.CANCEL, "a CANCEL")

    def answer(self, response: bytes | None = None, *, length: int | None = None) -> None:
        """Store ``response`` and ``length``, then FINISH, then notify."""
        if response is None:
            response = random_bytes(self.family)
        link = self.link
        link.sample()
        at = page.packet_offset(link.recorder.image(0)[page.NR_EXTRA_PAGES.offset])
        link.store(at, response[: page.PAGE_SIZE - at])
        claimed = len(response) if length is None else length
        link.store(page.LENGTH.offset, claimed.to_bytes(4, "little"))
        self.write_state(State.FINISH)
        link.notify()

    def answer_idle(self) -> None:
        """Give the request up: IDLE, then notify."""
        self.link.sample()
        self.write_state(State.IDLE)
        self.link.notify()

    def answer_order(self, number: int) -> None:
        """Answer the request of order ``number``, unless the frontend refuses it."""
        results = self.link.results
        self.wait_request(unless=lambda: number in results)
        if number not in results:
            self.answer()
            self.wait_result(number)

    def wait_result(self, number: int) -> Outcome:
        """Wait until the frontend reports on order ``number``."""
        results = self.link.results
        self._need(lambda: number in results, ANSWER_LIMIT, "a result")
        return results[number]
