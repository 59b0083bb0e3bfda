# SPDX-License-Identifier: MIT
"""Rules of the page on closing and coming back: the end of a connection."""

from conformance import trace
from conformance.messages import Answer, Request
from conformance.rules.base import rule
from conformance.rules.ends import (
    CLOSED,
    CLOSING,
    CONNECTED,
    INIT_WAIT,
    INITIALISED,
    Held,
    Nodes,
)
from conformance.rules.states import name_of
from vtpm_ref.states import BACKEND, FRONTEND, Role

#: Texts of a frontend's ``state`` that ends a connection, besides Closed.
_GONE = ("0", "1")

#: What a tester waits for that has closed the device, or sees it taken away.
LET_GO = "the backend to let go"


# What the frontend owes.


@rule("closing.closed-last", "loads", "stores", "events", "nodes")
class ClosedLast(Nodes):
    """
    A frontend that still uses the page when it has said that it does not.

    Where a link does not see every access, it does not see their order either.
    """

    def begin(self) -> None:
        self._closed = False
        self._granted = False

    def shows(self, state: str) -> None:
        if state == CLOSED and self._granted and self.can_pass:
            self._closed = True
            self.kept()

    def on_granted(self, gref: int) -> None:
        self._closed, self._granted = False, True

    def on_revoked(self, gref: int, ok: bool) -> None:
        self._closed, self._granted = self._closed and not ok, self._granted and not ok

    def on_load(self, by: Role, at: int, data: bytes) -> None:
        self._judge(by, f"{len(data)} bytes at {at} loaded")

    def on_change(self, by: Role, at: int, old: bytes, new: bytes, dated: bool) -> None:
        self._judge(by, f"{len(new)} bytes at {at} stored")

    def on_state(self, by: Role, old: int, new: int) -> None:
        self._judge(by, f"{name_of(new)} stored")

    def on_notify(self, by: Role, count: int) -> None:
        self._judge(by, "an event")

    def _judge(self, by: Role, what: str) -> None:
        if self._closed and by is FRONTEND:
            self.broken("neither access nor event after state 6", what)


@rule("closing.frontend-follows", "nodes")
class FrontendFollows(Nodes):
    """A frontend that stays when its backend goes."""

    def begin(self) -> None:
        self._pending = False

    def peer_shows(self, state: str) -> None:
        there = self.frontend_state in (INITIALISED, CONNECTED, CLOSING)
        self._pending = state in (CLOSING, CLOSED) and there

    def shows(self, state: str) -> None:
        if self._pending and state == CLOSED:
            self._pending = False
            self.kept()

    def on_silence(self, silence: trace.Silence) -> None:
        if self._pending and silence.awaited == "Closed of the frontend":
            said = f"state {self.frontend_state} while the backend's is {self.backend_state}"
            self.broken("state 6", said)


@rule("closing.request-ends", "orders")
class RequestEnds(Nodes):
    """A request that is left without an end, or with a response that there was not."""

    def begin(self) -> None:
        self._order: int | None = None

    def on_order(self, order: trace.Order) -> None:
        if order.do == "close":
            self._leave()

    def peer_shows(self, state: str) -> None:
        if state in (CLOSING, CLOSED):
            self._leave()

    def _leave(self) -> None:
        request = self.scene.request
        if request is not None and request.order is not None and self.scene.last_answer is None:
            self._order = request.order.id

    def on_answer(self, request: Request, answer: Answer) -> None:
        self._order = None

    def on_result(self, result: trace.Result) -> None:
        if result.id == self._order:
            self._order = None
            ended = result.outcome != "response"
            self.check(ended, "an end without a response", "a response that nobody gave")

    def on_silence(self, silence: trace.Silence) -> None:
        if self._order is not None and silence.awaited == "a result":
            self.broken("the end of the order", "no result")


