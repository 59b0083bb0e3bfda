# SPDX-License-Identifier: MIT
"""Rules of the page on closing and coming back: what follows a connection."""

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
from conformance.tester.commands import clock
from vtpm_ref import page
from vtpm_ref.packet import Family
from vtpm_ref.states import BACKEND, FRONTEND, IDLE, SUBMIT, Role
from vtpm_ref.steps import parse_number

#: States of a backend that has served an earlier life of its frontend.
_USED = (CONNECTED, CLOSING, CLOSED)

#: Where in the answer to ``clock`` stands what only a reset changes: of a 2.0
#: resetCount and restartCount, of a 1.2 the nonce of the tick session.
_IDENTITY = {Family.TPM20: slice(26, 34), Family.TPM12: slice(22, 42)}


@rule("coming-back.served", "nodes")
class Served(Nodes):
    """A backend that serves only once."""

    def begin(self) -> None:
        self._again = False

    def peer_shows(self, state: str) -> None:
        if state == CLOSED and self.backend_state in (CONNECTED, CLOSING):
            self._again = True

    def shows(self, state: str) -> None:
        if self._again and state == CONNECTED:
            self._again = False
            self.kept()

    def on_silence(self, silence: trace.Silence) -> None:
        if self._again and silence.awaited == "Connected of the backend":
            said = f"state {self.backend_state} while the frontend's is {self.frontend_state}"
            self.broken("Connected, again", said)


@rule("coming-back.published-anew", "nodes")
class PublishedAnew(Nodes):
    """A frontend that comes back with the nodes of its last connection."""

    def begin(self) -> None:
        self._closed = False
        self._written: set[str] = set()

    def on_node(self, role: Role, name: str, value: str | None, by: str) -> None:
        super().on_node(role, name, value, by)
        if role is FRONTEND and by == FRONTEND.value and value is not None:
            self._written.add(name)

    def shows(self, state: str) -> None:
        if state == CLOSED:
            self._closed = True
            self._written.clear()
        elif state == INITIALISED and self._closed:
            self._closed = False
            missing = [n for n in ("ring-ref", "event-channel") if n not in self._written]
            said = f"state 3 with the old {' and '.join(missing)}"
            self.check(not missing, "both written since state 6", said)


@rule("coming-back.through-closed", "nodes")
class ThroughClosed(Nodes):
    """A frontend that publishes to a backend which does not wait for it."""

    def begin(self) -> None:
        self._found = False

    def on_order(self, order: trace.Order) -> None:
        if order.do == "reconnect":
            self._found = self.backend_state in _USED

    def on_node(self, role: Role, name: str, value: str | None, by: str) -> None:
        if (role, name, by) != (FRONTEND, "ring-ref", FRONTEND.value) or value is None:
            return
        state = self.backend_state
        if state in _USED:
            self.broken("to wait until the backend's state is 2", f"ring-ref while it is {state}")
        elif self._found:
            self.kept()
        self._found = False

    def on_silence(self, silence: trace.Silence) -> None:
        if self._found and silence.awaited == "Closed of the frontend":
            self._found = False
            self.broken("state 6", f"state stayed {self.frontend_state}")


@rule("coming-back.new-references", "grants", "nodes")
class NewReferences(Held):
    """A backend that stays with a page that its frontend has left."""

    def begin(self) -> None:
        super().begin()
        self._pending = False

    def peer_shows(self, state: str) -> None:
        if state == CLOSED:  # what it keeps now is for closing.backend-lets-go
            self.mapped.clear()
            self._pending = False
        named = self._named()
        if state in (INITIALISED, CONNECTED) and self.mapped and None not in named:
            self._pending = named != self._used()

    def _named(self) -> tuple[int | None, int | None]:
        """Page and port that the frontend has published, as far as they are numbers."""
        gref, port = (self.scene.nodes.get((FRONTEND, n)) for n in ("ring-ref", "event-channel"))
        return parse_number(gref), parse_number(port)

    def _used(self) -> tuple[int | None, int | None]:
        """Page and port that the backend has; no page if it has more than one."""
        return next(iter(self.mapped)) if len(self.mapped) == 1 else None, self.remote

    def on_mapped(self, by: Role, ok: bool, gref: int) -> None:
        super().on_mapped(by, ok, gref)
        self._connected_anew()

    def on_bound(self, by: Role, ok: bool, remote: int | None) -> None:
        super().on_bound(by, ok, remote)
        self._connected_anew()

    def _connected_anew(self) -> None:
        gref, port = self._named()
        if self._pending and self.remote == port and gref in self.mapped:
            self._pending = False
            self.check(len(self.mapped) == 1, "the new page alone", f"it has {self.held}")

    def on_silence(self, silence: trace.Silence) -> None:
        if self._pending:
            self._pending = False
            gref, port = self._named()
            self.broken(f"page {gref} and port {port}", f"it still has {self.held or 'neither'}")


