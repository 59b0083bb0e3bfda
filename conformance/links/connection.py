# SPDX-License-Identifier: MIT
"""
The tester's side of one connection: its page, its port, its events and nodes.

A link has one connection for each frontend; mostly that is one.  The tester
plays the role that is not judged.  Whatever it does is recorded before the
target can see it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from conformance.errors import SetupFailed
from conformance.links.xenstore import TOOLSTACK
from conformance.recorder import Recorder
from vtpm_ref.packet import Family
from vtpm_ref.page import PAGE_SIZE
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

if TYPE_CHECKING:
    from conformance.links.base import Link, Outcome


class Connection:
    """
    One frontend and one backend, one of them the tester.

    :param link: the link that the connection is part of.
    :param place: the device that both belong to.
    :param number: tells it from the link's other connections in the trace.

    :ivar page: the page in use, ``None`` before there is one.
    :ivar gref: its grant reference.
    :ivar port: the tester's own port, 0 before there is one.
    :ivar events: notifications from the target that the tester has not taken.
    """

    def __init__(self, link: "Link", place: Place, number: int) -> None:
        self.link = link
        self.place = place
        self.number = number
        self.page: memoryview | None = None
        self.gref = 0
        self.port = 0
        self.events = 0

    # What it shares with the link's other connections.

    @property
    def recorder(self) -> Recorder:
        """Where everything goes."""
        return self.link.recorder

    @property
    def tester(self) -> Role:
        """The role that the tester plays."""
        return self.link.tester

    @property
    def judged(self) -> Role:
        """The role of the target."""
        return self.link.judged

    @property
    def family(self) -> Family:
        """The TPM that the target speaks."""
        return self.link.family

    @property
    def results(self) -> "dict[int, Outcome]":
        """The outcome of each order that has one, by its number."""
        return self.link.results

    @property
    def exited(self) -> str | None:
        """How the target ended, or ``None`` while it runs."""
        return self.link.exited

    def wait(
        self, ready: Callable[[], bool], limit: float, awaited: str, *, eager: bool = False
    ) -> bool:
        """See ``Link.wait``."""
        return self.link.wait(ready, limit, awaited, self, eager=eager)

    def settle(self, limit: float, *, nodes: bool = False) -> None:
        """See ``Link.settle``."""
        self.link.settle(self, limit, nodes=nodes)

    def silence(self, awaited: str, seconds: float) -> None:
        """See ``Link.silence``."""
        self.link.silence(awaited, seconds, self)

    def order(self, do: str, packet: bytes = b"", locality: int = 0) -> int:
        """See ``Link.order``."""
        return self.link.order(do, packet, locality)

    def another(self) -> "Connection":
        """See ``Link.another``."""
        return self.link.another()

    # The page.

    def load(self, at: int, size: int) -> bytes:
        """Load bytes of the page, as the tester's role."""
        data = bytes(self._page[at : at + size])
        self.recorder.load(self.tester, at, data, self.number)
        return data

    def store(self, at: int, data: bytes) -> None:
        """Store bytes into the page, as the tester's role."""
        self.recorder.store(self.tester, at, data, self.number)
        self._page[at : at + len(data)] = data

    def sample(self) -> None:
        """Look at the whole page from outside."""
        self.recorder.sample(bytes(self._page), self.number)

    @property
    def image(self) -> bytearray:
        """The page as the trace implies it."""
        return self.recorder.image(self.number)

    def notify(self) -> None:
        """Notify the target."""
        self.recorder.notify(self.tester, connection=self.number)
        self.link.signal(self)

    def grant_page(self) -> int:
        """Grant the target a page of zeroes and use it; return its reference."""
        gref = self.link.grant(self, self.tester)
        if gref is None:
            raise SetupFailed("the link has no page left")
        self.use_page(gref)
        self._page[:] = bytes(PAGE_SIZE)
        return gref

    def map_page(self, gref: int) -> bool:
        """Map a page that the target granted and use it, if it did."""
        possible = self.link.map(self, self.tester, gref, self.domid_of(self.judged))
        if possible:
            self.use_page(gref)
        return possible

    def use_page(self, gref: int) -> None:
        """From here on the page of ``gref`` is the one that counts."""
        self.gref, self.page = gref, self.link.page_of(gref)

    def unmap_page(self) -> None:
        """Give up one's own mapping of the page."""
        self.link.unmap(self, self.tester, self.gref)

    def revoke_page(self) -> None:
        """Take back the page that one has granted."""
        self.link.revoke(self, self.tester, self.gref)

    # The port.

    def allocate_port(self) -> int:
        """Allocate a port that the target can bind; return it."""
        port = self.link.bind(self, self.tester, self.domid_of(self.judged), None)
        if port is None:
            raise SetupFailed("the link has no port left")
        self.port = port
        return port

    def bind_port(self, remote: int) -> bool:
        """Bind the port that the target allocated, if it did."""
        port = self.link.bind(self, self.tester, self.domid_of(self.judged), remote)
        self.port = port or 0
        return port is not None

    def close_port(self) -> None:
        """Close one's own port."""
        self.link.unbind(self, self.tester, self.port)
        self.port = 0

    def release(self) -> None:
        """Let go of the memory, before the link does."""
        if self.page is not None:
            self.page.release()
        self.page = None

    # Nodes.

    def domid_of(self, role: Role) -> int:
        """The domid of the domain that plays ``role`` here."""
        return self.place.frontend_id if role is Role.FRONTEND else self.place.backend_id

    @property
    def domid(self) -> int:
        """The tester's domid."""
        return self.domid_of(self.tester)

    def read(self, role: Role, node: str) -> str | None:
        """Read a node of ``role``'s directory, as the tester's domain."""
        return self.link.store_.read(self.domid, self.place.path(role, node))

    def write(self, nodes: dict[str, str], *, transaction: bool = False) -> None:
        """Write nodes into the tester's own directory."""
        store = self.link.store_
        tx = store.start(self.domid) if transaction else 0
        for node, text in nodes.items():
            store.write(self.domid, self.place.path(self.tester, node), text, tx)
        if transaction:
            store.end(self.domid, tx, commit=True)

    def remove(self, node: str) -> None:
        """Remove a node of the tester's own directory."""
        self.link.store_.remove(self.domid, self.place.path(self.tester, node))

    def as_toolstack(self, role: Role, nodes: dict[str, str]) -> None:
        """Write nodes into ``role``'s directory, as the toolstack does."""
        for node, text in nodes.items():
            self.link.store_.write(TOOLSTACK, self.place.path(role, node), text)

    @property
    def _page(self) -> memoryview:
        if self.page is None:
            raise RuntimeError("a case uses the page before it is connected")
        return self.page
