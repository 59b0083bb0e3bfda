# SPDX-License-Identifier: MIT
"""
What every live link gives the tester: a target, memory, events, xenstore.

Grants, ports and nodes are handed out here, to the tester and to the target
alike, and each of it is recorded.  What the tester does with one page and one
port is in ``conformance.links.connection``.
"""

from collections.abc import Callable
from dataclasses import dataclass

from conformance.links.connection import Connection
from conformance.links.xenstore import TOOLSTACK, XenStore
from conformance.recorder import Recorder
from vtpm_ref.packet import Family
from vtpm_ref.page import PAGE_SIZE
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place, XenbusState

#: Evidence that no link has to give less than: what the store and requests show.
ALWAYS_EXACT = dict.fromkeys(("nodes", "grants", "revocations", "orders"), "exact")


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
    :param place: the device that the first connection belongs to.
    :param recorder: where everything goes; its header is written already.

    :ivar connections: one for each frontend; there is always the first.
    :ivar results: outcome of each order that has one, by its number.
    :ivar exited: how the target ended, or ``None`` while it runs.
    :ivar works_long: a command was submitted that a TPM may take long for.
    """

    #: Number of pages that can be granted.
    PAGES = 64
    #: Number of event channel ports.
    PORTS = 64

    def __init__(self, judged: Role, place: Place, recorder: Recorder) -> None:
        self.judged = judged
        self.tester = judged.peer
        self.place = place
        self.recorder = recorder
        self.family = Family.NONE
        self.can: frozenset[str] = frozenset()
        self.results: dict[int, Outcome] = {}
        self.exited: str | None = None
        self.works_long = False
        self.connections: list[Connection] = []
        self.store_ = XenStore(self._observe)
        self._granted: dict[int, tuple[int, int]] = {}
        self._mapped: set[tuple[Role, int]] = set()
        self._ports: dict[int, tuple[int, int]] = {}
        # By connection: the port that the frontend offers; the backend's own, and what it joins.
        self._offered: dict[int, int] = {}
        self._joined: dict[int, tuple[int, int]] = {}
        self._transactions: dict[tuple[int, int], int] = {}
        self._next_gref = 8
        self._next_port = 1
        self._next_order = 1
        self.memory = memoryview(self._make_memory())
        self._connect(place)

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

    def wait(
        self,
        ready: Callable[[], bool],
        limit: float,
        awaited: str,
        connection: Connection | None = None,
        *,
        eager: bool = False,
    ) -> bool:
        """
        Let the target go on until ``ready()``, for at most ``limit`` seconds.

        :param awaited: what for, in words; recorded when it does not come.
        :param connection: where it should come from; the first if left out.
        :param eager: ask ``ready`` again at once, and not only when something has come.
        :return: whether ``ready()`` came true.
        """
        raise NotImplementedError

    def silence(self, awaited: str, seconds: float, connection: Connection | None = None) -> None:
        """Record that ``awaited`` did not come; what a wait does that ends so."""
        self.recorder.event(
            "silence",
            connection.number if connection else 0,
            awaited=awaited,
            seconds=seconds,
            certain=self._nothing_can_come(),
        )

    def _nothing_can_come(self) -> bool:
        """Whether the target will never do anything again by itself."""
        return self.exited is not None

    def settle(self, connection: Connection, limit: float, *, nodes: bool = False) -> None:
        """
        Let the target take the event that was sent to it.

        :param limit: seconds; what it does not take by then, it does not take.
        :param nodes: it is a change of a node that it is to take notice of.
        """
        raise NotImplementedError

    def expire(self) -> bool:
        """Let the time pass that the target waits at most; ``False`` if nothing can do that."""
        return False

    def signal(self, connection: Connection) -> None:
        """Bring one event to the target."""
        raise NotImplementedError

    def _order(self, number: int, do: str, packet: bytes, locality: int) -> None:
        """Bring an order to the target."""
        raise NotImplementedError

    def _meet(self, connection: Connection) -> None:
        """A further frontend has come into being; most targets see that in xenstore."""

    # Connections and orders.

    @property
    def first(self) -> Connection:
        """The connection that every link has."""
        return self.connections[0]

    def another(self) -> Connection:
        """One more frontend, in a domain of its own, for a target that serves many."""
        connection = self._connect(self._further_place(len(self.connections)))
        self._meet(connection)
        return connection

    def _further_place(self, number: int) -> Place:
        first = self.place
        return Place(first.frontend_id + number, first.backend_id, first.device_id)

    def connection_of(self, named: str, number: int) -> Connection:
        """The connection that a ``domid``, a ``gref`` or a ``port`` of the target belongs to."""
        if named == "gref":
            domid = self._granted.get(number, (0, 0))[0]
        else:
            domid = number if named == "domid" else self._ports.get(number, (0, 0))[1]
        return next((c for c in self.connections if c.place.frontend_id == domid), self.first)

    def _connect(self, place: Place) -> Connection:
        connection = Connection(self, place, len(self.connections))
        self.connections.append(connection)
        if connection.number:
            self.recorder.event(
                "connection", connection.number, frontend=place.frontend_id, device=place.device_id
            )
        self._make_nodes(place)
        return connection

    def order(self, do: str, packet: bytes = b"", locality: int = 0) -> int:
        """Give the target an order; return its number."""
        number = self._next_order
        self._next_order += 1
        self.recorder.event("order", id=number, do=do, packet=packet.hex(), locality=locality)
        self._order(number, do, packet, locality)
        return number

    # Grants and ports of both roles.

    def grant(self, connection: Connection, role: Role) -> int | None:
        """A new page, granted by ``role`` to its peer; ``None`` if there is none left."""
        gref = self._next_gref
        if gref >= self.PAGES:
            return None
        self._next_gref += 1
        self._granted[gref] = (connection.domid_of(role), connection.domid_of(role.peer))
        self.recorder.event("grant", connection.number, by=role.value, gref=gref)
        return gref

    def map(self, connection: Connection, role: Role, gref: int, domid: int) -> bool:
        """Whether ``role`` could map page ``gref`` of ``domid``; recorded either way."""
        possible = self._granted.get(gref) == (domid, connection.domid_of(role))
        if possible:
            self._mapped.add((role, gref))
        why = "" if possible else "no such grant to this domain"
        self.recorder.event(
            "map", connection.number, by=role.value, gref=gref, ok=possible, why=why
        )
        return possible

    def bind(
        self, connection: Connection, role: Role, domid: int, remote: int | None
    ) -> int | None:
        """
        Bind ``role`` to port ``remote`` of ``domid``, or allocate one that it can bind.

        :return: ``role``'s own port; ``None`` if it was refused.
        """
        own = connection.domid_of(role)
        known = domid == connection.domid_of(role.peer)
        possible = known and (remote is None or self._ports.get(remote) == (domid, own))
        port = self._next_port if possible and self._next_port < self.PORTS else None
        if port is not None:
            self._next_port += 1
            self._ports[port] = (own, domid)
            if remote is None:
                self._offered[connection.number] = port
            else:
                self._joined[connection.number] = port, remote
        why = "" if port is not None else "no such port for this domain"
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
        """``role`` takes its own grant back, unless the peer still has it mapped."""
        if self._granted.get(gref, (None, None))[0] != connection.domid_of(role):
            return False
        possible = (role.peer, gref) not in self._mapped
        if possible:
            del self._granted[gref]
        self.recorder.event(
            "grant", connection.number, by=role.value, gref=gref, on=False, ok=possible
        )
        return possible

    def unmap(self, connection: Connection, role: Role, gref: int) -> bool:
        """``role`` gives its own mapping up."""
        possible = (role, gref) in self._mapped
        self._mapped.discard((role, gref))
        self.recorder.event(
            "map", connection.number, by=role.value, gref=gref, ok=possible, on=False
        )
        return possible

    def unbind(self, connection: Connection, role: Role, port: int) -> bool:
        """``role`` closes its own ``port``."""
        possible = self._ports.get(port, (None, None))[0] == connection.domid_of(role)
        if possible:
            del self._ports[port]
            if self._offered.get(connection.number) == port:
                del self._offered[connection.number]
            if self._joined.get(connection.number, (0, 0))[0] == port:
                del self._joined[connection.number]
        self.recorder.event(
            "bind", connection.number, by=role.value, ok=possible, port=port, on=False
        )
        return possible

    def joined(self, connection: Connection) -> bool:
        """Whether the backend is bound to the port that the frontend offered last."""
        _, joined = self._joined.get(connection.number, (0, 0))
        return joined > 0 and joined == self._offered.get(connection.number)

    def page_of(self, gref: int) -> memoryview:
        """The memory behind a grant reference."""
        return self.memory[gref * PAGE_SIZE : (gref + 1) * PAGE_SIZE]

    # Xenstore.

    def _observe(
        self, domid: int, op: str, path: str, value: str | None, tx: int, ok: bool
    ) -> None:
        names = {TOOLSTACK: "toolstack", self.place.backend_id: "backend"}
        self.recorder.event(
            "node",
            self._connection_of(domid, path, tx),
            by=names.get(domid, "frontend"),
            op=op,
            path=path,
            value=value,
            tx=tx,
            ok=ok,
        )

    def _connection_of(self, domid: int, path: str, tx: int) -> int:
        """The number of the connection that an operation is about: by path, else by domain."""
        for connection in self.connections[1:]:
            place = connection.place
            if domid == place.frontend_id or path.startswith(
                (place.frontend_dir + "/", place.backend_dir + "/")
            ):
                if tx:
                    self._transactions[domid, tx] = connection.number
                return connection.number
        return self._transactions.get((domid, tx), 0) if tx and not path else 0

    def _make_nodes(self, place: Place) -> None:
        """The toolstack's part: both directories, each with its peer's name."""
        self.store_.own(place.frontend_dir, place.frontend_id)
        self.store_.own(place.backend_dir, place.backend_id)
        for role, values in initial_nodes(place).items():
            for node, text in values.items():
                self.store_.write(TOOLSTACK, place.path(role, node), text)


def initial_nodes(place: Place) -> dict[Role, dict[str, str]]:
    """What a toolstack writes into both directories, by whose they are."""
    initial = str(int(XenbusState.INITIALISING))
    return {
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
            "uuid": f"00000000-0000-4000-8000-{place.frontend_id:012}",
            "state": initial,
        },
    }
