# SPDX-License-Identifier: MIT
"""Rules of the page on connecting."""

from conformance import trace
from conformance.messages import Answer, Request
from conformance.rules.base import Rule, rule
from vtpm_ref.states import BACKEND, FRONTEND, SUBMIT, Role
from vtpm_ref.xenbus import FEATURE_VALUE, PUBLISHED

_FEATURE = "feature-protocol-v2"
_INIT_WAIT, _INITIALISED, _CONNECTED = "2", "3", "4"
_CLOSED = ("5", "6")


class _OnOwnState(Rule):
    """A rule on each state that the judged role writes to its own node."""

    def on_node(self, role: Role, name: str, value: str | None, by: str) -> None:
        if role is self.role and name == "state" and by == self.role.value and value is not None:
            self.judge(value)

    def judge(self, state: str) -> None:
        raise NotImplementedError

    def node(self, role: Role, name: str) -> str | None:
        """Text of a node as it stands, ``None`` if it is not there."""
        return self.scene.nodes.get((role, name))


@rule("connecting.publish-first", "nodes")
class PublishFirst(_OnOwnState):
    """A frontend that calls before it has said where."""

    def judge(self, state: str) -> None:
        if state in (_INITIALISED, _CONNECTED):
            missing = [name for name in PUBLISHED if self.node(FRONTEND, name) is None]
            said = f"state {state} without {', '.join(missing)}"
            self.check(not missing, "all three nodes before state 3 or 4", said)


@rule("connecting.one-transaction", "nodes")
class OneTransaction(_OnOwnState):
    """A frontend whose nodes become visible one by one."""

    def judge(self, state: str) -> None:
        if self.scene.evidence(self.role, "nodes") != "exact":
            return  # a look at a node does not tell how it was written
        keys = [(FRONTEND, name) for name in PUBLISHED]
        if state in (_INITIALISED, _CONNECTED) and all(key in self.scene.nodes for key in keys):
            used = {self.scene.node_tx[key] for key in keys}
            together = len(used) == 1 and used != {0}
            said = f"written in {'no transaction' if used == {0} else 'several steps'}"
            self.check(together, "one transaction for all three nodes", said)


@rule("connecting.decimal", "nodes")
class Decimal(Rule):
    """A number that is more than its digits."""

    def on_node(self, role: Role, name: str, value: str | None, by: str) -> None:
        if role is FRONTEND and name in ("ring-ref", "event-channel") and value is not None:
            plain = value.isascii() and value.isdigit()
            self.check(plain, f"{name} in decimal digits", f"{name} is {value!r}")


@rule("connecting.valid-references", "grants")
class ValidReferences(Rule):
    """A published reference behind which there is nothing."""

    def on_mapped(self, by: Role, ok: bool, gref: int) -> None:
        self._used(by, ok, "ring-ref", gref)

    def on_bound(self, by: Role, ok: bool, remote: int | None) -> None:
        self._used(by, ok, "event-channel", remote)

    def _used(self, by: Role, ok: bool, name: str, number: int | None) -> None:
        value = self.scene.nodes.get((FRONTEND, name), "")
        closes = self.scene.nodes.get((FRONTEND, "state")) in _CLOSED  # and takes them back
        if by is BACKEND and value == str(number) and not closes:
            self.check(ok, f"{name} that the backend's domain can use", f"{value} was refused")


@rule("connecting.initialised", "nodes")
class Initialised(_OnOwnState):
    """A frontend that goes to Connected without Initialised."""

    def begin(self) -> None:
        self._was = False

    def judge(self, state: str) -> None:
        self._was = state == _INITIALISED or (self._was and state not in _CLOSED)
        if state == _CONNECTED:
            self.check(self._was, "Initialised before Connected", "Connected without Initialised")


@rule("connecting.feature-value", "nodes")
class FeatureValue(Rule):
    """A feature node with another text than the one that all readers take."""

    def on_node(self, role: Role, name: str, value: str | None, by: str) -> None:
        if role is self.role and name == _FEATURE and value is not None:
            self.check(value == FEATURE_VALUE, "'1'", repr(value))


@rule("connecting.backend-feature", "nodes")
class BackendFeature(_OnOwnState):
    """A backend that invites a frontend before it has named its protocol."""

    def judge(self, state: str) -> None:
        if state == _INIT_WAIT:
            there = self.node(BACKEND, _FEATURE) is not None
            self.check(there, f"{_FEATURE} before state 2", f"state 2 without {_FEATURE}")


class _ChecksPeer(_OnOwnState):
    """A Connected although the peer does not name this protocol."""

    awaited: str

    def judge(self, state: str) -> None:
        feature = self.node(self.role.peer, _FEATURE)
        good = feature == FEATURE_VALUE
        if state == _CONNECTED:
            self.check(good, "not to connect", f"Connected with the peer's node {feature!r}")
        elif state in _CLOSED and not good:
            self.kept()

    def on_silence(self, silence: trace.Silence) -> None:
        if silence.awaited == self.awaited:
            if silence.certain and self.scene.phase != "setup":
                self.kept()
            else:
                self.inconclusive("it neither connected nor closed; it may still do so")


@rule("connecting.backend-checks", "nodes")
class BackendChecks(_ChecksPeer):
    """A backend that connects to a frontend of another protocol."""

    awaited = "a decision of the backend"


@rule("connecting.frontend-checks", "nodes")
class FrontendChecks(_ChecksPeer):
    """A frontend that connects to a backend of another protocol."""

    awaited = "a decision of the frontend"


