# SPDX-License-Identifier: MIT
"""A trace comes back as it was recorded, and whatever was cut off or altered is refused."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance import recorder, trace
from conformance.errors import RecordingError, TraceError
from conformance.recorder import CHUNK, Recorder, difference, renamed
from conformance.trace import TraceReader

HEADER: dict[str, object] = {
    "suite": "0.1",
    "clauses": {"states.backend-writes": "fed7910b450b"},
    "link": "memory",
    "judged": ["backend"],
    "target": "a target",
    "evidence": {"backend": {"stores": "exact"}},
    "case": "states.backend-writes/three-exchanges",
    "frontend": 1,
    "backend": 0,
    "device": 0,
    "platform": "Linux",
    "started": "2026-01-01T00:00:00Z",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.jsonl"


@pytest.fixture
def record(path: Path) -> Iterator[Recorder]:
    recorder = Recorder(path, HEADER)
    yield recorder
    recorder.close()


def read(path: Path, *, incomplete: bool = False) -> list[trace.AnyEvent]:
    return list(TraceReader(path, incomplete=incomplete))


def fields(event: trace.AnyEvent) -> dict[str, object]:
    """What an event says, without its time and seal."""
    values = {name: getattr(event, name) for name in event.__struct_fields__}
    return {name: value for name, value in values.items() if name not in ("t", "crc")}


# What was recorded comes back.

EVENTS: list[tuple[type[trace.Event], dict[str, Any], dict[str, object]]] = [
    (trace.Target, {"tpm": "2.0"}, {"tpm": "2.0", "can": ""}),
    (trace.Target, {"tpm": "1.2", "can": "orders"}, {"tpm": "1.2", "can": "orders"}),
    (
        trace.Connection,
        {"frontend": 2, "device": 0},
        {"frontend": 2, "device": 0},
    ),
    (
        trace.Grant,
        {"by": "frontend", "gref": 8},
        {"by": "frontend", "gref": 8, "on": True, "ok": True},
    ),
    (
        trace.Grant,
        {"by": "frontend", "gref": 8, "on": False, "ok": False},
        {"by": "frontend", "gref": 8, "on": False, "ok": False},
    ),
    (
        trace.Map,
        {"by": "backend", "gref": 9, "ok": False, "why": "no such grant"},
        {"by": "backend", "gref": 9, "ok": False, "on": True, "why": "no such grant"},
    ),
    (
        trace.Bind,
        {"by": "backend", "ok": True, "port": 2, "remote": 1},
        {"by": "backend", "ok": True, "port": 2, "remote": 1, "on": True, "why": ""},
    ),
    (
        trace.Bind,
        {"by": "frontend", "ok": True, "port": 1},
        {"by": "frontend", "ok": True, "port": 1, "remote": None, "on": True, "why": ""},
    ),
    (
        trace.Node,
        {"by": "toolstack", "op": "write", "path": "/local/domain/1/x", "value": "ä\n\0"},
        {
            "by": "toolstack",
            "op": "write",
            "path": "/local/domain/1/x",
            "value": "ä\n\0",
            "tx": 0,
            "ok": True,
        },
    ),
    (
        trace.Node,
        {"by": "backend", "op": "end", "path": "", "value": None, "tx": 4, "ok": False},
        {"by": "backend", "op": "end", "path": "", "value": None, "tx": 4, "ok": False},
    ),
    (
        trace.Order,
        {"id": 1, "do": "send", "packet": "8001", "locality": 3},
        {"id": 1, "do": "send", "packet": "8001", "locality": 3},
    ),
    (
        trace.Result,
        {"id": 1, "outcome": "failed", "why": 'a "quote"'},
        {"id": 1, "outcome": "failed", "packet": "", "why": 'a "quote"'},
    ),
    (
        trace.Phase,
        {"name": "fence"},
        {"name": "fence", "note": "", "move": "", "clause": ""},
    ),
    (
        trace.Silence,
        {"awaited": "an answer", "seconds": 2.5},
        {"awaited": "an answer", "seconds": 2.5, "certain": False},
    ),
    (trace.Console, {"text": "a line"}, {"text": "a line"}),
    (trace.Exit, {"how": "killed by SIGSEGV"}, {"how": "killed by SIGSEGV"}),
    (trace.Trouble, {"what": "no msg"}, {"what": "no msg"}),
]


@pytest.mark.parametrize(("kind", "given", "expected"), EVENTS)
def test_events(
    record: Recorder,
    path: Path,
    kind: type[trace.Event],
    given: dict[str, Any],
    expected: dict[str, object],
) -> None:
    record.event(kind.__name__.lower(), **given)
    record.event(kind.__name__.lower(), 3, **given)
    record.close()
    first, second = read(path)
    assert type(first) is type(second) is kind
    assert fields(first) == expected | {"c": 0}
    assert fields(second) == expected | {"c": 3}


def test_events_of_the_page(record: Recorder, path: Path) -> None:
    record.load("backend", 4, b"\x01")
    record.store("frontend", 8, bytes.fromhex("8001 0000000c"), connection=2)
    record.sample(bytes(4) + b"\x02" + bytes(4091))
    record.sample(bytes(4) + b"\x02" + bytes(4091))
    record.notify("backend")
    record.notify("frontend", 0xFFFFFFFFFFFFFFFE)
    record.close()
    found = [(type(event), fields(event)) for event in read(path)]
    assert found == [
        (trace.Load, {"by": "backend", "at": 4, "data": "01", "c": 0}),
        (trace.Store, {"by": "frontend", "at": 8, "data": "80010000000c", "c": 2}),
        (trace.Sample, {"size": 4096, "at": 4, "data": "02", "c": 0}),
        (trace.Sample, {"size": 4096, "at": 0, "data": "", "c": 0}),
        (trace.Notify, {"by": "backend", "count": 1, "c": 0}),
        (trace.Notify, {"by": "frontend", "count": 0xFFFFFFFFFFFFFFFE, "c": 0}),
    ]


def test_every_kind_of_event_is_in_these_tests() -> None:
    here = {kind for kind, _, _ in EVENTS}
    here |= {trace.Load, trace.Store, trace.Sample, trace.Notify}
    assert here == set(trace.AnyEvent.__args__)


def test_the_header(record: Recorder, path: Path) -> None:
    record.close()
    reader = TraceReader(path)
    assert list(reader) == [] and reader.complete
    header = {name: getattr(reader.header, name) for name in HEADER}
    assert header == HEADER
    assert (reader.header.format, reader.header.seed) == (1, None)


def test_times_never_go_back(record: Recorder, path: Path) -> None:
    for _ in range(100):
        record.notify("backend")
    record.close()
    times = [event.t for event in read(path)]
    assert times == sorted(times) and times[0] > 0


def test_a_trace_under_another_case(record: Recorder, path: Path) -> None:
    """Nothing else of it changes, and it is sealed anew."""
    record.store("backend", 4, b"\2")
    record.close()
    other = path.with_name("other.jsonl")
    other.write_bytes(renamed(path.read_bytes(), "states.backend-fields/three-exchanges"))
    assert TraceReader(other).header.case == "states.backend-fields/three-exchanges"
    assert list(map(fields, read(other))) == list(map(fields, read(path)))


@pytest.mark.parametrize("at", [0, 1, 2], ids=["header", "event", "footer"])
def test_what_was_altered_is_not_healed_by_another_name(
    record: Recorder, path: Path, at: int
) -> None:
    record.store("backend", 4, b"\2")
    record.close()
    lines = path.read_bytes().splitlines(keepends=True)
    lines[at] = lines[at].replace(b"e", b"f", 1)
    path.write_bytes(renamed(b"".join(lines), "states.backend-fields/three-exchanges"))
    with pytest.raises(TraceError):
        read(path)


def test_half_a_surrogate_pair_does_not_spoil_a_trace(record: Recorder, path: Path) -> None:
    record.event("result", id=1, outcome="failed", why="\ud800 and \udcff")
    record.close()
    [result] = read(path)
    assert isinstance(result, trace.Result) and result.why == "? and ?"


def test_an_access_of_no_bytes_is_none(record: Recorder, path: Path) -> None:
    """Clearing what is behind the longest response touches nothing, at offset 4096."""
    record.store("backend", 4096, b"")
    record.load("backend", 4096, b"")
    record.close()
    assert read(path) == []


def test_close_twice(record: Recorder, path: Path) -> None:
    record.close()
    record.close()
    assert read(path) == []


# The file.


def test_growth(record: Recorder, path: Path) -> None:
    text = "x" * 1000
    for _ in range(3 * CHUNK // 1000):
        record.event("console", text=text)
    assert path.stat().st_size % CHUNK == 0 and path.stat().st_size > 3 * CHUNK
    record.close()
    assert path.stat().st_size % CHUNK
    events = read(path)
    assert len(events) == record.events == 3 * CHUNK // 1000
    assert {event.text for event in events if isinstance(event, trace.Console)} == {text}


def test_an_event_larger_than_a_chunk(record: Recorder, path: Path) -> None:
    record.notify("backend")
    record.event("console", text="x" * (2 * CHUNK))
    record.notify("backend")
    record.close()
    _, event, _ = read(path)
    assert isinstance(event, trace.Console) and len(event.text) == 2 * CHUNK


def test_what_was_recorded_is_in_the_file_before_it_is_closed(record: Recorder, path: Path) -> None:
    record.notify("backend", 7)
    [event] = read(path, incomplete=True)
    assert isinstance(event, trace.Notify) and event.count == 7


def test_a_killed_process_loses_nothing(path: Path) -> None:
    child = os.fork()
    if child == 0:
        record = Recorder(path, HEADER)
        record.notify("backend", 7)
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert len(read(path, incomplete=True)) == 1
    assert path.stat().st_size == CHUNK


def test_folders_are_made(tmp_path: Path) -> None:
    Recorder(tmp_path / "a/b/trace.jsonl", HEADER).close()
    assert read(tmp_path / "a/b/trace.jsonl") == []


def test_a_trace_that_somebody_still_has_mapped_is_replaced(path: Path, record: Recorder) -> None:
    record.notify("backend")
    Recorder(path, HEADER).close()
    record.notify("backend")  # into the file that was there before; a shorter one would kill us
    assert read(path) == []


def full(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int, offset: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", fail)


def test_a_full_disk_keeps_what_there_is(
    record: Recorder, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.event("console", text="kept")
    full(monkeypatch)
    message = f"{path}: No space left on device; what was recorded up to here is kept"
    with pytest.raises(RecordingError) as raised:
        record.event("console", text="x" * CHUNK)
    assert str(raised.value) == message
    # Nothing is written behind the gap, although it would fit, and so there is no footer.
    with pytest.raises(RecordingError):
        record.notify("backend")
    record.close()
    with pytest.raises(TraceError, match="line 3: cut off"):
        read(path)
    [event] = read(path, incomplete=True)
    assert fields(event) == {"text": "kept", "c": 0}


def test_a_disk_that_is_full_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(os.listdir("/proc/self/fd"))
    full(monkeypatch)
    with pytest.raises(RecordingError, match="No space left on device"):
        Recorder(path, HEADER)
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_header_that_no_longer_fits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allocate, calls = os.posix_fallocate, iter([None])

    def once(fd: int, offset: int, size: int) -> None:
        if next(calls, "full") == "full":
            raise OSError(28, "No space left on device")
        allocate(fd, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", once)
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(RecordingError):
        Recorder(path, HEADER | {"target": "x" * CHUNK})
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("where", ["file/trace.jsonl", "folder"])
def test_what_cannot_be_written(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(RecordingError, match=rf"{where}: cannot be written: "):
        Recorder(tmp_path / where, HEADER)


# Damage.


@pytest.fixture
def lines(record: Recorder, path: Path) -> list[bytes]:
    """A whole trace of six lines: the header, four events, the footer."""
    record.event("phase", name="setup")
    record.store("frontend", 4, b"\x01")
    record.notify("frontend")
    record.event("phase", name="end")
    record.close()
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 6
    return lines


@pytest.fixture
def refused(path: Path) -> Callable[..., str]:
    """How the reader refuses these bytes, without the path."""

    def refuse(data: bytes, *, incomplete: bool = False) -> str:
        path.write_bytes(data)
        with pytest.raises(TraceError) as raised:
            read(path, incomplete=incomplete)
        said = str(raised.value)
        assert said == f"{path}: refused: line {raised.value.line}: {raised.value.reason}"
        return said.removeprefix(f"{path}: refused: ")

    return refuse


CUT_OFF = (
    "cut off: there is no footer, so the run was interrupted (--incomplete judges what is there)"
)
ALTERED = "altered: its checksum does not match it and the lines before"
NO_TRACE = "line 1: this is no trace: its first line is not a header"


def seal(*lines: bytes) -> bytes:
    """Lines without their closing brace, as a recorder would have sealed them."""
    crc, sealed = 0, b""
    for line in lines:
        crc = crc32(line, crc)
        sealed += b'%b,"crc":"%08x"}\n' % (line, crc)
    return sealed


def unsealed(line: bytes) -> bytes:
    return line[: -len(',"crc":"00000000"}\n')]


def test_the_seal_of_these_tests_is_the_recorders(lines: list[bytes]) -> None:
    assert seal(*map(unsealed, lines)) == b"".join(lines)


@pytest.mark.parametrize("line", [2, 3, 4, 5, 6])
def test_cut_off_in_the_middle_of_a_line(
    lines: list[bytes], refused: Callable[..., str], path: Path, line: int
) -> None:
    data = b"".join(lines[: line - 1]) + lines[line - 1][:20]
    for cut in (data, data + bytes(1000), b"".join(lines[:line])[:-1]):
        assert refused(cut) == f"line {line}: {CUT_OFF}"
        assert len(read(path, incomplete=True)) == line - 2


@pytest.mark.parametrize("line", [1, 2, 3, 4, 5])
def test_cut_off_after_a_line(
    lines: list[bytes], refused: Callable[..., str], path: Path, line: int
) -> None:
    data = b"".join(lines[:line])
    for cut in (data, data + bytes(1000)):
        assert refused(cut) == f"line {line + 1}: {CUT_OFF}"
        reader = TraceReader(path, incomplete=True)
        assert len(list(reader)) == line - 1 and not reader.complete


def test_cut_off_in_the_header(lines: list[bytes], refused: Callable[..., str]) -> None:
    assert refused(lines[0][:100]) == refused(lines[0][:100], incomplete=True) == NO_TRACE


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.data())
def test_one_changed_byte(
    lines: list[bytes], refused: Callable[..., str], data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, 5))
    at = data.draw(st.integers(0, len(lines[number]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != lines[number][at]))
    line = lines[number][:at] + bytes([byte]) + lines[number][at + 1 :]
    said = refused(b"".join([*lines[:number], line, *lines[number + 1 :]]))
    where, reason = said.split(": ", 1)
    assert where == f"line {number + 1}"
    reasons = ("altered", "not an event of the format", "this is no trace", "format ", "cut off")
    assert reason.startswith(reasons)


def test_one_changed_byte_is_not_taken_for_the_end(
    lines: list[bytes], refused: Callable[..., str]
) -> None:
    damaged = [*lines[:2], b"\0" + lines[2][1:], *lines[3:]]
    for incomplete in (False, True):
        said = refused(b"".join(damaged), incomplete=incomplete)
        assert said == "line 3: altered: it has no end, but lines follow"


@pytest.mark.parametrize("line", [2, 3, 4, 5])
def test_a_line_removed(lines: list[bytes], refused: Callable[..., str], line: int) -> None:
    left = b"".join(lines[: line - 1] + lines[line:])
    assert refused(left) == refused(left, incomplete=True) == f"line {line}: {ALTERED}"


@pytest.mark.parametrize("line", [2, 3, 4])
def test_two_lines_swapped(lines: list[bytes], refused: Callable[..., str], line: int) -> None:
    lines[line - 1], lines[line] = lines[line], lines[line - 1]
    assert refused(b"".join(lines)) == f"line {line}: {ALTERED}"


def test_a_line_twice(lines: list[bytes], refused: Callable[..., str]) -> None:
    assert refused(b"".join([*lines[:3], *lines[2:]])) == f"line 4: {ALTERED}"


def test_the_header_of_another_trace(
    lines: list[bytes], refused: Callable[..., str], tmp_path: Path
) -> None:
    Recorder(tmp_path / "other.jsonl", HEADER | {"target": "another"}).close()
    other = (tmp_path / "other.jsonl").read_bytes().splitlines(keepends=True)
    assert refused(b"".join([other[0], *lines[1:]])) == f"line 2: {ALTERED}"


@pytest.mark.parametrize("count", [0, 3, 5])
def test_a_footer_that_counts_wrong(
    lines: list[bytes], refused: Callable[..., str], count: int
) -> None:
    footer = b'{"e":"footer","events":%d' % count
    said = refused(seal(*map(unsealed, lines[:5]), footer))
    assert said == f"line 6: the footer counts {count} events, there are 4"


def test_something_after_the_footer(
    lines: list[bytes], refused: Callable[..., str], path: Path
) -> None:
    whole = b"".join(lines)
    for rest in (b"\n", b"x", lines[5], bytes(1000) + b"x", bytes(100_000) + b"x"):
        assert refused(whole + rest) == "line 7: there is something after the footer"
        assert refused(whole + rest, incomplete=True).startswith("line 7: ")
    # Killed after the footer, before the reserved space was given back: nothing is missing.
    path.write_bytes(whole + bytes(1000))
    assert len(read(path)) == 4


def test_a_second_header(lines: list[bytes], refused: Callable[..., str]) -> None:
    header = unsealed(lines[0])
    assert refused(seal(header, unsealed(lines[1]), header)) == "line 3: a second header"


@pytest.mark.parametrize(
    ("number", "shown"), [(b"0", "0"), (b"2", "2"), (b'"1"', "1"), (b"null", "None")]
)
def test_another_format(
    lines: list[bytes], refused: Callable[..., str], number: bytes, shown: str
) -> None:
    header = unsealed(lines[0]).replace(b'"format": 1', b'"format": ' + number)
    wanted = f"line 1: format {shown}; this judge reads format 1"
    assert refused(seal(header)) == wanted
    # Of a later format no more than its number has to be understood.
    assert refused(b'{"e":"header","format":%b,"more":[1,{}]}\n' % number) == wanted


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        bytes(CHUNK),
        b"a note\n",
        b"\x7fELF\x02\x01\x01" + bytes(100),
        b"[]\n",
        b'{"e":"notify","by":"backend","count":1,"t":1,"crc":"00000000"}\n',
        b"\xff" * 100,
        b"{" * 100_000,
        b"x" * 3_000_000,
    ],
)
def test_what_is_no_trace(refused: Callable[..., str], data: bytes) -> None:
    assert refused(data) == refused(data, incomplete=True) == NO_TRACE


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"e":"flood","t":1', "Invalid value 'flood'"),
        (b'{"e":"notify","by":"backend","count":1,"t":1,"more":1', "unknown field `more`"),
        (b'{"e":"notify","by":"nobody","count":1,"t":1', "Invalid enum value 'nobody'"),
        (b'{"e":"notify","by":"backend","count":"1","t":1', "Expected `int`, got `str`"),
        (b'{"e":"notify","by":"backend","t":1', "missing required field `count`"),
        (b'{"e":"load","by":"backend","at":4096,"data":"00","t":1', "`int` <= 4095"),
        (b'{"e":"load","by":"backend","at":-1,"data":"00","t":1', "`int` >= 0"),
        (b'{"e":"load","by":"backend","at":0,"data":"%b","t":1' % (b"0" * 8194), "<= 8192"),
    ],
)
def test_a_sealed_line_that_is_no_event(
    lines: list[bytes], refused: Callable[..., str], line: bytes, said: str
) -> None:
    answer = refused(seal(unsealed(lines[0]), line))
    assert answer.startswith("line 2: not an event of the format: ") and said in answer


@pytest.mark.parametrize(("name", "why"), [("none", "No such file or directory"), ("", "Is a dir")])
def test_what_cannot_be_read(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(TraceError, match=f"refused: line 1: cannot be read: {why}"):
        TraceReader(tmp_path / name)


def test_a_refused_file_is_not_left_open(path: Path) -> None:
    path.write_bytes(b"no trace\n")
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(TraceError) as raised:
        TraceReader(path)
    assert set(os.listdir("/proc/self/fd")) == before
    assert raised.value.line == 1


def test_the_line_is_that_of_the_event_just_read(lines: list[bytes], path: Path) -> None:
    reader = TraceReader(path)
    assert reader.line == 1
    assert [reader.line for _ in reader] == [2, 3, 4, 5]
    assert reader.line == 6


# Looks at the page.

bytes_of_a_page = st.binary(min_size=64, max_size=64)
#: Pages that differ in a few places, as they do from one look to the next.
patches = st.lists(st.tuples(st.integers(0, 63), st.binary(min_size=1, max_size=8)), max_size=4)


def patched(page: bytes, changes: list[tuple[int, bytes]]) -> bytes:
    for at, data in changes:
        page = (page[:at] + data + page[at + len(data) :])[:64]
    return page


@given(bytes_of_a_page, patches)
def test_the_difference_is_the_shortest_run_that_covers_all(
    old: bytes, changes: list[tuple[int, bytes]]
) -> None:
    new = patched(old, changes)
    differs = [i for i in range(64) if old[i] != new[i]]
    low, data = difference(old, new)
    if not differs:
        assert (low, data) == (0, b"")
    else:
        assert (low, data) == (differs[0], new[differs[0] : differs[-1] + 1])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 4095, 4096])
def test_the_difference_at_the_edges(size: int) -> None:
    old = bytes(size)
    for at in (0, size // 2, size - 1):
        new = old[:at] + b"\1" + old[at + 1 :]
        assert difference(old, new) == difference(bytearray(old), new) == (at, b"\1")
    assert difference(old, b"\1" * size) == (0, b"\1" * size)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.one_of(patches, st.tuples(st.integers(0, 4095), st.binary(max_size=8)))))
def test_samples_and_stores_give_the_page_back(
    tmp_path: Path, steps: list[list[tuple[int, bytes]] | tuple[int, bytes]]
) -> None:
    path = tmp_path / "trace.jsonl"
    record = recorder.Recorder(path, HEADER)
    page, seen = bytearray(4096), []
    for step in steps:
        if isinstance(step, tuple):
            at, data = step[0], step[1][: 4096 - step[0]]
            page[at : at + len(data)] = data
            record.store("frontend", at, data)
        else:
            page[:64] = patched(bytes(page[:64]), step)
            record.sample(bytes(page))
            seen.append(bytes(page))
    assert not steps or isinstance(steps[-1], tuple) or record.image(0) == page
    record.close()

    replayed = bytearray(4096)
    for event in read(path):
        assert isinstance(event, trace.Store | trace.Sample)
        data = bytes.fromhex(event.data)
        replayed[event.at : event.at + len(data)] = data
        if isinstance(event, trace.Sample):
            assert replayed == seen.pop(0)


def test_a_sample_shows_what_is_new_to_the_judge_only(record: Recorder, path: Path) -> None:
    record.store("frontend", 0, b"\x0c\0\0\0\1")
    page = bytearray(4096)
    page[:5] = b"\x0c\0\0\0\2"
    record.sample(bytes(page))
    record.sample(bytes(page), connection=1)
    record.close()
    _, first, second = read(path)
    assert fields(first) == {"size": 4096, "at": 4, "data": "02", "c": 0}
    assert fields(second) == {"size": 4096, "at": 0, "data": "0c00000002", "c": 1}
