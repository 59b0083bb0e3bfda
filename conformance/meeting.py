# SPDX-License-Identifier: MIT
"""
How the judge in between connects, closes and comes back with a frontend and a backend.

To the frontend it is the backend, to the backend the frontend.  What it shows to the one
follows what the other has done, step by step: it publishes a page of its own once the
frontend has, is Connected once the backend is, closes when either closes, and lets go of
the frontend's page once the backend has let go of its own.

Standard library only, so that it also runs in a lab's dom0.
"""

from conformance.links.base import Link
from conformance.links.connection import Connection
from vtpm_ref import page
from vtpm_ref.states import FRONTEND, IDLE, SUBMIT
from vtpm_ref.steps import parse_number
from vtpm_ref.xenbus import (
    BACKEND_CLOSES,
    BACKEND_HOLDS,
    FEATURE_VALUE,
    FRONTEND_GONE,
    FRONTEND_READY,
    PUBLISHED,
    XenbusState,
    is_state,
)

_FEATURE = PUBLISHED[2]


class Half:
    """
    What the judge shows to one of the two, and what that one shows.

    :ivar shown: the state that the judge has written last.
    :ivar target: the target's state; ``None`` when its node is gone.
    """

    def __init__(self, link: Link) -> None:
        self.connection = link.first
        self.shown = XenbusState.INITIALISING
        self.target: XenbusState | None = XenbusState.INITIALISING
        self._changed = False
        path = self.connection.place.path(self.connection.judged, "state")
        link.store_.watch(self.connection.domid, path, path, self._note)

    def _note(self, watched: str, token: str, changed: str) -> None:
        self._changed = True

    def look(self) -> bool:
        """Read the target's state, if it has changed; a text that is no state says nothing."""
        changed, self._changed = self._changed, False
        if changed:
            text = self.connection.read(self.connection.judged, "state")
            if text is None:
                self.target = None
            elif is_state(text):
                self.target = XenbusState(int(text))
        return changed

    def show(self, state: XenbusState) -> None:
        """Write one's own state, unless it says so already."""
        if state is not self.shown:
            self.shown = state
            self.connection.write({"state": str(int(state))})


