# SPDX-License-Identifier: MIT
"""Rules of the page on one exchange."""

from conformance import trace
from conformance.messages import Answer, Request
from conformance.rules.base import Rule, rule
from conformance.rules.states import GIVEN_UP, _offending, name_of
from vtpm_ref import page
from vtpm_ref.states import BACKEND, CANCEL, FINISH, FRONTEND, IDLE, SUBMIT, Role, State

#: Surplus events that are put down to the link while stores are only sampled.
TOLERATED_EVENTS = 100


class _BytesBeforeState(Rule):
    """Bytes of a packet that were stored after the state that announces them."""

    writer: Role
    announced: tuple[State, ...]
    fields: tuple[page.Field, ...]

    def begin(self) -> None:
        self._late = False

    def on_state(self, by: Role, old: int, new: int) -> None:
        if by is self.writer and new in self.announced:
            self._late = False

    def on_change(self, by: Role, at: int, old: bytes, new: bytes, dated: bool) -> None:
        late = by is self.writer and dated and self.scene.state in self.announced
        if late and not self._late and self._concerns(at, old, new):
            self._late = True
            state = name_of(self.scene.state)
            self.broken(f"all of it stored before {state}", _offending(at, old, new))

    def _concerns(self, at: int, old: bytes, new: bytes) -> bool:
        """Whether a byte has changed that is part of the packet, or says where that lies."""
        header = page.Header.unpack(bytes(self.scene.page[: page.HEADER_SIZE]))
        start = page.packet_offset(header.nr_extra_pages)
        packet = range(start, min(start + header.length, page.PAGE_SIZE))
        places = [range(field.offset, field.end) for field in self.fields] + [packet]
        changed = [at + i for i in range(len(new)) if old[i] != new[i]]
        return any(place in part for place in changed for part in places)


@rule("exchange.request-before-state", "stores")
class RequestBeforeState(_BytesBeforeState):
    """A request that is completed after SUBMIT."""

    writer, announced = FRONTEND, (SUBMIT,)
    fields = (page.LENGTH, page.LOCALITY, page.NR_EXTRA_PAGES)

    def on_answer(self, request: Request, answer: Answer) -> None:
        if not self._late:
            self.kept()


@rule("exchange.response-before-state", "stores")
class ResponseBeforeState(_BytesBeforeState):
    """A response that is completed after FINISH."""

    writer, announced = BACKEND, (FINISH,)
    fields = (page.LENGTH,)

    def on_answer(self, request: Request, answer: Answer) -> None:
        if answer.state == FINISH:
            self.kept()


class _Notifies(Rule):
    """
    A state that was written without an event after it.

    Where stores are only sampled, an event can be seen before its state.
    """

    states: tuple[State, ...]

    def begin(self) -> None:
        self._owed = False
        self._early = False
        self._sampled = self.scene.evidence(self.role, "stores") != "exact"

    def on_state(self, by: Role, old: int, new: int) -> None:
        if by is self.role and new in self.states:
            self._owed = not self._early
            if self._early:
                self.kept()
        self._early = False

    def on_notify(self, by: Role, count: int) -> None:
        if by is self.role:
            if self._owed:
                self.kept()
            self._early = self._sampled and not self._owed
            self._owed = False

    def on_load(self, by: Role, at: int, data: bytes) -> None:
        if by is not self.role and at <= page.STATE.offset < at + len(data):
            self._early = False  # it was looked for, and not there yet

    def on_silence(self, silence: trace.Silence) -> None:
        if silence.awaited == "an event" and self._owed and self.scene.state in self.states:
            self.broken("an event", f"{name_of(self.scene.state)} and no event")
            self._owed = False


@rule("exchange.submit-notifies")
class SubmitNotifies(_Notifies):
    """SUBMIT or CANCEL without an event."""

    states = (SUBMIT, CANCEL)


@rule("exchange.answer-notifies")
class AnswerNotifies(_Notifies):
    """FINISH or IDLE without an event."""

    states = (FINISH, IDLE)