@rule("coming-back.unknown-request")
class UnknownRequest(Nodes):
    """A request of which nobody knows how far it had come, run or left alone."""

    def begin(self) -> None:
        self._unknown: Request | None = None

        # Where nobody sees it map the page, it may look as soon as both nodes stand so.
        self._unseen = self.scene.evidence(BACKEND, "grants") != "exact"

    def on_mapped(self, by: Role, ok: bool, gref: int) -> None:
        if by is BACKEND and ok and self.backend_state != CONNECTED:
            self._comes()

    def shows(self, state: str) -> None:
        if self._unseen and state == INIT_WAIT:
            self._comes()

    def peer_shows(self, state: str) -> None:
        if self._unseen and state == CONNECTED and self.backend_state == INIT_WAIT:
            self._comes()

    def _comes(self) -> None:
        asked = self.frontend_state == CONNECTED and self.scene.state == SUBMIT
        self._unknown = self.scene.request if asked else None

    def on_answer(self, request: Request, answer: Answer) -> None:
        if request is self._unknown:
            self._unknown = None
            self.check(answer.state == IDLE, "IDLE", name_of(answer.state))

    def on_silence(self, silence: trace.Silence) -> None:
        if self._unknown is not None and silence.awaited == "an answer":
            self._unknown = None
            self.broken("IDLE", f"state stayed {name_of(self.scene.state)}")


@rule("coming-back.looks-first", "loads", "grants", "nodes")
class LooksFirst(Nodes):
    """A backend that cannot tell a request that was left from one that comes now."""

    def begin(self) -> None:
        self._looked = False

    def on_mapped(self, by: Role, ok: bool, gref: int) -> None:
        self._looked = self._looked and by is not BACKEND

    def on_load(self, by: Role, at: int, data: bytes) -> None:
        covers = at <= page.STATE.offset < at + len(data)
        self._looked = self._looked or (by is BACKEND and covers)

    def shows(self, state: str) -> None:
        if state == CONNECTED and self.frontend_state == CONNECTED and self.can_pass:
            self.check(self._looked, "a load of the page's state before it", "state 4, and none")


@rule("coming-back.rings", "events", "nodes")
class Rings(Nodes):
    """A backend of whose coming a frontend that waits is not told."""

    def begin(self) -> None:
        self._due = False
        self._rang = False

    def on_bound(self, by: Role, ok: bool, remote: int | None) -> None:
        self._rang = self._rang and by is not BACKEND

    def shows(self, state: str) -> None:
        self._rang = self._rang and state == CONNECTED
        connected = state == CONNECTED and self.frontend_state == CONNECTED
        self._due = connected and not self._rang
        if connected and self._rang:
            self.kept()

    def on_notify(self, by: Role, count: int) -> None:
        if by is BACKEND:
            self._rang = True
            if self._due:
                self._due = False
                self.kept()

    def on_silence(self, silence: trace.Silence) -> None:
        if self._due and silence.awaited in ("an event", "an answer"):
            self._due = False
            self.broken("an event", "none since it has connected")


@rule("coming-back.goes-on", "nodes")
class GoesOn(Nodes):
    """A frontend that does not outlive its backend."""

    def begin(self) -> None:
        self._pending = False

    def peer_shows(self, state: str) -> None:
        if state == INIT_WAIT and self.frontend_state == CONNECTED:
            self._pending = True
        elif state in (CLOSING, CLOSED):
            self._pending = False

    def on_node(self, role: Role, name: str, value: str | None, by: str) -> None:
        super().on_node(role, name, value, by)
        if self._pending and (role, name) == (FRONTEND, "ring-ref"):
            self._stop(f"ring-ref {value}")

    def shows(self, state: str) -> None:
        if self._pending and state != CONNECTED:
            self._stop(f"state {state}")

    def on_request(self, request: Request) -> None:
        if self._pending and self.backend_state == CONNECTED:
            self._pending = False
            self.kept()

    def on_silence(self, silence: trace.Silence) -> None:
        if self._pending and silence.awaited == "a request":
            self._stop("no request")

    def _stop(self, what: str) -> None:
        self._pending = False
        if not self.scene.closing:
            self.broken("requests in the same page", what)


@rule("coming-back.tpm-kept", "bodies")
class TpmKept(Nodes):
    """A TPM that was reset between two connections, as its clock tells."""

    def begin(self) -> None:
        self._before: bytes | None = None
        self._came = False

    def shows(self, state: str) -> None:
        self._came = self._came or state == CONNECTED

    def on_answer(self, request: Request, answer: Answer) -> None:
        family = self.scene.family
        if family not in _IDENTITY or request.packet != clock(family) or answer.code != 0:
            return
        identity = answer.packet[_IDENTITY[family]]
        if self._before is not None and self._came:
            said = f"{identity.hex()}, before it {self._before.hex()}"
            self.check(identity == self._before, "the clock of the same TPM", said)
        self._before, self._came = identity, False