@rule("closing.page-kept", "revocations", "nodes")
class PageKept(Nodes):
    """A frontend that takes its page back, or tries to, from under the backend."""

    def begin(self) -> None:
        self._granted = False

    def on_granted(self, gref: int) -> None:
        self._granted = True

    def on_revoked(self, gref: int, ok: bool) -> None:
        self._granted = False
        if (state := self.backend_state) in (CONNECTED, CLOSING):
            said = f"page {gref} asked back while it is {state}"
            self.broken("the backend's state not 4 or 5 first", said)

    def peer_shows(self, state: str) -> None:
        gone = state not in (CONNECTED, CLOSING)
        if gone and self._granted and self.frontend_state == CLOSED:
            self._granted = False
            self.kept()


# What the backend owes.


class _LetsGo(Held):
    """A backend that keeps what it owes back, from ``owes`` on."""

    def begin(self) -> None:
        super().begin()
        self._pending = False

    def owes(self) -> None:
        """From now on the backend has no business with what it holds."""
        self._pending = self._pending or bool(self.held)

    def on_unmapped(self, by: Role, gref: int) -> None:
        super().on_unmapped(by, gref)
        self._has_let_go()

    def on_unbound(self, by: Role) -> None:
        super().on_unbound(by)
        self._has_let_go()

    def _has_let_go(self) -> None:
        if self._pending and not self.held:
            self._pending = False
            self.kept()

    def on_mapped(self, by: Role, ok: bool, gref: int) -> None:
        self._still_holds()
        super().on_mapped(by, ok, gref)

    def on_exit(self, how: str) -> None:
        super().on_exit(how)
        self._pending = False

    def on_silence(self, silence: trace.Silence) -> None:
        if silence.awaited == LET_GO:
            self._still_holds()

    def on_end(self) -> None:
        if self._pending:
            self.inconclusive("the trace ends before the backend has let go")

    def _still_holds(self) -> None:
        if self._pending:
            self._pending = False
            self.broken("page and port given back", f"the backend still has {self.held}")


@rule("closing.backend-lets-go", "grants", "nodes")
class BackendLetsGo(_LetsGo):
    """A backend that keeps what a frontend that has closed wants back."""

    def peer_shows(self, state: str) -> None:
        if state == CLOSED:
            self.owes()


@rule("closing.gone", "grants", "nodes")
class Gone(_LetsGo):
    """A backend that keeps what a frontend that is gone cannot ask for any more."""

    def on_node(self, role: Role, name: str, value: str | None, by: str) -> None:
        if role is FRONTEND and name == "state" and value in (*_GONE, None):
            self.owes()
        elif role is FRONTEND and name == "state":
            self._pending = False  # too soon after it for the backend to have seen it
        super().on_node(role, name, value, by)


@rule("closing.unmap-first", "grants", "nodes")
class UnmapFirst(Held):
    """A backend that says it has let go, and has not."""

    def begin(self) -> None:
        super().begin()
        self._used = False

    def on_mapped(self, by: Role, ok: bool, gref: int) -> None:
        super().on_mapped(by, ok, gref)
        self._used = self._used or bool(self.mapped)

    def on_exit(self, how: str) -> None:
        super().on_exit(how)
        self._used = False

    def shows(self, state: str) -> None:
        if state in (INIT_WAIT, CLOSED) and self._used:
            self._used = bool(self.mapped)
            said = f"state {state} with {self.held}"
            self.check(not self.held, f"page and port given back before state {state}", said)


@rule("closing.init-wait", "nodes")
class BackToInitWait(Nodes):
    """A backend that does not offer the device again."""

    def begin(self) -> None:
        self._pending = False

    def peer_shows(self, state: str) -> None:
        stays = self.backend_state == CONNECTED and not self.offline
        self._pending = state == CLOSED and stays

    def on_node(self, role: Role, name: str, value: str | None, by: str) -> None:
        super().on_node(role, name, value, by)
        self._pending = self._pending and not self.offline

    def shows(self, state: str) -> None:
        if self._pending and state in (INIT_WAIT, CLOSED):
            self._pending = False
            self.check(state == INIT_WAIT, "state 2", f"state {state}")

    def on_silence(self, silence: trace.Silence) -> None:
        if self._pending and silence.awaited == LET_GO:
            self._pending = False
            self.broken("state 2", f"state stayed {self.backend_state}")