class Meeting:
    """
    The connection of a frontend with a backend, by way of the judge.

    :param front: the link whose target is the frontend.
    :param back: the link whose target is the backend.

    :ivar pending: whether the backend has a request that it has not answered.
    """

    def __init__(self, front: Link, back: Link) -> None:
        self.front, self.back = Half(front), Half(back)
        self.pending = False
        # The numbers that the frontend is served by, or could not be.
        self._used: list[int | None] | None = None

    @property
    def together(self) -> bool:
        """Whether there are two pages to hand on between."""
        halves = (self.front, self.back)
        return all(h.shown in BACKEND_HOLDS and h.connection.page is not None for h in halves)

    @property
    def apart(self) -> bool:
        """Whether the judge holds nothing of the frontend, and offers the device to it."""
        return self._used is None and self.front.shown is XenbusState.INIT_WAIT

    @property
    def awaited(self) -> str:
        """What is missing until both are together, in words."""
        if self.back.connection.page is not None:
            return "Connected of the backend"
        if self.back.target is not XenbusState.INIT_WAIT:
            return "InitWait of the backend"
        return "a page and a port of the frontend that can be used"

    def follow(self) -> None:
        """Do what the states of both ask for, as far as they have changed."""
        while self.front.look() | self.back.look():
            left = self._has_left()
            self._end_back(left)
            self._end_front(left)
            self._begin()

    def _has_left(self) -> bool:
        """Whether the frontend is done with the page that it has published."""
        state = self.front.target
        if state is None or state in FRONTEND_GONE:
            return True
        if self._used is None or state not in FRONTEND_READY:
            return False
        named = self._named()
        return None not in named and named != self._used

    def _named(self) -> list[int | None]:
        """Page and port that the frontend has published, as far as they are numbers."""
        front = self.front.connection
        return [parse_number(front.read(FRONTEND, name)) for name in PUBLISHED[:2]]

    # Towards the backend, as its frontend.

    def _end_back(self, left: bool) -> None:
        """Close as the frontend does, or after the backend; take all back once that has let go."""
        back = self.back
        if back.connection.page is None:
            return
        if left or back.target in (XenbusState.CLOSED, None):
            self.pending = False
            back.show(XenbusState.CLOSED)
        elif self.front.target is XenbusState.CLOSING and back.shown is not XenbusState.CLOSED:
            back.show(XenbusState.CLOSING)
        if back.shown is XenbusState.CLOSED and back.target not in BACKEND_HOLDS:
            back.connection.close_port()
            back.connection.revoke_page()
            back.connection.release()

    def _publish(self) -> None:
        """Grant a new page and allocate a new port, for the backend to use."""
        back = self.back.connection
        back.events = 0
        numbers = (back.grant_page(), back.allocate_port())
        values = (*map(str, numbers), FEATURE_VALUE)
        back.write(dict(zip(PUBLISHED, values, strict=True)), transaction=True)
        self.back.show(XenbusState.INITIALISED)

    # Towards the frontend, as its backend.

    def _end_front(self, left: bool) -> None:
        """Close as the backend does; let go once the frontend is done and the backend has."""
        front, back = self.front, self.back
        if self._used is not None and left:
            if back.connection.page is None:
                _let_go(front.connection)
                self._used = None
        elif self._used is not None and front.shown in (
            XenbusState.INIT_WAIT,
            XenbusState.CONNECTED,
        ):
            if back.target in BACKEND_CLOSES or back.target is None:
                front.show(XenbusState.CLOSING)
            elif self._restarts():
                _let_go(front.connection)
                front.show(XenbusState.INIT_WAIT)
        if self._used is None:
            self._offer()

    def _restarts(self) -> bool:
        """Whether the backend, once Connected, has begun anew; the judge's page stays with it."""
        connected = self.front.shown is self.back.shown is XenbusState.CONNECTED
        return connected and self.back.target is XenbusState.INIT_WAIT

    def _offer(self) -> None:
        """Show a frontend that is not served whether the backend offers the device."""
        if self.back.target is XenbusState.INIT_WAIT:
            if self.front.shown is not XenbusState.INIT_WAIT:
                self.front.connection.write({_FEATURE: FEATURE_VALUE})
            self.front.show(XenbusState.INIT_WAIT)
        elif self.back.target in (XenbusState.CLOSED, None):
            self.front.show(XenbusState.CLOSED)

    def _begin(self) -> None:
        """Publish what the frontend has, and be Connected once the backend is."""
        front, back = self.front, self.back
        if front.target not in FRONTEND_READY or front.shown is not XenbusState.INIT_WAIT:
            return
        if self._used is None and back.connection.page is None:
            if self._take():
                self._publish()
        elif back.target is XenbusState.CONNECTED and back.connection.page is not None:
            back.show(XenbusState.CONNECTED)
            if front.connection.page is not None or self._take():
                self._welcome()

    def _take(self) -> bool:
        """Map the frontend's page and bind its port; Closed, if it gives none to be had."""
        front = self.front.connection
        self._used = gref, port = self._named()
        mapped = gref is not None and front.map_page(gref)
        if mapped and port is not None and front.bind_port(port):
            front.sample()
            return True
        if mapped:
            front.unmap_page()
            front.release()
        self.front.show(XenbusState.CLOSED)
        return False

    def _welcome(self) -> None:
        """
        Be Connected to the frontend.

        One that is Connected already has had another backend: a request that it has
        left, and that the backend does not have, is given up.
        """
        front, late = self.front.connection, self.front.target is XenbusState.CONNECTED
        left = front.load(page.STATE.offset, 1)[0] == SUBMIT and not self.pending
        self.front.show(XenbusState.CONNECTED)
        if late:
            if left:
                front.store(page.STATE.offset, bytes([IDLE]))
            front.notify()


def _let_go(front: Connection) -> None:
    """Close the port and unmap the frontend's page, where there is one."""
    if front.page is not None:
        front.close_port()
        front.unmap_page()
        front.release()
    front.events = 0
