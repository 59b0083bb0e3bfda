# SPDX-License-Identifier: MIT
"""
The tester that plays the backend, against a frontend that takes orders.
"""

from collections.abc import Callable
from itertools import count

from conformance.errors import SetupFailed
from conformance.links.base import Outcome
from conformance.links.connection import Connection
from conformance.tester.base import (
    ANSWER_LIMIT,
    CONNECT_LIMIT,
    DECIDED,
    FEATURE,
    Found,
    Tester,
)
from conformance.tester.commands import asks_durations, get_random, own_answer, random_bytes
from vtpm_ref import page
from vtpm_ref.packet import is_well_formed
from vtpm_ref.states import CANCEL, FINISH, FRONTEND, IDLE, SUBMIT
from vtpm_ref.steps import parse_number
from vtpm_ref.xenbus import FEATURE_VALUE, PUBLISHED, XenbusState


class BackendTester(Tester):
    """Plays the backend against a frontend that takes orders."""

    def __init__(self, connection: Connection, scale: float = 1.0) -> None:
        super().__init__(connection, scale)
        self._ordered: dict[int, bytes] = {}
        self._told_durations = False

    def announce(self, feature: str | None = FEATURE_VALUE) -> None:
        """Write the feature node and go to InitWait."""
        if feature is not None:
            self.connection.write({FEATURE: feature})
        self.set_state(XenbusState.INIT_WAIT)

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
        numbers = [parse_number(self.connection.read(FRONTEND, name)) for name in PUBLISHED[:2]]
        gref, port = numbers
        mapped = gref is not None and self.connection.map_page(gref)
        bound = port is not None and self.connection.bind_port(port)
        if not (mapped and bound):
            raise SetupFailed("the frontend's ring-ref and event-channel could not be used")
        self.connection.sample()

    def nudge(self) -> None:
        """Write one's own state again, and let the frontend take notice; twice."""
        for _ in range(2):
            self.set_state(XenbusState.INIT_WAIT)
            self.let_notice()

    def wait_connected(self) -> None:
        """Wait until the frontend is Connected."""
        with self._target_state((XenbusState.CONNECTED,)) as ready:
            self._need(self._serving(ready), CONNECT_LIMIT, "Connected of the frontend")

    def wait_decision(self) -> None:
        """Wait until the frontend has connected or closed; it may do neither."""
        with self._target_state(DECIDED) as ready:
            awaited = "a decision of the frontend"
            self.connection.wait(self._serving(ready), ANSWER_LIMIT * self.scale, awaited)

    def connect(self) -> None:
        """Go to Connected, the usual way, and see the frontend follow."""
        self.announce()
        self.wait_published()
        self.take_page()
        self.set_state(XenbusState.CONNECTED)
        self.wait_connected()

    def let_go(self, state: XenbusState = XenbusState.INIT_WAIT) -> None:
        """Close the port, unmap the page, and go to InitWait, or to ``state``."""
        self.die()
        self.set_state(state)

    def die(self) -> None:
        """Lose page and port, and say nothing, as a backend that is killed."""
        self.connection.close_port()
        self.connection.unmap_page()

    def come_back(self) -> None:
        """Start anew after ``die``: announce, in time take the page that is published, connect."""
        self.announce()
        self.connection.settle(ANSWER_LIMIT * self.scale, nodes=True)
        self.take_page()
        self.set_state(XenbusState.CONNECTED)

    def wait_closed(self) -> None:
        """Wait until the frontend is Closed."""
        with self._target_state((XenbusState.CLOSED,)) as ready:
            self._need(self._serving(ready), CONNECT_LIMIT, "Closed of the frontend")

    def flood_until_closed(self) -> None:
        """Wait until the frontend is Closed, and send it event after event meanwhile."""
        turns = count()
        with self._target_state((XenbusState.CLOSED,)) as ready:

            def flooded() -> bool:
                closed = ready()
                if not closed and next(turns) % 2:  # in between it can go on
                    self.notify()
                return closed

            serving = self._serving(flooded)
            self._need(serving, CONNECT_LIMIT, "Closed of the frontend", eager=True)

    def wait_started(self) -> None:
        """Wait until a frontend that starts is Closed, or has published without that."""
        with self._target_state((XenbusState.CLOSED, XenbusState.INITIALISED)) as ready:
            self._need(ready, CONNECT_LIMIT, "Closed of the frontend")

    def close_frontend(self) -> int:
        """Order the frontend to close, let go of it, and see it closed; the order's number."""
        number = self.connection.order("close")
        self.wait_closed()
        self.let_go()
        self.wait_result(number)
        return number

    def reopen_frontend(self) -> int:
        """Order the frontend to connect again, and let it; the order's number."""
        number = self.connection.order("reconnect")
        self.see_connected(number)
        return number

    def see_connected(self, number: int) -> None:
        """Connect to the frontend that order ``number`` has told to connect again."""
        self.wait_published()
        self.take_page()
        self.set_state(XenbusState.CONNECTED)
        self.wait_connected()
        self.wait_result(number)

    def stay(self) -> None:
        """Hold on to a frontend that has closed, and give it the chance to use the page."""
        self.connection.settle(ANSWER_LIMIT * self.scale, nodes=True)
        self.connection.sample()

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
        number = self.connection.order("send", request, locality)
        self._ordered[number] = request
        return number

    @property
    def open_orders(self) -> list[int]:
        """The numbers of the orders to send that have no result yet, the oldest first."""
        return [number for number in self._ordered if number not in self.connection.results]

    def cancel(self) -> None:
        """Order the frontend to cancel."""
        self.connection.order("cancel")

    def take_cancel(self) -> None:
        """Answer with IDLE what the frontend cancels by itself, with no request in the page."""
        self.rest()
        if self.look() == CANCEL:
            self.answer_idle()

    def exchange(self, response: bytes | None = None) -> Outcome:
        """Order a request, answer it, and wait for the order's result."""
        number = self.order()
        self.wait_request()
        self.rest()
        self.answer(response)
        return self.wait_result(number)

    def wait_request(self, unless: Callable[[], bool] | None = None) -> Found:
        """Wait for SUBMIT and the event that goes with it; or, without them, ``unless``."""
        while True:
            state = self._need_event(lambda s: s == SUBMIT, "a request", unless)
            found = self._found(state)
            if state != SUBMIT or not self._is_own(found):
                return found
            self._answer_own(found.packet)

    def expire(self) -> bool:
        """See ``Tester.expire``; a frontend that asked how long commands take needs no help."""
        return super().expire() or self._told_durations

    def _answer_own(self, request: bytes) -> None:
        """Answer a request that the frontend makes for its own sake."""
        self._told_durations = self._told_durations or asks_durations(request)
        self.answer(own_answer(self.family, request))

    def _is_own(self, found: Found) -> bool:
        """Whether a request is the frontend's own: sound, and not what was ordered."""
        ordered = [self._ordered[number] for number in self.open_orders]
        return is_well_formed(found.packet) and found.packet not in ordered

    def _serving(self, ready: Callable[[], bool], again: bytes = b"") -> Callable[[], bool]:
        """
        ``ready``, but requests that were not ordered are answered in the meantime.

        :param again: a packet that has been answered; it is answered once more.
        """

        def ready_or_serve() -> bool:
            if ready():
                return True
            self._serve(again)
            return False

        return ready_or_serve

    def _serve(self, again: bytes) -> None:
        """Answer the request in the page, if it is not one that somebody waits for."""
        connection = self.connection
        if (
            connection.events
            and connection.page is not None
            and connection.page[page.STATE.offset] == SUBMIT
        ):
            connection.events = 0
            self.look()
            connection.sample()
            found = self._found(SUBMIT)
            if self._is_own(found) or found.packet == again:
                self._answer_own(found.packet)

    def wait_cancel(self) -> None:
        """Wait for CANCEL and the event that goes with it."""
        self._need_event(lambda s: s == CANCEL, "a CANCEL")

    def answer(
        self,
        response: bytes | None = None,
        *,
        length: int | None = None,
        decoy: tuple[int, bytes] | None = None,
    ) -> None:
        """
        Store ``response`` and ``length``, then FINISH, then notify.

        :param length: ``length`` to claim, if not that of the response.
        :param decoy: a count to leave in ``nr_extra_pages``, and what to store
            where the packet would be if it had been the request's.
        """
        if response is None:
            response = random_bytes(self.family)
        connection = self.connection
        connection.sample()
        at = page.packet_offset(connection.image[page.NR_EXTRA_PAGES.offset])
        connection.store(at, response[: page.PAGE_SIZE - at])
        claimed = len(response) if length is None else length
        connection.store(page.LENGTH.offset, claimed.to_bytes(4, "little"))
        if decoy is not None:
            count, other = decoy
            connection.store(page.packet_offset(count), other)
            self.write_extra_pages(count)
        self.write_state(FINISH)
        connection.notify()

    def answer_crossing(self, number: int) -> None:
        """
        Answer, while a CANCEL may be on its way, and wait for the result of order ``number``.

        A CANCEL that crossed the answer gets IDLE.
        """
        self.answer()
        results = self.connection.results
        self._need(lambda: number in results or self.look() == CANCEL, ANSWER_LIMIT, "a result")
        self.connection.sample()
        if number not in results:
            self.wait_cancel()
            self.answer_idle()
            self.wait_result(number)

    def answer_idle(self) -> None:
        """Give the request up: IDLE, then notify."""
        self.connection.sample()
        self.write_state(IDLE)
        self.connection.notify()

    def answer_order(self, number: int) -> None:
        """Answer the request of order ``number``, unless the frontend refuses it."""
        results = self.connection.results
        self.wait_request(unless=lambda: number in results)
        if number not in results:
            self.answer()
            self.wait_result(number)

    def wait_result(self, number: int) -> Outcome:
        """Wait until the frontend reports on order ``number``."""
        results, packet = self.connection.results, self._ordered.get(number, b"")
        self._need(self._serving(lambda: number in results, packet), ANSWER_LIMIT, "a result")
        return results[number]
