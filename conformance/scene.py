# SPDX-License-Identifier: MIT
"""
What a trace means: the page, the request in it, the nodes, step by step.

A ``Scene`` reads events and tells its listeners what happened.  Stores that
the link saw are told as they are.  Where the link only looks at the page, a
difference from what the trace implies is a change by the role under
judgement; it is *dated* only if an earlier look shows that it is recent.

Listeners are plain functions, kept by the name of what they listen to:

- ``change(by, at, old, new, dated)``: bytes of the page but ``state`` became others
- ``state(by, old, new)``: the ``state`` byte was written
- ``load(by, at, data)``, ``sample()``, ``notify(by, count)``
- ``request(request)``: a request, as its backend can find it
- ``answer(request, answer)``: an answer, as its frontend can find it
- ``node(role, name, value, by)``: a node of ``role``'s directory changed
- ``tried(role, name, op, by, ok)``: somebody read, wrote or removed such a node, or was refused
- ``mapped(by, ok, gref)``, ``bound(by, ok, remote)``, ``order(order)``, ``result(result)``
- ``granted(gref)``, ``revoked(gref, ok)``, ``unmapped(by, gref)``, ``unbound(by)``
- ``phase(name)``, ``silence(silence)``, ``exit(how)``, ``end()``
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from conformance import trace
from conformance.messages import Answer, Request
from vtpm_ref import page
from vtpm_ref.packet import Family
from vtpm_ref.states import BACKEND, CANCEL, FINISH, FRONTEND, IDLE, OWNER, SUBMIT, Role
from vtpm_ref.steps import parse_number
from vtpm_ref.xenbus import BACKEND_CLOSES, Place, XenbusState, is_state

_STATE_AT = page.STATE.offset

#: Paths whose place is remembered; a trace with more of them costs time, not memory.
MOST_PATHS = 1000

_BUSY = frozenset({SUBMIT, CANCEL})
_FREE = frozenset({IDLE, FINISH})
#: Each role by its name; calling the enumeration takes ten times as long.
_ROLES = {role.value: role for role in Role}
_CLOSES = frozenset(str(int(state)) for state in BACKEND_CLOSES)
_OWNERS = {state.value: role for state, role in OWNER.items()}


class Scene:
    """
    The state of one trace at the line that was read last.

    :ivar page: the page as far as the trace tells.
    :ivar family: the TPM that the target speaks.
    :ivar seen: for each role, the ``state`` that it last loaded, or has stored since.
    :ivar request: the request in the page, answered or not; ``None`` at first.
    :ivar last_answer: the answer to that request, ``None`` until it is known.
    :ivar orders: the orders that a frontend has not reported on yet.
    :ivar nodes: committed node texts by (role of the directory, name).
    :ivar granted: the pages that the frontend has granted, by reference.
    :ivar allocated: the ports that the frontend has allocated.
    :ivar all: the scenes of all connections of the trace, this one included.
    :ivar handlers: what takes in each type of event; other types mean nothing.
    """

    def __init__(self, header: trace.Header, place: Place, all: list["Scene"]) -> None:
        self.header = header
        self.all = all
        all.append(self)
        self.judged = frozenset(Role(name) for name in header.judged)
        self.page = bytearray(page.PAGE_SIZE)
        self.granted: set[int] = set()
        self.allocated: set[int] = set()
        self.shared = False
        self.seen: dict[Role, int | None] = {FRONTEND: None, BACKEND: None}
        self.request: Request | None = None
        self.last_answer: Answer | None = None
        self.orders: list[trace.Order] = []
        self.nodes: dict[tuple[Role, str], str] = {}
        self.node_tx: dict[tuple[Role, str], int] = {}
        self.phase = ""
        self.family = Family.NONE
        self._awaits_look: Role | None = None
        self._told_to_close = False
        self._answer_due = False
        self._unanswered = False
        self._numbers = 0
        self._xenbus: dict[Role, int | None] = {}
        self._writes: dict[tuple[str, int], list[tuple[Role, str, str | None]]] = {}
        self._listeners: dict[str, list[Callable[..., None]]] = defaultdict(list)
        self._paths: dict[str, tuple[Role, str] | None] = {}
        self._place = place
        self.handlers: dict[type, Callable[[Any], None]] = {
            trace.Target: self._target,
            trace.Load: self._load,
            trace.Store: self._store,
            trace.Sample: self._sample,
            trace.Notify: self._notify,
            trace.Grant: self._grant,
            trace.Map: self._map,
            trace.Bind: self._bind,
            trace.Node: self._node,
            trace.Order: self._order,
            trace.Result: self._result,
            trace.Phase: self._phase,
            trace.Silence: self._silence,
            trace.Exit: self._exit,
        }

    def listen(self, what: str, listener: Callable[..., None]) -> None:
        """Call ``listener`` for every ``what`` (see the list above)."""
        self._listeners[what].append(listener)

    def feed(self, event: trace.AnyEvent) -> None:
        """Take in one event and tell the listeners what it means."""
        handler = self.handlers.get(type(event))
        if handler is not None:
            handler(event)

    def end(self) -> None:
        """The trace is over."""
        self._settle()
        self._tell("end")

    @property
    def closing(self) -> bool:
        """Whether the frontend has been told to close, by an order or by its backend."""
        return self._told_to_close or self.nodes.get((BACKEND, "state")) in _CLOSES

    @property
    def state(self) -> int:
        """The ``state`` byte."""
        return self.page[_STATE_AT]

    def connected(self, role: Role) -> bool:
        """Whether the state node of ``role`` says Connected, or did before it made no sense."""
        return self._xenbus.get(role) == XenbusState.CONNECTED

    def carries_out(self, result: trace.Result) -> bool:
        """Whether ``result`` is of the order that the request in the page carries out."""
        order = self.request.order if self.request is not None else None
        return order is not None and order.id == result.id

    def evidence(self, role: Role, kind: str) -> str:
        """Level of evidence that the trace gives of ``role``'s ``kind``."""
        levels = self.header.evidence.get(role.value, {})
        # A trace without bodies says so; what no header speaks of was not seen.
        return levels.get(kind, "exact" if kind == "bodies" else "none")

    def _tell(self, what: str, *details: object) -> None:
        for listener in self._listeners[what]:
            listener(*details)

    def _target(self, event: trace.Target) -> None:
        if event.tpm in tuple(Family):
            self.family = Family(event.tpm)

    # The page.

    def _load(self, event: trace.Load) -> None:
        by, at, data = _ROLES[event.by], event.at, bytes.fromhex(event.data)
        end = at + len(data)
        if self.page[at:end] != data:
            self._learn(by.peer, at, data)
        if at <= _STATE_AT < end:
            self.seen[by] = data[_STATE_AT - at]
            self._settle()
        for listener in self._listeners["load"]:
            listener(by, at, data)

    def _notify(self, event: trace.Notify) -> None:
        by = _ROLES[event.by]
        for listener in self._listeners["notify"]:
            listener(by, event.count)

    def _sample(self, event: trace.Sample) -> None:
        at, data = event.at, bytes.fromhex(event.data)
        for role in sorted(self.judged):
            if self.page[at : at + len(data)] != data:
                self._learn(role, at, data)
        self._awaits_look = None
        self._settle()
        self._tell("sample")

    def _store(self, event: trace.Store) -> None:
        by, data = _ROLES[event.by], bytes.fromhex(event.data)
        if by is BACKEND and by not in self.judged and self.last_answer is not None:
            self.last_answer.disturbed = True
        # Where both are judged, the frontend's store may cross an answer: that was first.
        if by not in self.judged or (by is FRONTEND and self._answer_due):
            self._settle()
        self._written(by, event.at, data, dated=True)

    def _learn(self, by: Role, at: int, data: bytes) -> None:
        """Take in what somebody saw at ``at`` that is not in the page: ``by`` has written it."""
        dated = by not in self.judged or self._awaits_look is None
        first, last = at, at + len(data)
        if not first <= _STATE_AT < last or data[_STATE_AT - at] == self.state:
            self._written(by, at, data, dated=dated)
            return
        # Where a look shows both, the bytes are taken to be older than the state.
        rest = data[: _STATE_AT - at] + bytes([self.state]) + data[_STATE_AT + 1 - at :]
        if self.page[first:last] != rest:
            self._written(by, at, rest, dated=False)
        self._awaits_look = by
        self._written(by, _STATE_AT, data[_STATE_AT - at : _STATE_AT + 1 - at], dated=True)

    def _written(self, by: Role, at: int, data: bytes, *, dated: bool) -> None:
        end = at + len(data)
        old = bytes(self.page[at:end])
        if not self.shared:
            self.page[at:end] = data
        elif not at <= _STATE_AT < end:
            self.page[at:end] = data
            if old != data:
                for listener in self._listeners["change"]:
                    listener(by, at, old, data, dated)
        else:
            self._written_with_state(by, at, old, data, dated)

    def _written_with_state(self, by: Role, at: int, old: bytes, data: bytes, dated: bool) -> None:
        """One store of ``state`` and its neighbours: these are not later than it."""
        index = _STATE_AT - at
        rest = data[:index] + old[index : index + 1] + data[index + 1 :]
        self.page[at : at + len(data)] = rest
        if old != rest:
            self._tell("change", by, at, old, rest, dated)
        if len(data) == 1 or data != rest:
            self.page[_STATE_AT] = data[index]
            self._state_written(by, old[index], data[index])

    def _state_written(self, by: Role, old: int, new: int) -> None:
        if new == SUBMIT and by is FRONTEND and old not in _BUSY:
            self.request = Request(
                number=self._next_number(),
                over=old,
                early=not self.connected(BACKEND),
                order=next((order for order in self.orders if order.do == "send"), None),
            )
            self._answer_due = False
            self._unanswered = True
            self.last_answer = None
        elif new == CANCEL and by is FRONTEND and self.request is not None:
            self._unanswered = True  # also where it crossed an answer: another one follows
        for listener in self._listeners["state"]:
            listener(by, old, new)
        self.seen[by] = new
        if new in _FREE and by is BACKEND and self._unanswered:
            self._unanswered = False
            self._answer_due = True
            if self.request is not None:
                self.request.answered = self._next_number()
        if by not in self.judged:
            self._settle()

    def _settle(self) -> None:
        """Tell of a request or answer, now that its bytes are known."""
        request = self.request
        if request is None or self._awaits_look is not None:
            return
        if not request.told and self.page[_STATE_AT] in _BUSY:
            request.fill(self.page)
            request.order = self._order_of(request)
            request.told = True
            for listener in self._listeners["request"]:
                listener(request)
        if self._answer_due:
            self._answer_due = False
            at = page.packet_offset(request.header.nr_extra_pages)
            length = int.from_bytes(self.page[0:4], "little")
            self.last_answer = Answer(self.page[_STATE_AT], length, at, bytes(self.page))
            for listener in self._listeners["answer"]:
                listener(request, self.last_answer)

    def _next_number(self) -> int:
        """The number of the next request or answer, over all connections."""
        first = self.all[0]
        first._numbers += 1
        return first._numbers

    def _order_of(self, request: Request) -> trace.Order | None:
        """
        The order that a request carries out: the one with its packet.

        A packet that makes no sense is put down to the oldest order; one that
        does, and was not ordered, is the frontend's own.
        """
        packet = request.packet.hex()
        ordered = next((order for order in self.orders if order.packet == packet), None)
        return ordered or (None if request.well_formed else request.order)

    def owner(self) -> Role | None:
        """Who owns the page but for ``state``; ``None`` for an unknown state."""
        return _OWNERS.get(self.page[_STATE_AT])

    # Everything else.

    def _grant(self, event: trace.Grant) -> None:
        """A page granted by the frontend is a new one, and nobody else's yet."""
        if not event.on:
            self._tell("revoked", event.gref, event.ok)
        elif _ROLES[event.by] is FRONTEND:
            self._new_page()
            self.granted.add(event.gref)
            self._tell("granted", event.gref)

    def _new_page(self) -> None:
        """Whatever was in the page before is not in this one."""
        self.page[:] = bytes(page.PAGE_SIZE)
        self.shared = False
        self.seen = {FRONTEND: None, BACKEND: None}
        self.request = self.last_answer = None
        self._awaits_look = None
        self._answer_due = self._unanswered = False
        self._told_to_close = False

    def _map(self, event: trace.Map) -> None:
        if not event.on:
            self._tell("unmapped", _ROLES[event.by], event.gref)
            return
        if event.ok:
            self.shared = True
        self._tell("mapped", _ROLES[event.by], event.ok, event.gref)

    def _bind(self, event: trace.Bind) -> None:
        if event.on:
            if event.port is not None and event.remote is None:
                self.allocated.add(event.port)
            self._tell("bound", _ROLES[event.by], event.ok, event.remote)
        else:
            self._tell("unbound", _ROLES[event.by])

    def _node(self, event: trace.Node) -> None:
        key = (event.by, event.tx)
        place = self._node_place(event.path) if event.op in ("read", "write", "rm") else None
        if place is not None:
            self._tell("tried", *place, event.op, event.by, event.ok)
        if place is not None and event.op in ("write", "rm") and event.ok:
            value = event.value if event.op == "write" else None
            if event.tx:
                self._writes.setdefault(key, []).append((*place, value))
            else:
                self._set_node(*place, value, event.by, 0)
        elif event.op == "end":
            for role, name, value in self._writes.pop(key, []):
                if event.ok:
                    self._set_node(role, name, value, event.by, event.tx)

    def _set_node(self, role: Role, name: str, value: str | None, by: str, tx: int) -> None:
        if value is None:
            self.nodes.pop((role, name), None)
        else:
            self.nodes[role, name] = value
            self.node_tx[role, name] = tx
        if name == "state" and (value is None or is_state(value)):
            self._xenbus[role] = parse_number(value)
        if name == "ring-ref" and role is FRONTEND:
            unseen = self.evidence(FRONTEND, "revocations") == "none"
            if unseen and FRONTEND in self.judged and parse_number(value) not in self.granted:
                self._new_page()
            self.shared = True
        self._tell("node", role, name, value, by)

    def _node_place(self, path: str) -> tuple[Role, str] | None:
        if path not in self._paths:
            if len(self._paths) > MOST_PATHS:
                self._paths.clear()
            home, _, name = path.rpartition("/")
            homes = {
                self._place.frontend_dir: FRONTEND,
                self._place.backend_dir: BACKEND,
            }
            self._paths[path] = (homes[home], name) if home in homes else None
        return self._paths[path]

    def _order(self, event: trace.Order) -> None:
        self._told_to_close = self._told_to_close or event.do == "close"
        self._tell("order", event)
        self.orders.append(event)

    def _result(self, event: trace.Result) -> None:
        self._settle()
        self._tell("result", event)
        self.orders = [o for o in self.orders if o.id != event.id and o.do == "send"]

    def _phase(self, event: trace.Phase) -> None:
        self._settle()
        self.phase = event.name
        self._tell("phase", event.name)

    def _silence(self, event: trace.Silence) -> None:
        self._awaits_look = None
        self._settle()
        self._tell("silence", event)

    def _exit(self, event: trace.Exit) -> None:
        self._tell("exit", event.how)
