# SPDX-License-Identifier: MIT
"""tpm2-tools talk to libtpms across the page, and the trace shows each exchange."""

import re
from collections import Counter
from pathlib import Path

import pytest

from conformance.targets import tools
from conformance.trace import Store, TraceReader
from vtpm_ref.states import State

pytestmark = pytest.mark.skipif(
    bool(tools.available()),
    reason="not run: apt-get install libtpms0 tpm2-tools libtss2-tcti-cmd0",
)


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tools") / "trace.jsonl"


@pytest.fixture(scope="module")
def runs(trace: Path) -> dict[str, tools.ToolRun]:
    return {run.name: run for run in tools.run_tools(trace)}


def test_all_tools_succeed(runs: dict[str, tools.ToolRun]) -> None:
    assert {name: (run.status, run.stderr) for name, run in runs.items()} == {
        "tpm2_getrandom": (0, ""),
        "tpm2_pcrread": (0, ""),
        "tpm2_createprimary": (0, ""),
    }


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("tpm2_getrandom", r"[0-9a-f]{32}\n?"),
        ("tpm2_pcrread", r"  sha256:\n(    [012] ?: 0x0{64}\n){3}"),
        ("tpm2_createprimary", r"(?s)name-alg:.*\nbits: 2048\n.*\nrsa: [0-9a-f]{512}\n?"),
    ],
)
def test_output(runs: dict[str, tools.ToolRun], name: str, printed: str) -> None:
    assert re.fullmatch(printed, runs[name].stdout)


def test_each_submit_has_its_finish(runs: dict[str, tools.ToolRun], trace: Path) -> None:
    reader = TraceReader(trace)
    events = list(reader)
    assert reader.complete
    assert reader.header.judged == ["frontend", "backend"]
    states = [
        (event.by, State(int(event.data, 16)))
        for event in events
        if isinstance(event, Store) and event.at == 4 and len(event.data) == 2
    ]
    exchange = [("frontend", State.SUBMIT), ("backend", State.FINISH)]
    assert states == exchange * (len(states) // 2)
    # Each tool asks for the TPM's properties before it does its own work.
    assert Counter(states)["frontend", State.SUBMIT] >= 2 * len(runs)


def test_an_absent_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert tools.available() == "apt-get install libtpms0 tpm2-tools libtss2-tcti-cmd0"