@rule("closing.offline", "nodes")
class Offline(Nodes):
    """
    A backend that does not go when the toolstack takes the device away.

    An InitWait on the way may answer what it had read before; it has to go on
    to Closed.
    """

    def begin(self) -> None:
        self._pending = False

    def on_node(self, role: Role, name: str, value: str | None, by: str) -> None:
        super().on_node(role, name, value, by)
        if (role, name) in ((FRONTEND, "state"), (BACKEND, "online")):
            gone = self.frontend_state == CLOSED and self.backend_state != CLOSED
            self._pending = self.offline and gone

    def shows(self, state: str) -> None:
        if self._pending and state == CLOSED:
            self._pending = False
            self.kept()

    def on_silence(self, silence: trace.Silence) -> None:
        if self._pending and silence.awaited == LET_GO:
            self._pending = False
            self.broken("state 6: online is 0", f"state stayed {self.backend_state}")


@rule("closing.own-state", "nodes")
class OwnState(Nodes):
    """A backend that takes what somebody has written to its own state for a sign to close."""

    def begin(self) -> None:
        self._written = False

    def on_node(self, role: Role, name: str, value: str | None, by: str) -> None:
        super().on_node(role, name, value, by)
        if (role, name) == (BACKEND, "state") and by != BACKEND.value:
            there = self.frontend_state in (INITIALISED, CONNECTED)
            self._written = value in (CLOSING, CLOSED) and there and not self.offline
        elif (role, name) in ((FRONTEND, "state"), (BACKEND, "online")):
            self._written = False  # a reason of its own

    def on_order(self, order: trace.Order) -> None:
        self._written = False

    def shows(self, state: str) -> None:
        if self._written and state in (CLOSING, CLOSED):
            self._written = False
            self.broken("to go on: online is not 0", f"state {state}, by the backend itself")

    def on_answer(self, request: Request, answer: Answer) -> None:
        if self._written:
            self._written = False
            self.kept()


@rule("closing.hands-off", "stores", "nodes")
class HandsOff(Nodes):
    """
    A backend that stores into a page that it has given back.

    Where the page is only looked at, the first look afterwards shows what was
    stored before, and the next what was not.
    """

    def begin(self) -> None:
        self._used = False
        self._gone = False
        self._armed = False

    def on_mapped(self, by: Role, ok: bool, gref: int) -> None:
        self._used = self._used or (by is BACKEND and ok)

    def shows(self, state: str) -> None:
        self._gone = state in (INIT_WAIT, CLOSED) and (self._used or self._gone)
        self._armed = self._gone and self.scene.evidence(BACKEND, "stores") == "exact"
        if self._gone and self._used:
            self._used = False
            self.kept()

    def on_sample(self) -> None:
        self._armed = self._gone

    def on_granted(self, gref: int) -> None:
        self._gone = self._armed = False

    def on_change(self, by: Role, at: int, old: bytes, new: bytes, dated: bool) -> None:
        if dated:
            self._judge(by, f"{len(new)} bytes at {at} stored")

    def on_state(self, by: Role, old: int, new: int) -> None:
        self._judge(by, f"{name_of(new)} stored")

    def _judge(self, by: Role, what: str) -> None:
        if self._armed and by is BACKEND:
            self.broken("no store", f"{what} in state {self.backend_state}")


@rule("closing.backend-waits", "grants", "nodes")
class BackendWaits(Held):
    """A backend that gives the page back while the frontend still uses it."""

    def on_unmapped(self, by: Role, gref: int) -> None:
        connected = self.backend_state in (CONNECTED, CLOSING)
        if by is BACKEND and connected and self._current(gref):
            there = self.frontend_state in (INITIALISED, CONNECTED, CLOSING)
            said = f"page {gref} unmapped while it is {self.frontend_state}"
            self.check(not there, "the frontend's state 6 first", said)
        super().on_unmapped(by, gref)

    def on_unbound(self, by: Role) -> None:
        """The port may go before the page; it is what the page belongs to."""

    def _current(self, gref: int) -> bool:
        """Whether page and port are still the ones that the frontend names."""
        named = [self.scene.nodes.get((FRONTEND, n)) for n in ("ring-ref", "event-channel")]
        return named == [str(gref), str(self.remote)]
