# SPDX-License-Identifier: MIT
"""
The xen link: real grants, event channels and xenstore, from dom0 or a driver domain.

The judge plays one end of the device itself.  It sees the page when it looks, so
stores of the target are sampled; its events and orders are exact.  What it sees of
xenstore is exact where xenstored writes a trace log.
"""

import contextlib
import os
import select
import time
from collections.abc import Callable
from pathlib import Path

from conformance.errors import AdapterError
from conformance.links.base import Link, initial_nodes
from conformance.links.connection import Connection
from conformance.links.xen_devices import EventChannels, Grants, missing
from conformance.links.xen_peers import Peer
from conformance.links.xen_store import RealStore
from conformance.links.xenstore import TOOLSTACK
from conformance.recorder import Recorder
from vtpm_ref import page
from vtpm_ref.states import BACKEND, CANCEL, FRONTEND, IDLE, SUBMIT, Role
from vtpm_ref.xenbus import Place

#: Seconds, before the multiplier, in which a target takes an event that was sent to it.
SETTLE = 0.01

#: Seconds, before the multiplier, until a frontend has let a device go.
_LET_GO = 0.3


def evidence(judged: Role, *, log: bool) -> dict[str, str]:
    """
    What this link sees of the target.

    Grants: the judge maps and binds what a frontend publishes, so it knows those; what
    a backend maps, and when a frontend ends a grant, the hypervisor does not tell.

    :param log: xenstored writes a trace log.
    """
    return {
        "loads": "none",
        "stores": "sampled",
        "events": "exact",
        "orders": "exact",
        "nodes": "exact" if log else "sampled",
        "grants": "exact" if judged is FRONTEND else "none",
        "revocations": "none",
    }


