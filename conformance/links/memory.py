# SPDX-License-Identifier: MIT
"""
The memory link: the target is a Python object, every step of it is seen.

There is no clock.  When the target rests and what was awaited has not come, it
cannot come any more, and the wait ends at once.
"""

import contextlib
from collections.abc import Callable
from typing import Any

from conformance.driver import Driver, Tpm
from conformance.errors import AdapterError
from conformance.links.base import ALWAYS_EXACT, Link, Outcome
from conformance.links.connection import Connection
from conformance.links.xenstore import StoreError
from conformance.recorder import Recorder
from conformance.targets import Target
from vtpm_ref.page import PAGE_SIZE
from vtpm_ref.states import Role
from vtpm_ref.steps import Answer
from vtpm_ref.xenbus import Place

#: Everything a Python object does passes through the link's hands.
EVIDENCE = {**ALWAYS_EXACT, "loads": "exact", "stores": "exact", "events": "exact"}

#: Steps within one wait after which a target that never rests is not waited for.
MOST_STEPS = 20000


class MemoryLink(Link):
    """
    A target made by ``factory(place)``, and the hands of its machine.
    """

    def __init__(
        self,
        judged: Role,
        place: Place,
        recorder: Recorder,
        factory: Callable[[Place], Target],
    ) -> None:
        super().__init__(judged, place, recorder)
        self._factory = factory
        self._target: Target | None = None
        self._drivers: dict[int, Driver] = {}
        self._rests = False

    def start(self) -> None:
        """
        Make the target.

        :raises AdapterError: the factory raised, or made no target.
        """
        self._target = self._make(self._factory)
        self.can = self._target.can
        self._drivers[0] = self._drive(self._target, self.first)

    def stop(self) -> None:
        """A target in memory needs no end."""
        self._drivers.clear()

    def wait(
        self,
        ready: Callable[[], bool],
        limit: float,
        awaited: str,
        connection: Connection | None = None,
        *,
        eager: bool = False,
    ) -> bool:
        """See ``Link.wait``; ``limit`` bounds only a TPM that really works."""
        self._rests = False
        for _ in range(MOST_STEPS):
            if ready():
                return True
            if not self._step(limit):
                self._rests = not self.working
                break
        self.silence(awaited, limit, connection)
        return False

    @property
    def working(self) -> bool:
        """Whether a TPM works on a command, so that something can still come."""
        return any(driver.may_finish for driver in self._drivers.values())

    def _nothing_can_come(self) -> bool:
        return self._rests or super()._nothing_can_come()

    def settle(self, connection: Connection, limit: float, *, nodes: bool = False) -> None:
        """See ``Link.settle``; until the target rests."""
        for _ in range(MOST_STEPS):
            if not self._step(0):
                return

    def expire(self) -> bool:
        """See ``Link.expire``."""
        driver = self._drivers.get(0)
        if self.judged is not Role.FRONTEND or driver is None or not driver.machine.patient:
            return False
        driver.expired()
        return True

    def _step(self, limit: float) -> bool:
        """One step of the target; ``False`` when it rests or has crashed."""
        if self.exited:
            return False
        try:
            return self._advance(limit)
        except (Exception, SystemExit) as error:
            self.exited = f"raised {error!r}"
            self.recorder.event("exit", how=self.exited)
            return False

    def _make(self, factory: Callable[[Place], Target]) -> Target:
        """
        Call a factory.

        :raises AdapterError: it raised, or made no target.
        """
        try:
            target = factory(self.place)
        except AdapterError:
            raise
        except (Exception, SystemExit) as error:
            raise AdapterError(f"the factory of the target failed: {error!r}") from error
        if not isinstance(target, Target):
            raise AdapterError(f"the factory of the target made {target!r}, which is no Target")
        self.family = target.tpm.family if target.tpm else target.family
        return target

    def _drive(self, target: Target, connection: Connection) -> Driver:
        """The driver of the target's machine for ``connection``."""

        def ring() -> None:
            if self.joined(connection):
                connection.events += 1

        return MemoryHands(connection, self.judged, ring).drive(target.machine, target.tpm)

    def _meet(self, connection: Connection) -> None:
        if self._target is not None and self._target.another is not None:
            further = self._target.another(connection.place)
            self._drivers[connection.number] = self._drive(further, connection)

    def _advance(self, limit: float) -> bool:
        drivers = self._drivers.values()
        return any(driver.step() for driver in drivers) or any(
            driver.finish_work(limit) for driver in drivers
        )

    def signal(self, connection: Connection) -> None:
        """See ``Link.signal``; a port that nobody has bound brings nothing."""
        driver = self._drivers.get(connection.number)
        if driver is not None and self.joined(connection):
            driver.event()

    def _order(self, number: int, do: str, packet: bytes, locality: int) -> None:
        if 0 in self._drivers:
            self._drivers[0].order(number, do, packet, locality)


