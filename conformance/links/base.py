# SPDX-License-Identifier: MIT
"""
What every live link gives the tester: a page, events, xenstore, a target.

The tester plays the role that is not judged.  Whatever it does through a link
is recorded before the target can see it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from conformance.errors import SetupFailed
from conformance.links.xenstore import TOOLSTACK, XenStore
from conformance.recorder import Recorder
from vtpm_ref.packet import Family
from vtpm_ref.page import PAGE_SIZE
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place, XenbusState

#: Evidence that no link has to give less than: what the store and requests show.
ALWAYS_EXACT = {"nodes": "exact", "grants": "exact", "orders": "exact"}


@dataclass(frozen=True)
class Outcome:
    """What a frontend reported of an order; ``outcome`` as the adapter page says."""

    outcome: str
    packet: bytes = b""
    why: str = ""


class Link:
    """
    A target, and the ground it shares with the tester.

    :param judged: the role of the target.
    :param recorder: where everything goes; its header is written already.

    :ivar results: outcome of each order that has one, by its number.
    :ivar exited: how the target ended, or ``None`` while it runs.
    :ivar events: notifications from the target that the tester has not taken.
    """

    #: Number of pages that can be granted.
    PAGES = 64
    #: Number of event channel ports.
    PORTS = 32

    def __init__(self, judged: Role, place: Place, recorder: Recorder) -> None:
        self.judged = judged
        self.tester = judged.peer
        self.place = place
        self.recorder = recorder
        self.family = Family.NONE
        self.can: frozenset[str] = frozenset()
        self.results: dict[int, Outcome] = {}
        self.exited: str | None = None
        self.events = 0
        self.store_ = XenStore(self._observe)
        self._granted: dict[int, tuple[int, int]] = {}
        self._mapped: set[tuple[Role, int]] = set()
        self._ports: dict[int, tuple[int, int]] = {}
        self._next_gref = 8
        self._next_port = 1
        self._next_order = 1
        self.page: memoryview | None = None
        self.memory = memoryview(self._make_memory())
        self._make_nodes()

    # What a kind of link provides.

    def _make_memory(self) -> bytearray:
        return bytearray(self.PAGES * PAGE_SIZE)

    def start(self) -> None:
        """
        Start the target.

        :raises AdapterError: it does not start, or does not keep to its page.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """End the target and give back what it used; safe to call twice."""

    def wait(self, ready: Callable[[], bool], limit: float, awaited: str) -> bool:
        """
        Let the target go on until ``ready()``, for at most ``limit`` seconds.

        :param awaited: what for, in words; recorded when it does not come.
        :return: whether ``ready()`` came true.
        """
        raise NotImplementedError

    def silence(self, awaited: str, seconds: float) -> None:
        """Record that ``awaited`` did not come; what a wait does that ends so."""
        self.recorder.event(
            "silence", awaited=awaited, seconds=seconds, certain=self._nothing_can_come()
        )

    def _nothing_can_come(self) -> bool:
        """Whether the target will never do anything again by itself."""
        return self.exited is not None

    def settle(self, limit: float, *, nodes: bool = False) -> None:
        """
        Let the target take the event that was sent to it.

        :param limit: seconds; what it does not take by then, it does not take.
        :param nodes: it is a change of a node that it is to take notice of.
        """
        raise NotImplementedError

    def _signal(self) -> None:
        """Bring one event to the target."""
        raise NotImplementedError

    def _order(self, number: int, do: str, packet: bytes, locality: int) -> None:
        """Bring an order to the target."""
        raise NotImplementedError

    # What the tester does, the same over every link.

    @property
    def domid(self) -> int:
        """The tester's domid."""
        return self._domid(self.tester)

    def load(self, at: int, size: int) -> bytes:
        """Load bytes of the page, as the tester's role."""
        data = bytes(self._page[at : at + size])
        self.recorder.load(self.tester, at, data)
        return data

    def store(self, at: int, data: bytes) -> None:
        """Store bytes into the page, as the tester's role."""
        self.recorder.store(self.tester, at, data)
        self._page[at : at + len(data)] = data

    def sample(self) -> None:
        """Look at the whole page from outside."""
        self.recorder.sample(bytes(self._page))

    def notify(self) -> None:
        """Notify the target."""
        self.recorder.notify(self.tester)
        self._signal()

    def order(self, do: str, packet: bytes = b"", locality: int = 0) -> int:
        """Give a frontend an order; return its number."""
        number = self._next_order
        self._next_order += 1
        self.recorder.event("order", id=number, do=do, packet=packet.hex(), locality=locality)
        self._order(number, do, packet, locality)
        return number

    def read(self, role: Role, node: str) -> str | None:
        """Read a node of ``role``'s directory, as the tester's domain."""
        return self.store_.read(self.domid, self.place.path(role, node))

    def write(self, nodes: dict[str, str], *, transaction: bool = False) -> None:
        """Write nodes into the tester's own directory."""
        tx = self.store_.start(self.domid) if transaction else 0
        for node, text in nodes.items():
            self.store_.write(self.domid, self.place.path(self.tester, node), text, tx)
        if transaction:
            self.store_.end(self.domid, tx, commit=True)

    def grant_page(self) -> int:
        """Grant the target a page of zeroes and use it; return its reference."""
        gref = self.grant(self.tester)
        if gref is None:
            raise SetupFailed("the link has no page left")
        self.page = self._page_of(gref)
        self.page[:] = bytes(PAGE_SIZE)
        return gref

    def allocate_port(self) -> int:
        """Allocate a port that the target can bind; return it."""
        port = self.bind(self.tester, self._domid(self.judged), None)
        if port is None:
            raise SetupFailed("the link has no port left")
        return port

    def map_page(self, gref: int) -> bool:
        """Map a page that the target granted and use it, if it did."""
        possible = self.map(self.tester, gref, self._domid(self.judged))
        if possible:
            self.page = self._page_of(gref)
        return possible

    # Grants and ports of both roles.

    def grant(self, role: Role) -> int | None:
        """A new page, granted by ``role`` to its peer; ``None`` if there is none left."""
        gref = self._next_gref
        if gref >= self.PAGES:
            return None
        self._next_gref += 1
        self._granted[gref] = (self._domid(role), self._domid(role.peer))
        self.recorder.event("grant", by=role.value, gref=gref)
        return gref

    def map(self, role: Role, gref: int, domid: int) -> bool:
        """Whether ``role`` could map page ``gref`` of ``domid``; recorded either way."""
        possible = self._granted.get(gref) == (domid, self._domid(role))
        if possible:
            self._mapped.add((role, gref))
        why = "" if possible else "no such grant to this domain"
        self.recorder.event("map", by=role.value, gref=gref, ok=possible, why=why)
        return possible

    def bind(self, role: Role, domid: int, remote: int | None) -> int | None:
        """
        Bind ``role`` to port ``remote`` of ``domid``, or allocate one that it can bind.

        :return: ``role``'s own port; ``None`` if it was refused.
        """
        own = self._domid(role)
        known = domid == self._domid(role.peer)
        possible = known and (remote is None or self._ports.get(remote) == (domid, own))
        port = self._next_port if possible and self._next_port < self.PORTS else None
        if port is not None:
            self._next_port += 1
            self._ports[port] = (own, domid)
        why = "" if port is not None else "no such port for this domain"
        self.recorder.event(
            "bind", by=role.value, ok=port is not None, port=port, remote=remote, why=why
        )
        return port

    def bind_port(self, port: int) -> bool:
        """Bind the port that the target allocated, if it did."""
        return self.bind(self.tester, self._domid(self.judged), port) is not None

    def revoke(self, role: Role, gref: int) -> bool:
        """``role`` takes its own grant back; the peer's mapping stays until it unmaps."""
        if self._granted.get(gref, (None, None))[0] != self._domid(role):
            return False
        del self._granted[gref]
        self.recorder.event("grant", by=role.value, gref=gref, on=False)
        return True

    def unmap(self, role: Role, gref: int) -> bool:
        """``role`` gives its own mapping up."""
        possible = (role, gref) in self._mapped
        self._mapped.discard((role, gref))
        self.recorder.event("map", by=role.value, gref=gref, ok=possible, on=False)
        return possible

    def unbind(self, role: Role, port: int) -> bool:
        """``role`` closes its own ``port``."""
        possible = self._ports.get(port, (None, None))[0] == self._domid(role)
        if possible:
            del self._ports[port]
        self.recorder.event("bind", by=role.value, ok=possible, port=port, on=False)
        return possible

    @property
    def _page(self) -> memoryview:
        if self.page is None:
            raise RuntimeError("a case uses the page before it is connected")
        return self.page

    def _page_of(self, gref: int) -> memoryview:
        return self.memory[gref * PAGE_SIZE : (gref + 1) * PAGE_SIZE]

    def _domid(self, role: Role) -> int:
        place = self.place
        return place.frontend_id if role is Role.FRONTEND else place.backend_id

    def _observe(
        self, domid: int, op: str, path: str, value: str | None, tx: int, ok: bool
    ) -> None:
        names = {
            TOOLSTACK: "toolstack",
            self.place.frontend_id: "frontend",
            self.place.backend_id: "backend",
        }
        self.recorder.event("node", by=names[domid], op=op, path=path, value=value, tx=tx, ok=ok)

    def _make_nodes(self) -> None:
        """The toolstack's part: both directories, each with its peer's name."""
        place, initial = self.place, str(int(XenbusState.INITIALISING))
        self.store_.own(place.frontend_dir, place.frontend_id)
        self.store_.own(place.backend_dir, place.backend_id)
        nodes = {
            Role.FRONTEND: {
                "backend": place.backend_dir,
                "backend-id": str(place.backend_id),
                "handle": str(place.device_id),
                "state": initial,
            },
            Role.BACKEND: {
                "frontend": place.frontend_dir,
                "frontend-id": str(place.frontend_id),
                "handle": str(place.device_id),
                "online": "1",
                "uuid": "00000000-0000-4000-8000-000000000001",
                "state": initial,
            },
        }
        for role, values in nodes.items():
            for node, text in values.items():
                self.store_.write(TOOLSTACK, place.path(role, node), text)