class XenLink(Link):
    """
    A target behind real Xen.

    :param peer: how the judge speaks with it.
    :param scale: multiplier of every limit, for slow machines.
    :param log: xenstored's trace log, if it writes one.

    :ivar disorder: whether the target has not let go at the end, and can take no other case.
    """

    def __init__(
        self,
        judged: Role,
        place: Place,
        recorder: Recorder,
        peer: Peer,
        scale: float = 1.0,
        log: Path | None = None,
    ) -> None:
        self._store: RealStore | None = None
        super().__init__(judged, place, recorder)
        self._peer = peer
        self._scale = scale
        self._log = log
        self._grants: Grants | None = None
        self._channels: EventChannels | None = None
        self._pages: dict[int, memoryview] = {}
        self.disorder = False

    def _make_memory(self) -> bytearray:
        return bytearray()

    def start(self) -> None:
        """See ``Link.start``."""
        if gone := missing():
            raise AdapterError(f"this is no Xen host, or its modules are not loaded: no {gone}")
        self._grants, self._channels = Grants(), EventChannels()
        judged = self.first.domid_of(self.judged)
        self._store = RealStore(judged, self._observe_op, self._log, self._scale)
        self.store_ = self._store  # type: ignore[assignment]
        self._refuse_another_s()
        self._remove_nodes(self.place)
        if self._peer.comes_first:
            self._start_peer()
        self._make_nodes(self.place)
        if not self._peer.comes_first:
            self._start_peer()

    def _refuse_another_s(self) -> None:
        """
        Take no device that a toolstack has given to somebody.

        :raises AdapterError: there is one of this number, and no judge has made it.
        """
        assert self._store is not None
        read = self._store.client.read
        found = read(self.place.path(BACKEND, "uuid"))
        own = initial_nodes(self.place)[BACKEND]["uuid"]
        there = found or read(self.place.path(FRONTEND, "backend"))
        if there and found != own:
            directory = self.place.frontend_dir
            raise AdapterError(
                f"{directory} is a device that is in use, and judging would take it away:"
                f" name a free number, as in {self.place.frontend_id}/{self.place.device_id + 1}"
            )

    def _start_peer(self) -> None:
        self._peer.results = self.results
        self._peer.start(self.judged, self.place, self.recorder, self._scale)
        self.family, self.can = self._peer.family, self._peer.can

    def stop(self) -> None:
        """See ``Link.stop``; the device is taken away, as ``xl vtpm-detach`` does it."""
        try:
            if not self._peer.comes_first:
                self._peer.stop()
        finally:
            if self._store is not None:
                for connection in self.connections:
                    self._remove_nodes(connection.place)
                self.disorder = not self._peer.is_free(_LET_GO * self._scale, self._give_up)
                self._peer.stop()
                self._store.close()
                self._store = None
            self._give_back()

    def wait(
        self,
        ready: Callable[[], bool],
        limit: float,
        awaited: str,
        connection: Connection | None = None,
        *,
        eager: bool = False,
    ) -> bool:
        """See ``Link.wait``."""
        deadline = time.monotonic() + limit
        while not ready():
            rest = deadline - time.monotonic()
            if rest <= 0 or self.exited is not None:
                self.silence(awaited, limit, connection)
                return False
            self._pump(0 if eager else rest)
        return True

    def settle(self, connection: Connection, limit: float, *, nodes: bool = False) -> None:
        """See ``Link.settle``; nothing tells when a guest has taken an event, so for a while."""
        deadline = time.monotonic() + min(limit, SETTLE * self._scale)
        while self.exited is None and (rest := deadline - time.monotonic()) > 0:
            self._pump(rest)

    def fds(self) -> list[int]:
        """Descriptors that are readable when something has come."""
        channels, store = self._channels, self._store
        assert channels is not None and store is not None
        return [channels.fd, store.fd, *self._peer.fds()]

    def pump(self) -> None:
        """Take in what has come, without waiting."""
        self._pump(0.0)

    def _pump(self, timeout: float) -> None:
        """Wait for whatever comes first, and take it in."""
        channels, store = self._channels, self._store
        assert channels is not None and store is not None
        ready = select.select(self.fds(), [], [], max(0.0, timeout))[0]
        if store.fd in ready:
            store.pump()
        if channels.fd in ready:
            self._take_events(channels)
        if set(ready) - {store.fd, channels.fd}:
            self._peer.take()
            self.exited = self.exited or self._peer.exited
        store.drain()

    def _take_events(self, channels: EventChannels) -> None:
        pending = channels.take()
        for connection in self.connections:
            if connection.port and (count := pending.count(connection.port)):
                connection.events += count
                self.recorder.notify(self.judged, count, connection.number)

    def signal(self, connection: Connection) -> None:
        """See ``Link.signal``."""
        if self._channels is not None and connection.port:
            # A port that the target has closed takes no events; that is for it to know.
            with contextlib.suppress(OSError):
                self._channels.notify(connection.port)

    def _order(self, number: int, do: str, packet: bytes, locality: int) -> None:
        self._peer.order(number, do, packet, locality)

    # Grants and ports, which only the judge's own role uses here.

    def grant(self, connection: Connection, role: Role) -> int | None:
        """See ``Link.grant``."""
        assert self._grants is not None
        try:
            gref, self._pages[gref] = self._grants.grant(connection.domid_of(role.peer))
        except OSError:
            return None
        self.recorder.event("grant", connection.number, by=role.value, gref=gref)
        return gref

    def map(self, connection: Connection, role: Role, gref: int, domid: int) -> bool:
        """See ``Link.map``."""
        assert self._grants is not None
        why = ""
        try:
            self._pages[gref] = self._grants.map(domid, gref)
        except OSError as error:
            why = os.strerror(error.errno or 0)
        self.recorder.event("map", connection.number, by=role.value, gref=gref, ok=not why, why=why)
        return not why

    def bind(
        self, connection: Connection, role: Role, domid: int, remote: int | None
    ) -> int | None:
        """See ``Link.bind``."""
        assert self._channels is not None
        port, why = None, ""
        try:
            if remote is None:
                port = self._channels.allocate(domid)
            else:
                port = self._channels.bind(domid, remote)
                # Binding raises one event; it is Xen's, not the target's.
                self._channels.take()
                connection.events += 1
        except OSError as error:
            why = os.strerror(error.errno or 0)
        self.recorder.event(
            "bind",
            connection.number,
            by=role.value,
            ok=port is not None,
            port=port,
            remote=remote,
            why=why,
        )
        return port

    def revoke(self, connection: Connection, role: Role, gref: int) -> bool:
        """See ``Link.revoke``; Xen keeps the page until the peer has unmapped it."""
        assert self._grants is not None
        self._release(gref)
        done = self._grants.revoke(gref)
        self.recorder.event("grant", connection.number, by=role.value, gref=gref, on=False, ok=done)
        return done

    def unmap(self, connection: Connection, role: Role, gref: int) -> bool:
        """See ``Link.unmap``."""
        assert self._grants is not None
        self._release(gref)
        done = self._grants.unmap(connection.domid_of(role.peer), gref)
        self.recorder.event("map", connection.number, by=role.value, gref=gref, ok=done, on=False)
        return done

    def unbind(self, connection: Connection, role: Role, port: int) -> bool:
        """See ``Link.unbind``."""
        assert self._channels is not None
        done = True
        try:
            self._channels.unbind(port)
        except OSError:
            done = False
        self.recorder.event("bind", connection.number, by=role.value, ok=done, port=port, on=False)
        return done

    def page_of(self, gref: int) -> memoryview:
        """See ``Link.page_of``."""
        return self._pages[gref]

    def _release(self, gref: int) -> None:
        """Let go of a page's bytes, which nobody may hold when it is given back."""
        view = self._pages.pop(gref, None)
        for connection in self.connections:
            if connection.page is view:
                connection.page = None
        if view is not None:
            view.release()

    def _give_back(self) -> None:
        for gref in list(self._pages):
            self._release(gref)
        if self._grants is not None:
            self._grants.close()
        if self._channels is not None:
            self._channels.close()
        self._grants = self._channels = None

    def _give_up(self) -> None:
        """
        Help frontends out of a command that nobody will answer any more.

        This is after the end of the case, so none of it is recorded.
        """
        for connection in self.connections if self.judged is FRONTEND else ():
            memory = connection.page
            if memory is not None and memory[page.STATE.offset] in (SUBMIT, CANCEL):
                memory[page.STATE.offset] = IDLE
                self.signal(connection)

    # xenstore.

    def _further_place(self, number: int) -> Place:
        """A further device of the judge's own domain."""
        first = self.place
        return Place(first.frontend_id, first.backend_id, first.device_id + number)

    def _observe_op(
        self, own: bool, op: str, path: str, value: str | None, tx: int, ok: bool
    ) -> None:
        by = self.tester.value if own else self.judged.value
        if own and self._store is not None and self._store.toolstack:
            by = "toolstack"
        number = self._number_of(own, path, tx)
        self.recorder.event("node", number, by=by, op=op, path=path, value=value, tx=tx, ok=ok)

    def _number_of(self, own: bool, path: str, tx: int) -> int:
        """The number of the connection that an operation is about."""
        for connection in self.connections[1:]:
            place = connection.place
            if path.startswith((place.frontend_dir + "/", place.backend_dir + "/")):
                self._transactions[own, tx] = connection.number
                return connection.number
        return self._transactions.get((own, tx), 0) if tx and not path else 0

    def _make_nodes(self, place: Place) -> None:
        """The toolstack's part: both directories, their owners, each with its peer's name."""
        store = self._store
        if store is None:
            return  # only ``start`` touches the host
        store.follow(place, self.judged)
        store.toolstack = True
        tx = store.start(TOOLSTACK)
        for role, values in initial_nodes(place).items():
            # What is made in a directory later belongs to whom the directory belongs.
            home = place.path(role, "state").rpartition("/")[0]
            owner, peer = f"n{_domid(place, role)}", f"r{_domid(place, role.peer)}"
            store.client.make_directory(home, tx)
            store.client.permit(home, owner, peer, tx=tx)
            store.write_all({place.path(role, node): text for node, text in values.items()}, tx)
        if not store.end(TOOLSTACK, tx, commit=True):
            raise AdapterError("xenstored refuses the transaction that makes the device's nodes")
        store.toolstack = False

    def _remove_nodes(self, place: Place) -> None:
        """Take the device away; nothing if there is none."""
        assert self._store is not None
        for role in (FRONTEND, BACKEND):
            self._store.client.remove(place.path(role, "state").rpartition("/")[0])


def _domid(place: Place, role: Role) -> int:
    return place.frontend_id if role is FRONTEND else place.backend_id