@rule("connecting.failed-closed", "nodes")
class FailedClosed(_OnOwnState):
    """A backend that cannot connect and does not say so."""

    def begin(self) -> None:
        self._cannot = ""

    def on_node(self, role: Role, name: str, value: str | None, by: str) -> None:
        if role is FRONTEND and name == "state":
            self._cannot = ""
            feature = self.node(FRONTEND, _FEATURE)
            if value in (_INITIALISED, _CONNECTED) and feature != FEATURE_VALUE:
                self._cannot = f"the frontend's {_FEATURE} is {feature!r}"
        super().on_node(role, name, value, by)

    def on_mapped(self, by: Role, ok: bool, gref: int) -> None:
        if by is BACKEND and not ok:
            self._cannot = f"page {gref} was refused"

    def on_bound(self, by: Role, ok: bool, remote: int | None) -> None:
        if by is BACKEND and not ok:
            self._cannot = f"port {remote} was refused"

    def judge(self, state: str) -> None:
        if self._cannot and state in (_CONNECTED, "6"):
            if state == "6":
                self.kept()
            self._cannot = ""  # one that connects all the same is for another clause

    def on_silence(self, silence: trace.Silence) -> None:
        if self._cannot and silence.awaited == BackendChecks.awaited:
            said = f"{self._cannot}, and state stayed {self.node(BACKEND, 'state')}"
            self.broken("state 6", said)


@rule("connecting.init-wait", "nodes")
class InitWait(_OnOwnState):
    """A backend that goes to Connected without InitWait."""

    def begin(self) -> None:
        self._was = False

    def on_unmapped(self, by: Role, gref: int) -> None:
        if by is BACKEND and self.node(BACKEND, "state") != _INIT_WAIT:
            self._was = False  # the next connection starts anew

    def judge(self, state: str) -> None:
        self._was = state == _INIT_WAIT or (self._was and state not in _CLOSED)
        if state == _CONNECTED:
            self.check(self._was, "InitWait before Connected", "Connected without InitWait")


@rule("connecting.map-before-connected", "grants", "nodes")
class MapBeforeConnected(_OnOwnState):
    """A backend that says Connected before it is."""

    def begin(self) -> None:
        self._mapped = False
        self._bound = False

    def on_mapped(self, by: Role, ok: bool, gref: int) -> None:
        self._mapped = self._mapped or (by is BACKEND and ok)

    def on_bound(self, by: Role, ok: bool, remote: int | None) -> None:
        self._bound = self._bound or (by is BACKEND and ok)

    def on_unmapped(self, by: Role, gref: int) -> None:
        self._mapped = self._mapped and by is not BACKEND

    def on_unbound(self, by: Role) -> None:
        self._bound = self._bound and by is not BACKEND

    def judge(self, state: str) -> None:
        if state == _CONNECTED and self.scene.evidence(self.role, "grants") == "none":
            self.kept()  # for all that can be seen; that is not enough to pass
        elif state == _CONNECTED:
            missing = [
                what
                for what, done in (
                    ("the page mapped", self._mapped),
                    ("the port bound", self._bound),
                )
                if not done
            ]
            said = f"Connected without {' and '.join(missing)}"
            self.check(not missing, "page and port before Connected", said)


@rule("connecting.backend-connects", "nodes")
class BackendConnects(_OnOwnState):
    """A backend that does not connect to a frontend that is ready."""

    def judge(self, state: str) -> None:
        if state == _CONNECTED:
            self.kept()

    def on_silence(self, silence: trace.Silence) -> None:
        if silence.awaited == "Connected of the backend":
            state = self.node(FRONTEND, "state")
            own = self.node(BACKEND, "state")
            self.broken("Connected", f"state {own} while the frontend's is {state}")


class _RequestAnswered(Rule):
    """A request that came at an unusual moment and got no answer."""

    def on_answer(self, request: Request, answer: Answer) -> None:
        if self.concerns(request):
            self.kept()

    def on_silence(self, silence: trace.Silence) -> None:
        request = self.scene.request
        if silence.awaited == "an answer" and request is not None and self.concerns(request):
            self.broken("FINISH or IDLE", "no answer")

    def concerns(self, request: Request) -> bool:
        raise NotImplementedError


@rule("connecting.look-at-once")
class LookAtOnce(_RequestAnswered):
    """A request that was there before the backend, unanswered."""

    def concerns(self, request: Request) -> bool:
        return request.early and request.well_formed


@rule("connecting.serves-initialised")
class ServesInitialised(_RequestAnswered):
    """A request of a frontend that is still Initialised, unanswered."""

    def concerns(self, request: Request) -> bool:
        still = self.scene.nodes.get((FRONTEND, "state")) == _INITIALISED
        return still and request.well_formed


@rule("connecting.frontend-waits", "nodes")
class FrontendWaits(_OnOwnState):
    """A frontend that says Connected before the backend does."""

    def judge(self, state: str) -> None:
        if state == _CONNECTED:
            own = self.node(BACKEND, "state")
            self.check(own == _CONNECTED, "the backend's state 4 first", f"the backend's is {own}")


@rule("connecting.submit-when-connected", "nodes")
class SubmitWhenConnected(Rule):
    """A frontend that submits before somebody was there for what it has published."""

    def begin(self) -> None:
        self._met = False

    def on_node(self, role: Role, name: str, value: str | None, by: str) -> None:
        if (role, name) == (FRONTEND, "ring-ref"):
            self._met = False
        elif (role, name, value) == (BACKEND, "state", _CONNECTED):
            self._met = True

    def on_state(self, by: Role, old: int, new: int) -> None:
        if by is FRONTEND and new == SUBMIT:
            state = self.scene.nodes.get((BACKEND, "state"))
            self.check(self._met, "the backend's state 4 first", f"SUBMIT while it is {state}")
