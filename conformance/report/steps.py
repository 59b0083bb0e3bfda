# SPDX-License-Identifier: MIT
"""
Steps of a trace in words, one line each, for people who read a failure.
"""

from collections import deque
from pathlib import Path

from conformance import trace
from conformance.errors import TraceError
from conformance.trace import TraceReader
from vtpm_ref import page
from vtpm_ref.states import State
from vtpm_ref.steps import name_field

#: Steps that are shown before and after the offending one.
BEFORE, AFTER = 8, 2

#: Characters of the longest step.
LONGEST = 160


def describe(event: trace.AnyEvent) -> str:
    """One event in words, on one line that a terminal can show."""
    text = printable(_in_words(event))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."


def printable(text: str) -> str:
    """``text`` without anything that would move a terminal's cursor or change its colours."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _in_words(event: trace.AnyEvent) -> str:
    match event:
        case trace.Load() | trace.Store():
            verb = "loads" if isinstance(event, trace.Load) else "stores"
            return f"{event.by} {verb} {field_text(event.at, bytes.fromhex(event.data))}"
        case trace.Sample():
            data = bytes.fromhex(event.data)
            if not data:
                return "the judge looks at the page: nothing is new"
            return f"the judge looks at the page: new is {_span(event.at, data)}"
        case trace.Notify():
            return f"{event.by} notifies" + (f", {event.count} times" if event.count > 1 else "")
        case trace.Connection():
            return f"a further frontend, in domain {event.frontend}"
        case trace.Grant():
            said = "" if event.ok else ": refused, it is mapped"
            return f"{event.by} {'grants' if event.on else 'revokes'} page {event.gref}{said}"
        case trace.Map():
            said = "" if event.ok else f": refused{', ' if event.why else ''}{event.why}"
            return f"{event.by} {'maps' if event.on else 'unmaps'} page {event.gref}{said}"
        case trace.Bind():
            said = "" if event.ok else f": refused{', ' if event.why else ''}{event.why}"
            if not event.on:
                return f"{event.by} closes port {event.port}{said}"
            remote = "" if event.remote is None else f" to port {event.remote}"
            return f"{event.by} binds{remote}{said}"
        case trace.Node():
            return _node(event)
        case trace.Order():
            size = f" {len(event.packet) // 2} bytes" if event.packet else ""
            return f"order {event.id}: {event.do}{size}"
        case trace.Result():
            size = f" of {len(event.packet) // 2} bytes" if event.packet else ""
            why = f" ({event.why})" if event.why else ""
            return f"order {event.id} ends: {event.outcome}{size}{why}"
        case trace.Phase():
            said = event.move or event.note
            return f"-- {event.name}" + (f": {said}" if said else "")
        case trace.Silence():
            how = "nothing can come" if event.certain else f"not within {event.seconds:g} s"
            return f"the judge waits for {event.awaited}: {how}"
        case trace.Console():
            return f"stderr: {event.text}"
        case trace.Exit():
            return f"the target ends: {event.how}"
        case trace.Trouble():
            return f"trouble with the adapter: {event.what}"
        case trace.Target():
            return f"the target is ready, TPM {event.tpm}"


def excerpt(path: Path, line: int) -> list[tuple[int, str, bool]]:
    """
    The steps around ``line`` of a trace: (number, text, whether it is the one).

    xenstore reads are left out unless they are the one.  A trace that cannot
    be read any more gives no steps.
    """
    before: deque[tuple[int, str, bool]] = deque(maxlen=BEFORE + 1)
    after: list[tuple[int, str, bool]] = []
    try:
        reader = TraceReader(path, incomplete=True)
        for event in reader:
            if isinstance(event, trace.Node) and event.op == "read" and reader.line != line:
                continue
            step = (reader.line, describe(event), reader.line == line)
            if reader.line <= line:
                before.append(step)
            elif len(after) < AFTER:
                after.append(step)
            else:
                break
    except TraceError:
        pass
    return [*before, *after]


def console(path: Path, most: int = 5) -> list[str]:
    """The last lines that the target wrote as free text."""
    try:
        lines = [e.text for e in TraceReader(path, incomplete=True) if isinstance(e, trace.Console)]
    except TraceError:
        return []
    return [printable(line) for line in lines[-most:]]


def field_text(at: int, data: bytes) -> str:
    """Name the bytes ``data`` at offset ``at`` of the page, and say their value."""
    named = name_field(at, data)
    if named:
        return named
    if (at, len(data)) == (0, page.HEADER_SIZE):
        header = page.Header.unpack(data)
        known = header.state in tuple(State)
        state = State(header.state).name if known else header.state
        extra = f", nr_extra_pages {header.nr_extra_pages}" if header.nr_extra_pages else ""
        return f"the header: length {header.length}, state {state}{extra}"
    return _span(at, data)


def _span(at: int, data: bytes) -> str:
    shown = data[:12].hex(" ") + (" ..." if len(data) > 12 else "")
    return f"{len(data)} bytes at {at}: {shown}"


def _node(event: trace.Node) -> str:
    if event.op in ("start", "end"):
        done = {"start": "starts", "end": "commits" if event.ok else "drops"}[event.op]
        return f"{event.by} {done} transaction {event.tx}"
    verb = {"read": "reads", "write": "writes", "rm": "removes", "watch": "watches"}[event.op]
    value = f" = {event.value}" if event.value is not None else ""
    refused = "" if event.ok or event.op == "read" else " (refused)"
    inside = f" (transaction {event.tx})" if event.tx else ""
    return f"{event.by} {verb} {event.path.removeprefix('/local/domain/')}{value}{inside}{refused}"
