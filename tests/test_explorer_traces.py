# SPDX-License-Identifier: MIT
"""
A recorded trace in the explorer: opened, stepped through, put into the judge's words, refused.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conformance import trace
from conformance.errors import TraceError
from conformance.recorder import Recorder
from conformance.report import steps
from conformance.run import header_of
from conformance.trace import TraceReader
from tests.browser import PHONE, chromium, explorer, said, state
from tests.docs_support import ROOT
from vtpm_ref.states import Role

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FAILURE = "packet.too-long-answered/4089"
BACKEND, FRONTEND = "/local/domain/0/backend/vtpm/1/0", "/local/domain/1/device/vtpm/0"

#: Every kind of event with every option that its words have.
EVERYTHING: list[tuple[str, dict[str, Any]]] = [
    ("target", {"tpm": "2.0"}),
    ("console", {"text": "backend 1.0: ready"}),
    ("phase", {"name": "setup"}),
    ("grant", {"by": "frontend", "gref": 9}),
    ("bind", {"by": "frontend", "ok": True, "port": 1}),
    ("node", {"by": "frontend", "op": "start", "path": "", "tx": 3}),
    ("node", {"by": "frontend", "op": "write", "path": f"{FRONTEND}/port", "value": "1", "tx": 3}),
    ("node", {"by": "frontend", "op": "end", "path": "", "tx": 3}),
    ("node", {"by": "frontend", "op": "start", "path": "", "tx": 4}),
    ("node", {"by": "frontend", "op": "write", "path": f"{FRONTEND}/no", "value": "1", "tx": 4}),
    ("node", {"by": "frontend", "op": "end", "path": "", "tx": 4, "ok": False}),
    ("node", {"by": "backend", "op": "watch", "path": f"{FRONTEND}/state"}),
    ("node", {"by": "backend", "op": "read", "path": f"{FRONTEND}/state", "ok": False}),
    ("node", {"by": "toolstack", "op": "write", "path": f"{BACKEND}/state", "value": "4"}),
    ("node", {"by": "backend", "op": "write", "path": "/local/x", "value": "1", "ok": False}),
    ("map", {"by": "backend", "gref": 9, "ok": True}),
    ("map", {"by": "backend", "gref": 4, "ok": False, "why": "no such grant"}),
    ("bind", {"by": "backend", "ok": True, "port": 2, "remote": 1}),
    ("bind", {"by": "backend", "ok": False, "remote": 7}),
    ("phase", {"name": "stimulus", "note": "a request"}),
    ("order", {"id": 1, "do": "send", "packet": "8001000000"}),
    ("order", {"id": 2, "do": "cancel"}),
    ("sample", {"size": 4096, "at": 8, "data": "80010000000a0000017b000000"}),
    ("sample", {"size": 4096, "at": 0, "data": ""}),
    ("notify", {"by": "frontend", "count": 1}),
    ("notify", {"by": "backend", "count": 3}),
    ("result", {"id": 1, "outcome": "response", "packet": "8001"}),
    ("result", {"id": 2, "outcome": "refused", "why": "nothing to cancel"}),
    ("silence", {"awaited": "an answer", "seconds": 2.5}),
    ("silence", {"awaited": "an event", "seconds": 1.0, "certain": True}),
    ("connection", {"frontend": 2, "device": 0}),
    ("trouble", {"what": "it said nothing"}),
    ("map", {"by": "backend", "gref": 9, "ok": True, "on": False}),
    ("bind", {"by": "backend", "ok": True, "port": 2, "on": False}),
    ("grant", {"by": "frontend", "gref": 9, "on": False, "ok": False}),
    ("node", {"by": "toolstack", "op": "rm", "path": BACKEND}),
    ("exit", {"how": "signal 11"}),
]

#: Accesses, recorded between the others: who, offset, bytes, whether a store.
ACCESSES = [
    ("frontend", 0, bytes(8), True),
    ("frontend", 4, b"\1", True),
    ("backend", 0, b"\x0a\0\0\0\1\0\0\0", False),
    ("backend", 4, b"\2", True),
    ("frontend", 4, b"\3", True),
    ("backend", 4, b"\1", True),
    ("backend", 4, b"\x63", True),
    ("backend", 8, bytes(range(20)), True),
    ("frontend", 0, b"\x0c\0\0\0", False),
    ("backend", 0, b"\x0a\0\0\0\x63\0\0\2", False),
]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: "Browser", html: Path) -> Iterator["Page"]:
    with explorer(browser, html) as opened:
        yield opened


@pytest.fixture(scope="module")
def failure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the judge records of examples/broken_backend.py."""
    folder = tmp_path_factory.mktemp("traces")
    command = [sys.executable, "-m", "conformance.cli", "run", "backend", FAILURE]
    command += ["--object", "examples.broken_backend:backend", "--traces", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stdout + done.stderr
    return folder / "packet.too-long-answered__4089.jsonl"


def recorder(path: Path) -> Recorder:
    header = header_of([Role.BACKEND], link="memory", target="by hand", evidence={})
    return Recorder(path, header)


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    """A trace of every kind of event."""
    made = recorder(tmp_path / "everything.jsonl")
    for kind, fields in EVERYTHING:
        made.event(kind, **fields)
    for by, at, data, stores in ACCESSES:
        (made.store if stores else made.load)(by, at, data)
    made.store("backend", 4, b"\2", connection=1)
    made.close()
    return made.path


def put(page: "Page", path: Path) -> None:
    """Open ``path`` in the page, and wait until the page has said something of it."""
    before = said(page)
    page.get_by_label("open a trace").set_input_files(path)
    page.wait_for_function(
        "(before) => document.querySelector('.explorer-said').textContent !== before", arg=before
    )


def line_of(path: Path, words: str) -> int:
    """The last line that says this."""
    reader = TraceReader(path)
    return [reader.line for event in reader if steps.describe(event) == words][-1]


def to_line(page: "Page", line: int) -> None:
    page.get_by_label("line", exact=True).fill(str(line))
    page.keyboard.press("Tab")


# Stepping


def test_a_failure_opens_and_is_stepped_through(page: "Page", failure: Path) -> None:
    put(page, failure)
    assert said(page).startswith("Line 2: ")
    page.get_by_role("button", name="Next step").click()
    assert said(page).startswith("Line 3: ")
    silent = line_of(failure, "the judge waits for an answer: nothing can come")
    to_line(page, silent)
    assert said(page) == f"Line {silent}: the judge waits for an answer: nothing can come."
    current = page.locator(".explorer-steps [aria-current=step]")
    assert current.inner_text() == "the judge waits for an answer: nothing can come"
    page.get_by_role("button", name="Step back").click()
    stored = line_of(failure, "frontend stores state SUBMIT")
    to_line(page, stored)
    cell = "Allowed: the next request, no acknowledge."
    assert said(page) == f"Line {stored}: frontend stores state SUBMIT. {cell}"
    assert state(page) == "SUBMIT"
    assert page.locator(".explorer-page .changed dt").all_inner_texts() == ["state"]
    assert page.locator(".explorer-sides").is_hidden()
    page.get_by_role("button", name="Start over").click()
    assert page.locator(".explorer-sides").is_visible()


def test_the_keyboard_steps_through_a_trace(page: "Page", failure: Path) -> None:
    put(page, failure)
    for key, line in [("ArrowRight", 3), ("ArrowRight", 4), ("ArrowLeft", 3), ("Home", 2)]:
        page.keyboard.press(key)
        assert said(page).startswith(f"Line {line}: "), key
    page.keyboard.press("End")
    assert page.get_by_role("button", name="Next step").is_disabled()
    page.keyboard.press("ArrowRight")
    last = line_of(failure, "-- end")
    assert said(page) == f"Line {last}: -- end."
    for key, line in [("ArrowLeft", last - 1), ("Home", 2), ("ArrowRight", 3)]:
        page.keyboard.press(key)
        assert said(page).startswith(f"Line {line}: "), key


def test_a_trace_can_be_dropped(page: "Page", failure: Path) -> None:
    page.evaluate(
        """(text) => {
        const dropped = new DataTransfer();
        dropped.items.add(new File([text], "dropped.jsonl"));
        document.querySelector(".explorer-said").dispatchEvent(
            new DragEvent("drop", {dataTransfer: dropped, bubbles: true, cancelable: true}));
        }""",
        failure.read_text("utf-8"),
    )
    page.get_by_role("button", name="Next step").wait_for()
    assert said(page).startswith("Line 2: ")


KEEP = """async () => { window.read = window.vtpmExplorer.readTrace(
    await document.querySelector("input[type=file]").files[0].arrayBuffer()); }"""


def shown_steps(page: "Page", path: Path) -> list[str]:
    put(page, path)
    page.evaluate(KEEP)
    texts: list[str] = page.evaluate("() => window.read.steps.map(({text}) => text)")
    return texts


def test_every_step_is_in_the_words_of_the_report(
    page: "Page", failure: Path, everything: Path
) -> None:
    for path in (failure, everything):
        assert shown_steps(page, path) == [steps.describe(event) for event in TraceReader(path)]


def test_every_kind_of_event_is_in_the_trace_by_hand(everything: Path) -> None:
    seen = {type(event) for event in TraceReader(everything)}
    assert seen == set(trace.AnyEvent.__args__)


def test_the_page_is_at_each_step_what_the_trace_implies(page: "Page", everything: Path) -> None:
    """Each connection has its own page; a granted page begins with zeroes."""
    shown_steps(page, everything)
    pages = page.evaluate(
        "window.read.steps.map((_, n) => window.vtpmExplorer.traceAt(window.read, n).page)"
    )
    images: dict[int, bytearray] = {}
    for event, shown in zip(TraceReader(everything), pages, strict=True):
        image = images.setdefault(event.c, bytearray(4096))
        if isinstance(event, trace.Load | trace.Store | trace.Sample):
            data = bytes.fromhex(event.data)
            image[event.at : event.at + len(data)] = data
        if isinstance(event, trace.Grant) and event.on:
            image[:] = bytes(4096)
        assert shown == image[:32].hex()


def test_nodes_and_links_are_those_that_stand(page: "Page", everything: Path) -> None:
    """A write in a transaction counts once it is committed; what was refused never does."""
    shown_steps(page, everything)

    def after(number: int) -> dict[str, Any]:
        view: dict[str, Any] = page.evaluate(
            f"() => window.vtpmExplorer.traceAt(window.read, {number})"
        )
        return view

    port = [f"{FRONTEND}/port", "1"]
    assert after(6)["nodes"] == []
    assert after(7)["nodes"] == [port]
    assert after(14)["nodes"] == [[f"{BACKEND}/state", "4"], port]
    assert after(25)["between"] == [
        "page 9: granted by the frontend",
        "port 1: open, of the frontend",
        "page 9: mapped by the backend",
        "port 2: open, of the backend",
        "the frontend has notified 1 times",
        "the backend has notified 3 times",
    ]
    last = after(len(EVERYTHING) - 1)
    assert last["nodes"] == [port]
    assert last["between"][:3] == [
        "page 9: granted by the frontend",
        "port 1: open, of the frontend",
        "the frontend has notified 1 times",
    ]


@pytest.mark.parametrize(
    ("store", "words"),
    [
        (3, "Allowed: the response is in the page."),
        (
            4,
            "Within the rules only if it had not yet seen what it overwrote"
            " (crossed a FINISH answer): states.cancel-when-busy.",
        ),
        (5, "Forbidden: SUBMIT is the frontend's: states.backend-writes."),
        (6, "backend stores state 99."),
        (2, "the header: length 10, state SUBMIT."),
    ],
)
def test_a_store_to_the_state_is_shown_with_its_cell(
    page: "Page", everything: Path, store: int, words: str
) -> None:
    put(page, everything)
    to_line(page, 2 + len(EVERYTHING) + store)
    assert said(page).endswith(words)


def test_a_trace_is_not_too_wide_for_a_phone(page: "Page", everything: Path) -> None:
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    put(page, everything)
    page.keyboard.press("End")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


# What is no trace

Spoil = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda _: b"", "line 1: this is no trace: its first line is not a header"),
        (lambda _: b"\xff\xfe\n", "line 1: this is no trace: its first line is not a header"),
        (lambda _: b"null\n", "line 1: this is no trace: its first line is not a header"),
        (lambda text: text.split(b"\n", 1)[1], "line 1: this is no trace"),
        (
            lambda text: text.replace(b'"format":1', b'"format":2').replace(
                b'"format": 1', b'"format": 2'
            ),
            "line 1: format 2; this page reads format 1",
        ),
        (
            lambda text: text.replace(b"SUBMIT", b"FINISH").replace(b'"at":4', b'"at":5', 1),
            "altered: its checksum does not match it and the lines before",
        ),
        (
            lambda text: text.replace(b'"e": "phase"', b'"e" "phase"', 1),
            "not an event of the format",
        ),
        (lambda text: text + b"{}\n", "there is something after the footer"),
        (lambda text: text.split(b"\n", 1)[0] + b"\n", "line 1: there is nothing after the header"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(
    page: "Page", failure: Path, tmp_path: Path, spoil: Spoil, words: str
) -> None:
    """The judge refuses the same file; afterwards the explorer works as before."""
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(spoil(failure.read_bytes()))
    put(page, bad)
    assert said(page).startswith("bad.jsonl is refused: line ")
    assert words in said(page)
    with pytest.raises(TraceError):
        list(TraceReader(bad))
    page.locator(".explorer-moves button").first.click()
    assert "the user submits" in said(page)


def test_a_trace_that_was_cut_off_opens_and_says_so(
    page: "Page", failure: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(
        b"\n".join(failure.read_bytes().split(b"\n")[:60]) + b'\n{"e":"load"' + bytes(9)
    )
    put(page, cut)
    page.keyboard.press("End")
    assert said(page).startswith("Line 60: ")
    assert "Here the trace was cut off." in said(page)
