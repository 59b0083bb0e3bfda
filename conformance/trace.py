# SPDX-License-Identifier: MIT
"""
The trace format: JSON Lines, typed, versioned, sealed line by line.

A trace is all that happened on a link.  Its first line is the header, its
last the footer; without a footer the run was cut off.  ``read`` refuses what
was cut off or altered, and names the line.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, final
from zlib import crc32

import msgspec

from conformance.errors import TraceError
from conformance.recorder import FORMAT

RoleName = Literal["frontend", "backend"]

#: How well a link sees something: each one, some of them, or none.
EvidenceLevel = Literal["exact", "sampled", "none"]

#: An offset in the page, and bytes of it in hexadecimal digits.
Offset = Annotated[int, msgspec.Meta(ge=0, lt=4096)]
Digits = Annotated[str, msgspec.Meta(max_length=2 * 4096)]


class Line(msgspec.Struct, kw_only=True, tag_field="e", forbid_unknown_fields=True):
    """What every line has: ``crc``, the running checksum, 8 hex digits."""

    crc: str


@final
class Header(Line, tag="header", kw_only=True):
    """
    The first line: what was run, and what its link can see.

    :ivar clauses: id and checksum of each clause that the run knew.
    :ivar judged: the roles under judgement; the judge plays the others.
    :ivar evidence: for each judged role the level of each kind: loads, stores,
        events, nodes, grants, revocations, orders; and bodies, where what packets
        say was left out.
    """

    format: int
    suite: str
    clauses: dict[str, str]
    link: str
    judged: list[RoleName]
    target: str
    evidence: dict[RoleName, dict[str, EvidenceLevel]]
    case: str
    frontend: int
    backend: int
    device: int
    platform: str
    started: str
    seed: int | None = None


class Event(Line, kw_only=True):
    """What every event has: ``t``, ns since the start, ``c``, the connection."""

    t: int
    c: int = 0


class Target(Event, tag="target", kw_only=True):
    """The target has started: the TPM that it speaks, and what it can do."""

    tpm: str
    can: str = ""


class Load(Event, tag="load", kw_only=True):
    """``by`` loaded ``data`` (hexadecimal) at offset ``at`` of the page."""

    by: RoleName
    at: Offset
    data: Digits


class Store(Event, tag="store", kw_only=True):
    """``by`` stored ``data`` (hexadecimal) at offset ``at`` of the page."""

    by: RoleName
    at: Offset
    data: Digits


class Sample(Event, tag="sample", kw_only=True):
    """The judge looked at ``size`` bytes; ``data`` at ``at`` was new to it."""

    size: int
    at: Offset
    data: Digits


class Notify(Event, tag="notify", kw_only=True):
    """``by`` notified its peer ``count`` times since this was last recorded."""

    by: RoleName
    count: int


class Connection(Event, tag="connection", kw_only=True):
    """A further connection of the same backend has come into being: its device."""

    frontend: int
    device: int


class Grant(Event, tag="grant", kw_only=True):
    """``by`` granted a page (``on``) or asked for it back; ``ok`` tells the result."""

    by: RoleName
    gref: int
    on: bool = True
    ok: bool = True


class Map(Event, tag="map", kw_only=True):
    """``by`` asked to map (``on``) or unmap a page; ``ok`` tells the result."""

    by: RoleName
    gref: int
    ok: bool
    on: bool = True
    why: str = ""


class Bind(Event, tag="bind", kw_only=True):
    """
    ``by`` asked to bind (``on``) or unbind; ``remote`` is the peer's port.

    A frontend that allocates an unbound port has no ``remote``.
    """

    by: RoleName
    ok: bool
    port: int | None = None
    remote: int | None = None
    on: bool = True
    why: str = ""


class Node(Event, tag="node", kw_only=True):
    """
    One xenstore operation: ``read``, ``write``, ``rm``, ``watch``, ``start``, ``end``.

    :ivar by: the role, or ``toolstack``.
    :ivar tx: the transaction, 0 for none.
    :ivar ok: whether it succeeded; of an ``end``, whether it was committed.
    """

    by: Literal["frontend", "backend", "toolstack"]
    op: str
    path: str
    value: str | None = None
    tx: int = 0
    ok: bool = True


class Order(Event, tag="order", kw_only=True):
    """The judge ordered a frontend to do something."""

    id: int
    do: str
    packet: str = ""
    locality: int = 0


class Result(Event, tag="result", kw_only=True):
    """What a frontend reported of an order."""

    id: int
    outcome: str
    packet: str = ""
    why: str = ""


class Phase(Event, tag="phase", kw_only=True):
    """
    Where the case is: ``setup``, ``stimulus``, ``fence`` or ``end``.

    :ivar note: at the end, why the case never came to its stimulus.
    :ivar move: in a walk, the move that begins, in words.
    :ivar clause: what silence or a crash from here on breaks, if not the case's clause.
    """

    name: Literal["setup", "stimulus", "fence", "end"]
    note: str = ""
    move: str = ""
    clause: str = ""


class Silence(Event, tag="silence", kw_only=True):
    """
    What the judge waited for did not come within ``seconds``.

    :ivar certain: nothing can come any more; the target has ended or rests.
    """

    awaited: str
    seconds: float
    certain: bool = False


class Console(Event, tag="console", kw_only=True):
    """A line that the target wrote as free text."""

    text: str


class Exit(Event, tag="exit", kw_only=True):
    """The target ended by itself; ``how`` says with which status or signal."""

    how: str


class Trouble(Event, tag="trouble", kw_only=True):
    """The adapter, not the target, broke its page; ``what`` says how."""

    what: str


@final
class Footer(Line, tag="footer", kw_only=True):
    """The last line: how many events there are."""

    events: int


AnyEvent = (
    Target
    | Load
    | Store
    | Sample
    | Notify
    | Connection
    | Grant
    | Map
    | Bind
    | Node
    | Order
    | Result
    | Phase
    | Silence
    | Console
    | Exit
    | Trouble
)

_DECODER: msgspec.json.Decoder[Header | Footer | AnyEvent] = msgspec.json.Decoder(
    Header | Footer | AnyEvent
)


class _Start(msgspec.Struct):
    """What the first line of a trace of any format has."""

    e: str = ""
    format: object = None


_START = msgspec.json.Decoder(_Start)

#: Bytes of the longest first line that is read; a file of one line is not read whole.
_LONGEST_HEADER = 1 << 20

#: Bytes of the seal at the end of each line, its brace and newline included.
_SEAL = len(',"crc":"00000000"}\n')
_NEWLINE = ord("\n")


class TraceReader:
    """
    Reads one trace, line by line, in constant memory.

    :ivar header: its first line.
    :ivar line: number of the line that was read last, from 1.
    :ivar complete: whether the footer was reached.
    :raises TraceError: the trace is not to be trusted from some line on.
    """

    def __init__(self, path: Path, *, incomplete: bool = False) -> None:
        self.path = path
        self.line = 0
        self.complete = False
        self._incomplete = incomplete
        self._crc = 0
        try:
            self._file = path.open("rb")
            first = self._file.readline(_LONGEST_HEADER)
        except OSError as error:
            raise TraceError(str(path), 1, f"cannot be read: {error.strerror}") from error
        try:
            self.header = self._header(first)
        except TraceError:
            self._file.close()
            raise

    def __iter__(self) -> Iterator[AnyEvent]:
        decode = self._decode
        count = 0
        with self._file as file:
            for raw in file:
                if raw[0] == 0 or raw[-1] != _NEWLINE:
                    self._only_zeroes(file, "altered: it has no end, but lines follow")
                    break
                event = decode(raw)
                if type(event) is Footer:
                    self._finish(event, count, file)
                    return
                if type(event) is Header:
                    raise self._refused("a second header")
                count += 1
                yield event
        if not self._incomplete:
            self.line += 1
            raise self._refused(
                "cut off: there is no footer, so the run was interrupted"
                " (--incomplete judges what is there)"
            )

    def _header(self, first: bytes) -> Header:
        """The first line; of another format, no more than its number is looked at."""
        try:
            start = _START.decode(first)
        except (msgspec.DecodeError, UnicodeDecodeError):
            start = _Start()
        if start.e != "header":
            raise self._refused("this is no trace: its first line is not a header")
        if start.format != FORMAT:
            raise self._refused(f"format {start.format}; this judge reads format {FORMAT}")
        header = self._decode(first)
        assert isinstance(header, Header)
        return header

    def _finish(self, footer: Footer, count: int, file: BinaryIO) -> None:
        if footer.events != count:
            raise self._refused(f"the footer counts {footer.events} events, there are {count}")
        self._only_zeroes(file, "there is something after the footer")
        self.complete = True

    def _only_zeroes(self, file: BinaryIO, otherwise: str) -> None:
        """Behind the last line there may be space that a killed run had reserved."""
        while rest := file.read(1 << 16):
            if rest.strip(b"\0"):
                self.line += 1
                raise self._refused(otherwise)

    def _decode(self, raw: bytes) -> Header | Footer | AnyEvent:
        self.line += 1
        self._crc = crc32(raw[:-_SEAL], self._crc)
        try:
            event = _DECODER.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._refused(f"not an event of the format: {error}") from error
        if raw[-11:-3] != b"%08x" % self._crc:
            raise self._refused("altered: its checksum does not match it and the lines before")
        return event

    def _refused(self, reason: str) -> TraceError:
        return TraceError(str(self.path), max(self.line, 1), reason)


def schema() -> dict[str, object]:
    """JSON Schema of one line of a trace, made from the types above."""
    return msgspec.json.schema(Header | Footer | AnyEvent)