@rule("exchange.spurious-events")
class SpuriousEvents(Rule):
    """
    A reaction to an event for which ``state`` gives no cause.

    What a frontend stores is no reaction: it may submit or give up at any time.
    """

    def needed(self) -> tuple[str, ...]:
        return ("orders",) if self.role is FRONTEND else ("stores",)

    def begin(self) -> None:
        self._fresh = False
        self._spurious = False

    def on_state(self, by: Role, old: int, new: int) -> None:
        if by is not self.role:
            if self._spurious:
                self.kept()
            self._fresh, self._spurious = True, False
        elif self._spurious and by is BACKEND and old in (IDLE, FINISH):
            self._react(f"{name_of(new)} over {name_of(old)}")

    def on_notify(self, by: Role, count: int) -> None:
        if by is not self.role and self.scene.request is not None:
            self._spurious = not self._fresh
            self._fresh = False

    def on_result(self, result: trace.Result) -> None:
        if self.role is not FRONTEND or not self._spurious:
            return
        ended = result.outcome not in GIVEN_UP and self.scene.carries_out(result)
        if ended and self.scene.state == SUBMIT and not self.scene.closing:
            self._react(f"the order ended as {result.outcome}")

    def _react(self, how: str) -> None:
        self._spurious = False
        self.broken("nothing: state asks for nothing", how)


@rule("exchange.event-per-change", "stores", "events")
class EventPerChange(Rule):
    """More events than stores to ``state``."""

    def begin(self) -> None:
        self._surplus = 0 if self.can_pass else -TOLERATED_EVENTS
        self._events = 0

    def on_bound(self, by: Role, ok: bool, remote: int | None) -> None:
        if by is self.role is BACKEND and ok and self.scene.connected(FRONTEND):
            self._surplus -= 1  # a frontend that waits already is told

    def on_state(self, by: Role, old: int, new: int) -> None:
        if by is self.role:
            self._surplus -= 1
            if new == CANCEL and old in (IDLE, FINISH) and not self.can_pass:
                self._surplus -= 1  # it may lie over a SUBMIT that nobody saw

    def on_notify(self, by: Role, count: int) -> None:
        if by is not self.role:
            return
        if by is FRONTEND and self.scene.state == CANCEL and not self.can_pass:
            return  # it may be that of a CANCEL over CANCEL, which leaves no mark
        self._surplus += count
        self._events += count
        # One may be early; that is for submit-notifies and answer-notifies to judge.
        if self._surplus <= 1:
            self.kept()
        else:
            self._break()

    def on_end(self) -> None:
        if self._surplus == 1:
            self._break()

    def _break(self) -> None:
        stores = self._events - self._surplus - (0 if self.can_pass else TOLERATED_EVENTS)
        said = f"{self._events} events for {stores} stores"
        self.broken("one event for each store to state", said)


@rule("exchange.answered")
class Answered(Rule):
    """A well-formed request that got no answer."""

    def on_answer(self, request: Request, answer: Answer) -> None:
        if request.well_formed:
            self.kept()

    def on_silence(self, silence: trace.Silence) -> None:
        request = self.scene.request
        if silence.awaited == "an answer" and request is not None and request.well_formed:
            seconds = "" if silence.certain else f" within {silence.seconds:g} s"
            self.broken("FINISH or IDLE", f"state stayed {name_of(self.scene.state)}{seconds}")


@rule("exchange.no-acknowledge")
class NoAcknowledge(Rule):
    """A request over FINISH that got no answer, where one of its kind over IDLE did."""

    def begin(self) -> None:
        self._answered_over_idle: set[bytes] = set()

    def on_answer(self, request: Request, answer: Answer) -> None:
        if request.over == FINISH:
            self.kept()
        else:
            self._answered_over_idle.add(_command_code(request))

    def on_silence(self, silence: trace.Silence) -> None:
        request = self.scene.request
        if request is None or not request.well_formed or silence.awaited != "an answer":
            return
        known = _command_code(request) in self._answered_over_idle
        if request.over == FINISH and known and self.scene.phase == "setup":
            self.broken("an answer, as over IDLE", "no answer to SUBMIT over FINISH")


