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
from conformance.links.base import Link
from conformance.links.xen_devices import EventChannels, Grants, missing
from conformance.links.xen_peers import Peer
from conformance.links.xen_store import RealStore
from conformance.recorder import Recorder
from vtpm_ref import page
from vtpm_ref.states import BACKEND, CANCEL, FRONTEND, IDLE, SUBMIT, Role
from vtpm_ref.xenbus import Place, XenbusState

#: Seconds, before the multiplier, in which a target takes an event that was sent to it.
SETTLE = 0.03

#: Seconds at most, and looks at a free page in a row, until a frontend has let a device go.
_LET_GO, _FREE_LOOKS = 0.3, 3


def evidence(judged: Role, *, log: bool) -> dict[str, str]:
    """
    What this link sees of the target.

    Grants: the judge maps and binds what a frontend publishes, so it knows those; what
    a backend maps, the hypervisor does not tell.

    :param log: xenstored writes a trace log.
    """
    return {
        "loads": "none",
        "stores": "sampled",
        "events": "exact",
        "orders": "exact",
        "nodes": "exact" if log else "sampled",
        "grants": "exact" if judged is FRONTEND else "none",
    }


class XenLink(Link):
    """
    A target behind real Xen.

    :param peer: how the judge speaks with it.
    :param scale: multiplier of every limit, for slow machines.
    :param log: xenstored's trace log, if it writes one.
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
        super().__init__(judged, place, recorder)
        self._peer = peer
        self._scale = scale
        self._log = log
        self._grants: Grants | None = None
        self._channels: EventChannels | None = None
        self._store: RealStore | None = None
        self._port: int | None = None
        self._pages: dict[int, memoryview] = {}
        self._mine: set[int] = set()

    def _make_memory(self) -> bytearray:
        return bytearray()

    def _make_nodes(self) -> None:
        """Only ``start`` touches the host."""

    def start(self) -> None:
        """See ``Link.start``."""
        if gone := missing():
            raise AdapterError(f"this is no Xen host, or its modules are not loaded: no {gone}")
        self._grants, self._channels = Grants(), EventChannels()
        self._store = RealStore([self.place], self._domid(self.judged), self._observe_op, self._log)
        self.store_ = self._store  # type: ignore[assignment]
        self._remove_nodes()
        if self._peer.comes_first:
            self._start_peer()
        self._add_nodes()
        if not self._peer.comes_first:
            self._start_peer()

    def _start_peer(self) -> None:
        self._peer.results = self.results
        self._peer.start(self.judged, self.place, self.recorder, self._scale)
        self.family, self.can = self._peer.family, self._peer.can

    def stop(self) -> None:
        """See ``Link.stop``; the device is taken away, as ``xl vtpm-detach`` does it."""
        try:
            self._peer.stop()
        finally:
            if self._store is not None:
                self._remove_nodes()
                self._let_go()
                self._store.close()
                self._store = None
            self._give_back()

    def wait(self, ready: Callable[[], bool], limit: float, awaited: str) -> bool:
        """See ``Link.wait``."""
        deadline = time.monotonic() + limit
        while not ready():
            rest = deadline - time.monotonic()
            if rest <= 0 or self.exited is not None:
                self.silence(awaited, limit)
                return False
            self._pump(rest)
        return True

    def settle(self, limit: float, *, nodes: bool = False) -> None:
        """See ``Link.settle``; nothing tells when a guest has taken an event, so for a while."""
        deadline = time.monotonic() + min(limit, SETTLE * self._scale)
        while self.exited is None and (rest := deadline - time.monotonic()) > 0:
            self._pump(rest)

    def _pump(self, timeout: float) -> None:
        """Wait for whatever comes first, and take it in."""
        channels, store = self._channels, self._store
        assert channels is not None and store is not None
        fds = [channels.fd, store.fd, *self._peer.fds()]
        ready = select.select(fds, [], [], max(0.0, timeout))[0]
        if store.fd in ready:
            store.pump()
        if channels.fd in ready:
            self._take_events(channels)
        if set(ready) - {store.fd, channels.fd}:
            self._peer.take()
            self.exited = self.exited or self._peer.exited
        store.drain()

    def _take_events(self, channels: EventChannels) -> None:
        count = sum(1 for port in channels.take() if port == self._port)
        if count:
            self.events += count
            self.recorder.notify(self.judged, count)

    def _signal(self) -> None:
        if self._channels is not None and self._port is not None:
            # A port that the target has closed takes no events; that is for it to know.
            with contextlib.suppress(OSError):
                self._channels.notify(self._port)

    def _order(self, number: int, do: str, packet: bytes, locality: int) -> None:
        self._peer.order(number, do, packet, locality)

    # Grants and ports, which only the judge's own role uses here.

    def grant(self, role: Role) -> int | None:
        """See ``Link.grant``."""
        assert self._grants is not None
        try:
            gref, self._pages[gref] = self._grants.grant(self._domid(role.peer))
        except OSError:
            return None
        self._mine.add(gref)
        self.recorder.event("grant", by=role.value, gref=gref)
        return gref

    def map(self, role: Role, gref: int, domid: int) -> bool:
        """See ``Link.map``."""
        assert self._grants is not None
        why = ""
        try:
            self._pages[gref] = self._grants.map(domid, gref)
        except OSError as error:
            why = os.strerror(error.errno or 0)
        self.recorder.event("map", by=role.value, gref=gref, ok=not why, why=why)
        return not why

    def bind(self, role: Role, domid: int, remote: int | None) -> int | None:
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
                self.events += 1
        except OSError as error:
            why = os.strerror(error.errno or 0)
        self._port = port if port is not None else self._port
        self.recorder.event(
            "bind", by=role.value, ok=port is not None, port=port, remote=remote, why=why
        )
        return port

    def revoke(self, role: Role, gref: int) -> bool:
        """See ``Link.revoke``; Xen keeps the page until the peer has unmapped it."""
        assert self._grants is not None
        self._release(gref)
        done = self._grants.revoke(gref)
        self._mine.discard(gref)
        self.recorder.event("grant", by=role.value, gref=gref, on=False)
        return done

    def unmap(self, role: Role, gref: int) -> bool:
        """See ``Link.unmap``."""
        assert self._grants is not None
        self._release(gref)
        done = self._grants.unmap(self._domid(role.peer), gref)
        self.recorder.event("map", by=role.value, gref=gref, ok=done, on=False)
        return done

    def unbind(self, role: Role, port: int) -> bool:
        """See ``Link.unbind``."""
        assert self._channels is not None
        done = True
        try:
            self._channels.unbind(port)
        except OSError:
            done = False
        if port == self._port:
            self._port = None
        self.recorder.event("bind", by=role.value, ok=done, port=port, on=False)
        return done

    def _page_of(self, gref: int) -> memoryview:
        return self._pages[gref]

    def _release(self, gref: int) -> None:
        view = self._pages.pop(gref, None)
        if view is not None:
            if self.page is view:
                self.page = None
            view.release()

    def _give_back(self) -> None:
        for gref in list(self._pages):
            self._release(gref)
        if self._grants is not None:
            self._grants.close()
        if self._channels is not None:
            self._channels.close()
        self._grants = self._channels = None

    def _let_go(self) -> None:
        """
        Help a frontend out of a command that nobody will answer any more.

        This is after the end of the case, so none of it is recorded.
        """
        deadline = time.monotonic() + _LET_GO
        if self.judged is not FRONTEND or self.page is None or self._channels is None:
            return
        free = 0
        while (rest := deadline - time.monotonic()) > 0 and free < _FREE_LOOKS:
            free += 1
            if self.page[page.STATE.offset] in (SUBMIT, CANCEL):
                self.page[page.STATE.offset] = IDLE
                self._signal()
                free = 0
            select.select([self._channels.fd], [], [], min(rest, 0.02))
            self._channels.take()

    # xenstore.

    def _observe_op(
        self, own: bool, op: str, path: str, value: str | None, tx: int, ok: bool
    ) -> None:
        by = self.tester.value if own else self.judged.value
        if own and self._as_toolstack:
            by = "toolstack"
        self.recorder.event("node", by=by, op=op, path=path, value=value, tx=tx, ok=ok)

    _as_toolstack = False

    def _add_nodes(self) -> None:
        """The toolstack's part: both directories, their owners, each with its peer's name."""
        store, place = self._store, self.place
        assert store is not None
        client, initial = store.client, str(int(XenbusState.INITIALISING))
        nodes = {
            FRONTEND: {
                "backend": place.backend_dir,
                "backend-id": str(place.backend_id),
                "handle": str(place.device_id),
                "state": initial,
            },
            BACKEND: {
                "frontend": place.frontend_dir,
                "frontend-id": str(place.frontend_id),
                "handle": str(place.device_id),
                "online": "1",
                "uuid": "00000000-0000-4000-8000-000000000001",
                "state": initial,
            },
        }
        self._as_toolstack = True
        tx = store.start(0)
        for role, values in nodes.items():
            # What is made in a directory later belongs to whom the directory belongs.
            home = place.path(role, "state").rpartition("/")[0]
            client.make_directory(home, tx)
            client.permit(home, f"n{self._domid(role)}", f"r{self._domid(role.peer)}", tx=tx)
            for node, text in values.items():
                client.write(place.path(role, node), text, tx)
                if self._log is None:
                    self._observe_op(True, "write", place.path(role, node), text, tx, True)
        store.end(0, tx, commit=True)
        self._as_toolstack = False

    def _remove_nodes(self) -> None:
        """Take the device away; nothing if there is none."""
        store = self._store
        assert store is not None
        for role in (FRONTEND, BACKEND):
            store.client.remove(self.place.path(role, "state").rpartition("/")[0])