class MemoryHands:
    """
    One role's side of a connection; records each step as it is taken.

    :param ring: brings a notification to the peer.
    """

    def __init__(self, connection: Connection, role: Role, ring: Callable[[], None]) -> None:
        self._connection = connection
        self._link = connection.link
        self._recorder = connection.recorder
        self._number = connection.number
        self._role = role
        self._ring = ring
        self._domid = connection.domid_of(role)
        self._page: memoryview | None = None
        self._gref = 0
        self._driver: Driver | None = None

    def drive(self, machine: Any, tpm: Tpm | None) -> Driver:
        """The driver of ``machine``, whose hands these become."""
        self._driver = Driver(machine, self, tpm)
        return self._driver

    def load(self, at: int, size: int) -> bytes:
        data = bytes(self._part(at, size))
        if self._is_current:
            self._recorder.load(self._role, at, data, self._number)
        return data

    def store(self, at: int, data: bytes) -> None:
        part = self._part(at, len(data))
        if self._is_current:
            self._recorder.store(self._role, at, data, self._number)
        part[:] = data

    def notify(self) -> None:
        if self._is_current:
            self._recorder.notify(self._role, connection=self._number)
        self._ring()

    def grant(self, domid: int) -> int:
        gref = self._link.grant(self._connection, self._role)
        if gref is None:
            raise RuntimeError("the target grants more pages than the link has")
        self._page = self._link.page_of(gref)
        # A page that was used before: whoever grants it has to clear it.
        self._page[:] = b"\xa5" * PAGE_SIZE
        self._recorder.store(self._role.value, 0, bytes(self._page), self._number)
        return gref

    def map(self, domid: int, gref: int) -> bool:
        possible = self._link.map(self._connection, self._role, gref, domid)
        if possible:
            self._page, self._gref = self._link.page_of(gref), gref
        return possible

    def bind(self, domid: int, port: int | None) -> int | None:
        bound = self._link.bind(self._connection, self._role, domid, port)
        if self._driver is not None and bound is not None and port is not None:
            self._driver.event()  # binding raises one event, as Xen does it
        return bound

    def unmap(self, gref: int) -> None:
        self._link.unmap(self._connection, self._role, gref)
        self._page = None

    def unbind(self, port: int) -> None:
        self._link.unbind(self._connection, self._role, port)

    def revoke(self, gref: int) -> bool:
        possible = self._link.revoke(self._connection, self._role, gref)
        if possible:
            self._page = None
        return possible

    def read_node(self, path: str) -> str | None:
        return self._link.store_.read(self._domid, path)

    def write_nodes(self, nodes: tuple[tuple[str, str], ...]) -> None:
        store = self._link.store_
        tx = store.start(self._domid) if len(nodes) > 1 else 0
        for path, text in nodes:
            try:
                store.write(self._domid, path, text, tx)
            except StoreError as error:
                if str(error) != "EACCES":
                    raise
                # The trace tells of it; a refused write is no crash.
        if tx:
            store.end(self._domid, tx, commit=True)

    def watch_node(self, path: str) -> None:
        def fire(watched: str, token: str, changed: str) -> None:
            if self._driver is not None:
                self._driver.changed(changed)

        with contextlib.suppress(StoreError):  # it watches this path already
            self._link.store_.watch(self._domid, path, path, fire)

    def deliver(self, order: int, answer: Answer, why: str) -> None:
        self._recorder.event(
            "result", id=order, outcome=answer.outcome, packet=answer.packet.hex(), why=why
        )
        self._link.results[order] = Outcome(answer.outcome, answer.packet, why)

    @property
    def _is_current(self) -> bool:
        """Whether it has the page that the tester uses; the trace of a connection has no other."""
        return self._role is not Role.BACKEND or self._connection.gref in (0, self._gref)

    def _part(self, at: int, size: int) -> memoryview:
        """
        The bytes of the page that a step is about.

        :raises RuntimeError: there are none; the target's fault, told as its crash.
        """
        if self._page is None:
            raise RuntimeError("the target touched a page that it does not have")
        if not 0 <= at <= at + size <= PAGE_SIZE:
            raise RuntimeError(f"the target touched {size} bytes at {at}, outside the page")
        return self._page[at : at + size]