def _command_code(request: Request) -> bytes:
    return request.packet[6:10]


class _OnOwnResult(Rule):
    """A rule on the result of the order that the request in the page carries out."""

    def on_result(self, result: trace.Result) -> None:
        answer = self.scene.last_answer
        disturbed = answer is not None and answer.disturbed
        if self.scene.carries_out(result) and not disturbed:
            self.judge(result)

    def judge(self, result: trace.Result) -> None:
        raise NotImplementedError


@rule("exchange.response-taken", "orders")
class ResponseTaken(_OnOwnResult):
    """A response that is not what is in the page, or that is never taken."""

    def begin(self) -> None:
        self._taken: Answer | None = None

    def on_result(self, result: trace.Result) -> None:
        self._taken = self.scene.last_answer
        super().on_result(result)

    def judge(self, result: trace.Result) -> None:
        answer = self.scene.last_answer
        if answer is None or answer.state != FINISH or not answer.sound:
            return
        gave_up = result.outcome == "timed-out" or self._closes()
        if gave_up and self.scene.seen[FRONTEND] != FINISH:
            return  # it did not know of the response
        taken = bytes.fromhex(result.packet)
        if answer.moved and taken == answer.elsewhere:
            return  # that is for robust.own-window to judge
        if result.outcome != "response":
            self.broken(f"the response of {answer.length} bytes", f"the order {result.outcome}")
        elif taken == answer.packet:
            self.kept()
        else:
            said = f"{len(taken)} bytes, {taken[:10].hex(' ')} ..."
            self.broken(f"{answer.length} bytes, {answer.packet[:10].hex(' ')} ...", said)

    def _closes(self) -> bool:
        return any(order.do == "close" for order in self.scene.orders)

    def on_silence(self, silence: trace.Silence) -> None:
        answer = self.scene.last_answer
        if silence.awaited != "a result" or answer is None or answer is self._taken:
            return
        if answer.state == FINISH == self.scene.state and answer.sound:
            self.broken("the response taken", "no result of the order")


@rule("exchange.waits-for-answer", "orders")
class WaitsForAnswer(_OnOwnResult):
    """A response that was taken while the page held none."""

    def judge(self, result: trace.Result) -> None:
        if result.outcome == "response":
            state = self.scene.state
            self.check(
                self.scene.last_answer is not None,
                "to wait for FINISH",
                f"a response while state is {name_of(state)}",
            )


@rule("exchange.idle-is-no-response", "orders")
class IdleIsNoResponse(_OnOwnResult):
    """A response that was taken although the backend gave none."""

    def judge(self, result: trace.Result) -> None:
        answer = self.scene.last_answer
        if answer is not None and answer.state == IDLE:
            said = f"a response of {len(result.packet) // 2} bytes"
            self.check(result.outcome != "response", "an end without a response", said)

    def on_silence(self, silence: trace.Silence) -> None:
        waits = silence.awaited == "a result" and bool(self.scene.orders)
        answer = self.scene.last_answer
        if waits and answer is not None and answer.state == IDLE:
            self.broken("an end without a response", "no result of the order")


@rule("exchange.one-copy", "loads")
class OneCopy(Rule):
    """A backend that loads a byte of the request a second time."""

    def begin(self) -> None:
        self._loaded = 0  # one bit a byte
        self._again: int | None = None

    def on_state(self, by: Role, old: int, new: int) -> None:
        if by is FRONTEND and new == SUBMIT:
            self._loaded, self._again = 0, None

    def on_load(self, by: Role, at: int, data: bytes) -> None:
        if by is not BACKEND or self.scene.owner() is not BACKEND:
            return
        loaded = ((1 << len(data)) - 1) << at & ~(1 << page.STATE.offset)
        twice = loaded & self._loaded
        if twice and self._again is None:
            self._again = (twice & -twice).bit_length() - 1
        self._loaded |= loaded

    def on_answer(self, request: Request, answer: Answer) -> None:
        if self._loaded:
            said = f"byte {self._again} loaded twice"
            self.check(self._again is None, "each byte but state loaded once", said)
