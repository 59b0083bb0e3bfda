# SPDX-License-Identifier: MIT
"""
How the two sides find each other: xenstore nodes and the way to Connected.

``NODES`` says who writes and who reads which node; ``HANDSHAKES`` has the order of
the steps up to Connected, and of those out and back, each with what its party
waits for.  The machines follow the same order, and the pages render all tables.
"""

from dataclasses import dataclass
from enum import IntEnum

from vtpm_ref.states import Role
from vtpm_ref.steps import parse_number

#: Name of the device in xenstore paths.
DEVICE = "vtpm"

#: The only value that every deployed peer accepts in a feature node.
FEATURE_VALUE = "1"


class XenbusState(IntEnum):
    """
    Value of a ``state`` node (xenbus.h, ``enum xenbus_state``).
    """

    UNKNOWN = 0
    INITIALISING = 1
    INIT_WAIT = 2
    INITIALISED = 3
    CONNECTED = 4
    CLOSING = 5
    CLOSED = 6
    RECONFIGURING = 7
    RECONFIGURED = 8


def is_state(text: str | None) -> bool:
    """Whether a ``state`` node says one of them (clause robust.nonsense-state)."""
    return parse_number(text) in tuple(XenbusState)


@dataclass(frozen=True)
class Place:
    """
    Which device this is, as both sides know it before they meet.

    :param frontend_id: domid of the domain that uses the TPM.
    :param backend_id: domid of the domain that provides it.
    :param device_id: number of the device within the frontend's domain.
    """

    frontend_id: int = 1
    backend_id: int = 0
    device_id: int = 0

    @property
    def frontend_dir(self) -> str:
        """Absolute path of the frontend's nodes."""
        return f"/local/domain/{self.frontend_id}/device/{DEVICE}/{self.device_id}"

    @property
    def backend_home(self) -> str:
        """Absolute path of the directory that holds those of all its frontends."""
        return f"/local/domain/{self.backend_id}/backend/{DEVICE}"

    @property
    def backend_dir(self) -> str:
        """Absolute path of the backend's nodes."""
        return f"{self.backend_home}/{self.frontend_id}/{self.device_id}"

    def path(self, role: Role, node: str) -> str:
        """Absolute path of ``node`` in the directory of ``role``."""
        home = self.frontend_dir if role is Role.FRONTEND else self.backend_dir
        return f"{home}/{node}"


@dataclass(frozen=True)
class Node:
    """
    One xenstore node: whose directory, who writes it, who reads it, what stands in it.

    :param reader: who needs it.
    """

    name: str
    home: Role
    writer: str
    reader: str
    value: str


_TOOL, _FE, _BE = "toolstack", "frontend", "backend"

NODES = (
    Node("backend", Role.FRONTEND, _TOOL, _FE, "path of the backend's directory"),
    Node("backend-id", Role.FRONTEND, _TOOL, _FE, "domid of the backend, decimal"),
    Node("handle", Role.FRONTEND, _TOOL, "nobody", "number of the device, decimal"),
    Node("state", Role.FRONTEND, f"{_TOOL}, then {_FE}", _BE, "xenbus state, decimal"),
    Node("ring-ref", Role.FRONTEND, _FE, _BE, "grant reference of the writable page, decimal"),
    Node("event-channel", Role.FRONTEND, _FE, _BE, "unbound port, decimal"),
    Node("feature-protocol-v2", Role.FRONTEND, _FE, _BE, "1"),
    Node("frontend", Role.BACKEND, _TOOL, _BE, "path of the frontend's directory"),
    Node("frontend-id", Role.BACKEND, _TOOL, _BE, "domid of the frontend, decimal"),
    Node("handle", Role.BACKEND, _TOOL, "nobody", "number of the device, decimal"),
    Node("online", Role.BACKEND, _TOOL, _BE, "1; 0 when the device is to go for good"),
    Node("uuid", Role.BACKEND, _TOOL, _BE, "which TPM it is, a UUID in its usual form"),
    Node("state", Role.BACKEND, f"{_TOOL}, then {_BE}", f"{_FE}, {_TOOL}", "xenbus state, decimal"),
    Node("feature-protocol-v2", Role.BACKEND, _BE, _FE, "1"),
)


