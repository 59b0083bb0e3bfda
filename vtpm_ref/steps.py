# SPDX-License-Identifier: MIT
"""
The single steps that a machine asks its surroundings to take.

A machine never touches anything itself.  Its ``operation`` is the one step it
wants now, or ``None`` when it waits; whoever drives it takes the step and
hands the result to ``after``, which returns the machine's next value.  One
step is one load, one store, one notification, or one request to the
hypervisor or to xenstore, so everything that can happen between two steps of
a real implementation can happen here too.
"""

from dataclasses import dataclass

from vtpm_ref.page import FIELDS, STATE
from vtpm_ref.states import State


@dataclass(frozen=True, slots=True)
class Load:
    """Load ``size`` bytes at offset ``at`` of the page.  Result: the bytes."""

    at: int
    size: int


@dataclass(frozen=True, slots=True)
class Store:
    """Store ``data`` at offset ``at`` of the page."""

    at: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Notify:
    """Send one event to the peer."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Grant a page of one's own to ``domid``.  Result: its grant reference."""

    domid: int


@dataclass(frozen=True, slots=True)
class Map:
    """Map page ``gref`` of ``domid``.  Result: whether that was possible."""

    domid: int
    gref: int


@dataclass(frozen=True, slots=True)
class Bind:
    """
    Bind to ``port`` of ``domid``, or allocate a port that ``domid`` can bind.

    Result: one's own port, or ``None`` when it was refused.
    """

    domid: int
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Unmap:
    """Give up the mapping of page ``gref``; nothing of it is touched afterwards."""

    gref: int


@dataclass(frozen=True, slots=True)
class Unbind:
    """Close one's own ``port``."""

    port: int


@dataclass(frozen=True, slots=True)
class Revoke:
    """
    Take the grant of one's own page ``gref`` back.

    Result: whether that was possible; a page that is mapped cannot be taken back.
    """

    gref: int


@dataclass(frozen=True, slots=True)
class ReadNode:
    """Read the xenstore node ``path``.  Result: its text, ``None`` if absent."""

    path: str


@dataclass(frozen=True, slots=True)
class WriteNodes:
    """Write ``(path, text)`` pairs; several are one transaction."""

    nodes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class WatchNode:
    """Have ``changed`` called from now on when the node ``path`` changes."""

    path: str


@dataclass(frozen=True, slots=True)
class Execute:
    """Start the TPM on ``packet``; ``completed`` brings the response later."""

    packet: bytes
    locality: int


@dataclass(frozen=True, slots=True)
class Abort:
    """Ask the TPM to abandon the command; ``completed`` follows all the same."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What became of a request, as its user sees it.

    :param outcome: ``response``; ``cancelled`` (no response came);
        ``failed`` (what came could not be taken); ``timed-out``; ``refused``;
        of an order to close or to connect ``closed`` or ``connected``.
    :param packet: the response, empty for every other outcome.
    """

    outcome: str
    packet: bytes = b""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand ``answer`` to the user of the frontend."""

    answer: Answer


Operation = (
    Load
    | Store
    | Notify
    | Grant
    | Map
    | Bind
    | Unmap
    | Unbind
    | Revoke
    | ReadNode
    | WriteNodes
    | WatchNode
    | Execute
    | Abort
    | Deliver
)


def load_state() -> Load:
    """The load of ``state`` alone, one byte."""
    return Load(STATE.offset, STATE.size)


def store_state(value: int) -> Store:
    """The store of ``state`` alone, one byte."""
    return Store(STATE.offset, bytes([value]))


def name_field(at: int, data: bytes) -> str:
    """The header field that ``data`` at offset ``at`` is, with its value; else nothing."""
    for field in FIELDS:
        if (at, len(data)) == (field.offset, field.size):
            value = int.from_bytes(data, "little")
            named = field is STATE and value in tuple(State)
            return f"{field.name} {State(value).name if named else value}"
    return ""


def parse_number(text: str | None) -> int | None:
    """
    The number that a node holds: decimal digits and nothing else, or ``None``.

    Clause ``connecting.decimal``.  ``isdigit`` alone would accept digits of
    other scripts.
    """
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 10:
        return None
    return int(text)
