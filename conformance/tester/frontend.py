# SPDX-License-Identifier: MIT
"""
The tester that plays the frontend, against a backend.
"""

from conformance.tester.base import (
    ANSWER_LIMIT,
    CONNECT_LIMIT,
    DECIDED,
    FEATURE,
    WORK_LIMIT,
    Found,
    Tester,
)
from conformance.tester.commands import get_random, is_slow
from vtpm_ref import page
from vtpm_ref.states import FINISH, IDLE, SUBMIT
from vtpm_ref.xenbus import FEATURE_VALUE, XenbusState


class FrontendTester(Tester):
    """Plays the frontend against a backend."""

    #: Whether the request that was submitted last cannot be run.
    _at_once = False

    def publish(self, feature: str | None = FEATURE_VALUE) -> None:
        """Grant a page, allocate a port, and write the nodes in one transaction."""
        gref, port = self.connection.grant_page(), self.connection.allocate_port()
        nodes = {"ring-ref": str(gref), "event-channel": str(port)}
        if feature is not None:
            nodes[FEATURE] = feature
        self.connection.write(nodes, transaction=True)

    def publish_unsound(self, node: str, text: str) -> None:
        """Publish as always, but ``text`` in ``node``, and become Initialised."""
        self.publish()
        self.connection.write({node: text})
        self.set_state(XenbusState.INITIALISED)

    def overwrite(self) -> None:
        """Store ones into the whole page, ``state`` included."""
        self.connection.store(0, b"\xff" * page.PAGE_SIZE)

    def meddle(self) -> None:
        """Store ones while the backend works: where no answer lies, as that might come just now."""
        fields, half = page.LOCALITY.offset, page.PAGE_SIZE // 2
        self.connection.store(fields, b"\xff" * (page.HEADER_SIZE - fields))
        self.connection.store(half, b"\xff" * half)

    def wait_connected(self) -> None:
        """Wait until the backend is Connected."""
        self._need_state(
            XenbusState.CONNECTED, awaited="Connected of the backend", limit=CONNECT_LIMIT
        )

    def wait_decision(self) -> None:
        """Wait until the backend has connected or closed; it may do neither."""
        with self._target_state(DECIDED) as ready:
            self.connection.wait(ready, CONNECT_LIMIT * self.scale, "a decision of the backend")

    def connect(self) -> None:
        """Go to Connected, the usual way."""
        self.publish()
        self.set_state(XenbusState.INITIALISED)
        self.wait_connected()
        self.set_state(XenbusState.CONNECTED)

    def connect_again(self, *, page: bool = True, port: bool = True) -> None:
        """
        Publish a new page, a new port, or both, as if nothing had been before.

        What is not new stays as it is; nothing is closed, so that the backend
        finds other values in the nodes than those that it uses.
        """
        if page and port:
            self.publish()
        elif page:
            self.connection.write({"ring-ref": str(self.connection.grant_page())})
        else:
            self.connection.write({"event-channel": str(self.connection.allocate_port())})
        self.set_state(XenbusState.INITIALISED)

    def close(self) -> None:
        """Go to Closing, in time to Closed, and wait until the backend has let go."""
        self.set_state(XenbusState.CLOSING)
        self.connection.settle(ANSWER_LIMIT * self.scale, nodes=True)
        self.set_state(XenbusState.CLOSED)
        self.wait_let_go()

    def wait_let_go(self, *wanted: XenbusState) -> None:
        """Wait until the backend is InitWait or Closed, or one of ``wanted``."""
        self._need_state(
            *(wanted or (XenbusState.INIT_WAIT, XenbusState.CLOSED)),
            awaited="the backend to let go",
            limit=CONNECT_LIMIT,
        )

    def wait_closing(self) -> None:
        """Wait until the backend closes by itself."""
        wanted = (XenbusState.CLOSING, XenbusState.CLOSED)
        self._need_state(*wanted, awaited="Closing of the backend", limit=CONNECT_LIMIT)

    def stay(self) -> None:
        """Give a backend that has let go the chance to touch the page all the same."""
        self.connection.sample()
        self.connection.settle(ANSWER_LIMIT * self.scale, nodes=True)
        self.connection.sample()

    def wait_event(self) -> None:
        """Wait for an event, whatever it says."""
        limit = ANSWER_LIMIT * self.scale
        self._need(lambda: self.connection.events > 0, limit, "an event")

    def wait_result(self, number: int) -> None:
        """Wait until the backend reports on order ``number``."""
        results = self.connection.results
        self._need(lambda: number in results, CONNECT_LIMIT, "a result")

    def give_back(self) -> None:
        """Close one's own port and take the page back, once the backend has let go."""
        self.connection.close_port()
        self.connection.revoke_page()

    def another(self) -> "FrontendTester":
        """A tester of one more frontend of the same backend."""
        further = FrontendTester(self.connection.another(), self.scale)
        further.phase = self.phase
        return further

    @property
    def working(self) -> bool:
        """Whether the request in the page has no answer yet, once the target has had its time."""
        self.rest()
        return self.look() == SUBMIT

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
        connection = self.connection
        connection.sample()
        connection.events = 0
        listed = b"".join(gref.to_bytes(4, "little") for gref in grants)
        if listed or connection.image[page.NR_EXTRA_PAGES.offset]:
            connection.store(page.NR_EXTRA_PAGES.offset, bytes([len(grants)]))
        room = page.capacity(len(grants))
        connection.store(page.HEADER_SIZE, listed + request[:room])
        claimed = len(request) if length is None else length
        well_formed = claimed == len(request) <= room
        connection.link.works_long |= well_formed and is_slow(request)
        self._at_once = not well_formed
        connection.store(page.LENGTH.offset, claimed.to_bytes(4, "little"))
        if locality != connection.image[page.LOCALITY.offset]:
            connection.store(page.LOCALITY.offset, bytes([locality]))
        if pad is not None:
            connection.store(page.PAD.offset, bytes([pad]))
        self.write_state(SUBMIT)
        if notify:
            connection.notify()

    def poll_answer(self) -> None:
        """Wait until FINISH or IDLE is in the page, event or not."""
        connection = self.connection
        free = (IDLE, FINISH)
        self._need(
            lambda: connection.page is not None and connection.page[page.STATE.offset] in free,
            self._answer_limit(),
            "an answer",
        )
        self.look()
        connection.sample()

    def _answer_limit(self) -> float:
        """What is not run is refused at once; what is run waits for what is at work."""
        return WORK_LIMIT if self.connection.link.works_long and not self._at_once else ANSWER_LIMIT

    def wait_answer(self) -> Found:
        """Wait for FINISH or IDLE and the event that goes with it."""
        state = self._need_event(lambda s: s in (IDLE, FINISH), "an answer")
        return self._found(state)