#: What the frontend publishes for the backend, in one transaction.
PUBLISHED = ("ring-ref", "event-channel", "feature-protocol-v2")

#: Frontend states in which a backend connects (clause connecting.backend-connects).
FRONTEND_READY = frozenset({XenbusState.INITIALISED, XenbusState.CONNECTED})

#: Frontend states in which a backend lets go; no state node at all is another.
FRONTEND_GONE = frozenset({XenbusState.UNKNOWN, XenbusState.INITIALISING, XenbusState.CLOSED})

#: Backend states in which a frontend closes (clause closing.frontend-follows).
BACKEND_CLOSES = frozenset({XenbusState.CLOSING, XenbusState.CLOSED})

#: Backend states in which it may still hold the frontend's page.
BACKEND_HOLDS = frozenset({XenbusState.CONNECTED, XenbusState.CLOSING})


@dataclass(frozen=True)
class HandshakeStep:
    """
    One step towards Connected, or away from it.

    :param role: who does it.
    :param after: what it waits for, in words.
    :param does: what it does, in words.
    :param state: the state it then writes to its own ``state`` node, if any.
    :param clause: the clause that orders it.
    """

    role: Role
    after: str
    does: str
    state: XenbusState | None
    clause: str


HANDSHAKE = (
    HandshakeStep(
        Role.BACKEND,
        "start",
        "writes feature-protocol-v2",
        XenbusState.INIT_WAIT,
        "connecting.backend-feature",
    ),
    HandshakeStep(
        Role.FRONTEND,
        "start (it need not wait for InitWait)",
        "zeroes and grants the page, allocates the port, publishes its nodes",
        XenbusState.INITIALISED,
        "connecting.publish-first",
    ),
    HandshakeStep(
        Role.BACKEND,
        "frontend Initialised or Connected",
        "checks the frontend's feature node, maps the page, binds the port",
        XenbusState.CONNECTED,
        "connecting.map-before-connected",
    ),
    HandshakeStep(
        Role.BACKEND,
        "its own Connected",
        "looks at the page's state",
        None,
        "connecting.look-at-once",
    ),
    HandshakeStep(
        Role.FRONTEND,
        "backend Connected",
        "checks the backend's feature node",
        XenbusState.CONNECTED,
        "connecting.frontend-waits",
    ),
)

CLOSING = (
    HandshakeStep(
        Role.FRONTEND,
        "its user closes",
        "ends a request that has no answer",
        XenbusState.CLOSING,
        "closing.request-ends",
    ),
    HandshakeStep(
        Role.FRONTEND,
        "its own Closing, or backend Closing or Closed",
        "ends a request that has no answer, leaves the page alone",
        XenbusState.CLOSED,
        "closing.closed-last",
    ),
    HandshakeStep(
        Role.BACKEND,
        "frontend Closed",
        "stops its command, closes its port, unmaps the page",
        XenbusState.INIT_WAIT,
        "closing.unmap-first",
    ),
    HandshakeStep(
        Role.BACKEND,
        "the same, and online is 0",
        "the same",
        XenbusState.CLOSED,
        "closing.offline",
    ),
    HandshakeStep(
        Role.FRONTEND,
        "backend InitWait or Closed",
        "closes its port, takes the page back",
        None,
        "closing.page-kept",
    ),
    HandshakeStep(
        Role.FRONTEND,
        "its user opens again, and backend InitWait",
        "publishes a new page and a new port",
        XenbusState.INITIALISED,
        "coming-back.published-anew",
    ),
)

#: The tables of steps by their names on the pages.
HANDSHAKES = {"connecting": HANDSHAKE, "closing": CLOSING}
