# SPDX-License-Identifier: MIT
"""Rules of the page on the states and their writers."""

from conformance import trace
from conformance.messages import Answer, Request
from conformance.rules.base import Rule, rule
from vtpm_ref import page
from vtpm_ref.states import (
    BACKEND,
    CANCEL,
    FINISH,
    FRONTEND,
    IDLE,
    SUBMIT,
    TRANSITIONS,
    WRITABLE,
    Kind,
    Role,
    State,
)

_KNOWN = tuple(State)

#: Results with which a frontend ends an order by its own decision.
GIVEN_UP = ("timed-out", "refused", "closed")


def name_of(state: int) -> str:
    """A state byte in words."""
    return State(state).name if state in _KNOWN else f"the unknown value {state}"


def _offending(at: int, old: bytes, new: bytes) -> str:
    """Name the first byte that a change changed, by field and offset."""
    index = next((i for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b), 0)
    place = at + index
    field = next((f.name for f in page.FIELDS if f.offset <= place < f.end), "the packet")
    return f"{field} (byte {place}): {old[index]:#04x} became {new[index]:#04x}"


class _Writes(Rule):
    """A state value that the role may never write."""

    def on_state(self, by: Role, old: int, new: int) -> None:
        if by is self.role:
            allowed, _ = WRITABLE[self.role]
            if new in allowed:
                self.kept()
            else:
                names = " or ".join(sorted(state.name for state in allowed))
                self.broken(names, f"{name_of(new)} over {name_of(old)}")


@rule("states.frontend-writes", "stores")
class FrontendWrites(_Writes):
    """A frontend that writes IDLE, FINISH or a value without a name."""


@rule("states.backend-writes", "stores")
class BackendWrites(_Writes):
    """A backend that writes SUBMIT, CANCEL or a value without a name."""


@rule("states.submit-when-free", "stores")
class SubmitWhenFree(Rule):
    """SUBMIT over a request that is not answered yet."""

    def on_state(self, by: Role, old: int, new: int) -> None:
        if by is FRONTEND and new == SUBMIT and old in _KNOWN:
            if TRANSITIONS[State(old), by, SUBMIT].kind is Kind.LEGAL:
                self.kept()
            else:
                self.broken("SUBMIT over IDLE or FINISH", f"SUBMIT over {name_of(old)}")


@rule("states.cancel-when-busy", "stores")
class CancelWhenBusy(Rule):
    """CANCEL over an answer that the frontend has seen, or had not asked for."""

    def begin(self) -> None:
        self._tempted = False
        self._over: int | None = None
        self._sampled = self.scene.evidence(self.role, "stores") != "exact"

    def on_order(self, order: trace.Order) -> None:
        if order.do == "cancel" and not self.scene.orders:
            self._tempted = True

    def on_state(self, by: Role, old: int, new: int) -> None:
        if by is not FRONTEND:
            return
        if new == CANCEL and old in (IDLE, FINISH):
            asked = any(order.do == "send" for order in self.scene.orders)
            if self.scene.seen[FRONTEND] == old or not asked:
                self._over = old
                if not self._sampled:
                    self._accuse(old)
        elif new == CANCEL:
            self.kept()

    def on_change(self, by: Role, at: int, old: bytes, new: bytes, dated: bool) -> None:
        if by is FRONTEND:
            self._over = None  # where stores are sampled: a request of its own went unseen

    def on_sample(self) -> None:
        if self._over is not None and self._sampled:
            self._accuse(self._over)

    def _accuse(self, over: int) -> None:
        self._tempted, self._over = False, None
        self.broken("no CANCEL: there is nothing to cancel", f"CANCEL over {name_of(over)}")

    def on_request(self, request: Request) -> None:
        if self._tempted:
            self._tempted = False
            self.kept()


@rule("states.answer-only-requests", "stores")
class AnswerOnlyRequests(Rule):
    """A backend that writes ``state`` although nothing was asked."""

    def on_state(self, by: Role, old: int, new: int) -> None:
        if by is BACKEND and old in (IDLE, FINISH):
            self.broken(
                "no store to state: nothing was asked", f"{name_of(new)} over {name_of(old)}"
            )

    def on_request(self, request: Request) -> None:
        self.kept()


@rule("states.request-stands-still", "stores")
class RequestStandsStill(Rule):
    """A frontend that changes the page while it is the backend's."""

    def on_change(self, by: Role, at: int, old: bytes, new: bytes, dated: bool) -> None:
        if by is FRONTEND and dated and self.scene.owner() is BACKEND:
            state = name_of(self.scene.state)
            self.broken(f"no store but CANCEL while state is {state}", _offending(at, old, new))

    def on_answer(self, request: Request, answer: Answer) -> None:
        self.kept()


@rule("states.response-stands-still", "stores")
class ResponseStandsStill(Rule):
    """A backend that changes the page while it is the frontend's."""

    def on_change(self, by: Role, at: int, old: bytes, new: bytes, dated: bool) -> None:
        if by is BACKEND and dated and self.scene.owner() is FRONTEND:
            state = name_of(self.scene.state)
            self.broken(f"no store while state is {state}", _offending(at, old, new))

    def on_request(self, request: Request) -> None:
        self.kept()


@rule("states.backend-fields", "stores")
class BackendFields(Rule):
    """A backend that changes what describes the request."""

    def on_change(self, by: Role, at: int, old: bytes, new: bytes, dated: bool) -> None:
        if by is not BACKEND:
            return
        start, end = page.LOCALITY.offset, page.packet_offset(self._extra_pages(at, old))
        for place in range(max(at, start), min(at + len(new), end)):
            if old[place - at] != new[place - at]:
                self.broken(
                    "locality, pad, nr_extra_pages and the list unchanged",
                    _offending(place, old[place - at :], new[place - at :]),
                )
                return

    def on_answer(self, request: Request, answer: Answer) -> None:
        self.kept()

    def _extra_pages(self, at: int, old: bytes) -> int:
        """``nr_extra_pages`` as it was with the request, before the change."""
        if self.scene.request is not None and self.scene.request.told:
            return self.scene.request.header.nr_extra_pages
        offset = page.NR_EXTRA_PAGES.offset
        return old[offset - at] if at <= offset < at + len(old) else self.scene.page[offset]


@rule("states.unknown-waits")
class UnknownWaits(Rule):
    """
    A reaction to a state value that means nothing.

    What would be lawful had the peer not written it is no reaction.
    """

    def begin(self) -> None:
        self._unknown: int | None = None
        self._before = IDLE

    def on_state(self, by: Role, old: int, new: int) -> None:
        if by is self.role:
            if self._unknown is not None and not self._lawful(new):
                self.broken("no store to state", f"{name_of(new)} over {name_of(old)}")
            self._unknown = None
            return
        if self._unknown is not None:
            self.kept()
        if old in _KNOWN:
            self._before = State(old)
        self._unknown = new if new not in _KNOWN else None

    def on_result(self, result: trace.Result) -> None:
        ended = result.outcome not in GIVEN_UP and self.scene.carries_out(result)
        ended = ended and not self.scene.closing
        if self.role is FRONTEND and self._unknown is not None and ended:
            self.broken("to wait on", f"the order ended as {result.outcome}")
            self._unknown = None

    def _lawful(self, new: int) -> bool:
        """Whether the role might write ``new`` over what its peer had written before."""
        cell = TRANSITIONS.get((self._before, self.role, State(new))) if new in _KNOWN else None
        return cell is not None and cell.kind is Kind.LEGAL
