# SPDX-License-Identifier: MIT
"""
Real targets on a real Xen, each with a few cases; ``.ci/run`` judges with all.
"""

from collections import Counter
from pathlib import Path

import pytest

from conformance import engine
from conformance.judge import Verdict
from conformance.lab import between, build, cpio, example_guest, images, tools
from conformance.lab.build import Lab
from conformance.lab.session import CODE
from conformance.lab.targets import REFERENCE, Recipe, subject_of
from conformance.run import judge_file, trace_path
from conformance.select import select
from conformance.trace import Grant, Load, Notify, Result, TraceReader
from conformance.watching import trace_paths
from tests.lab.conftest import ROOT, judge
from vtpm_ref.states import CANCEL, Role

EXPECTED = ROOT / "conformance/expected/linux-6.1.toml"


def test_linux_breaks_what_is_known_and_nothing_else(tmp_path: Path) -> None:
    """The unmodified driver, with the file of its deviations, passes."""
    done = judge(
        *("run", "frontend", "--lab", "linux", "--expect", str(EXPECTED)),
        *("packet.request-header", "exchange.idle-is-no-response", "connecting.one-transaction"),
        folder=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "EXPECTED  packet.request-header" in done.stdout
    assert "xen-tpmfront of Linux" in done.stdout


def test_linux_fails_without_that_file(tmp_path: Path) -> None:
    """
    A broken MUST is a broken MUST, and its report shows the driver's own request.

    What the guest said on its console lies beside it.
    """
    done = judge("run", "frontend", "--lab", "linux", "packet.request-header", folder=tmp_path)
    assert done.returncode == 1
    assert "a request of 9 bytes" in done.stdout
    said = "".join(path.read_text() for path in tmp_path.glob("console-*.log"))
    assert '"msg": "ready"' in said.partition("--- guest, packet.request-header/nine-bytes ---")[2]


def test_linux_gives_up_what_takes_longer_than_it_was_told(tmp_path: Path) -> None:
    """Nobody makes its time pass; it cancels by itself, and its user is told of a time-out."""
    case = "time.cancels/given-up"
    done = judge("run", "frontend", "--lab", "linux", case, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    events = list(TraceReader(trace_path(tmp_path, case)))
    outcomes = [event.outcome for event in events if isinstance(event, Result)]
    assert outcomes == ["response", "response", "timed-out", "response"]
    states = [event.data for event in events if isinstance(event, Load) and event.at == 4]
    assert states.count(f"{CANCEL:02x}") == 1


@pytest.mark.parametrize("role", ["backend", "frontend"])
def test_the_example_in_c(role: str, tmp_path: Path) -> None:
    """A program over gntdev, gntalloc, evtchn and xenstore keeps what it keeps elsewhere."""
    program = ROOT / f"examples/build/xen/{role}"
    done = judge("run", role, "--lab", f"exec:{program}", "exchange", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


LINUX_BREAKS = {
    "connecting.submit-when-connected",
    "coming-back.through-closed",
    "states.cancel-when-busy",
}


@pytest.mark.parametrize(
    ("recipe", "cases", "breaks"),
    [
        (
            Recipe(Role.FRONTEND, "linux", log=False),
            ["connecting", "coming-back", "states.cancel-when-busy"],
            LINUX_BREAKS,
        ),
        (
            Recipe(Role.BACKEND, "program", REFERENCE, log=False),
            ["connecting", "closing", "several.own-service/twelve"],
            set(),
        ),
    ],
    ids=["frontend", "backend"],
)
def test_a_host_whose_xenstored_writes_no_log(
    recipe: Recipe, cases: list[str], breaks: set[str], tmp_path: Path
) -> None:
    """As ``--xen`` has it on a host of one's own: less is seen, and nobody is accused for that."""
    subject = subject_of(recipe, "target", tmp_path)
    run = engine.run(subject, select([recipe.role], cases), tmp_path)
    assert {clause.id for clause, _ in run.broken()} == breaks
    assert run.counts()[Verdict.KEPT] > 0 and run.counts()[Verdict.INCONCLUSIVE] == 0
    assert [case.name for case in run.cases if case.trouble or case.not_reached] == []


def test_a_faulty_backend_is_caught(tmp_path: Path) -> None:
    """
    A backend that does not answer a request that is too long breaks just that clause.

    Its name is that of a file of the lab's own in dom0.
    """
    program = tmp_path / "out"
    program.write_text(
        f'#!/usr/bin/python3.11\nimport sys\nsys.path.insert(0, "{CODE}")\n'
        + (ROOT / "examples/broken_backend.py").read_text()
        + "\nfrom conformance.adapter import serve\nserve(backend)\n"
    )
    program.chmod(0o755)
    target = f"exec:{program}"
    done = judge(
        *("run", "backend", "--lab", target, "packet.too-long-answered/4089"),
        folder=tmp_path / "traces",
    )
    assert done.returncode == 1
    assert "BROKEN  packet.too-long-answered" in done.stdout


def test_the_reference_backend_serves_linux() -> None:
    """The guest's own tools get random bytes and the PCRs of a fresh TPM."""
    done = tools.run([{"msg": "run", "argv": tool} for tool in tools.TOOLS])
    assert [told["status"] for told in done] == [0, 0]
    assert len(done[0]["stdout"].strip()) == 32
    assert "sha256:" in done[1]["stdout"]


def test_a_dozen_frontends_at_once(tmp_path: Path) -> None:
    """The reference backend has twelve pages granted, and answers on each of them."""
    case = "several.own-service/twelve"
    backend = "exec:python -m conformance.targets.libtpms"
    done = judge("run", "backend", "--lab", backend, case, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "cases      1 run, 0 not applicable" in done.stdout
    events = list(TraceReader(trace_path(tmp_path, case)))
    assert {event.c for event in events if isinstance(event, Grant)} == set(range(12))
    answers = Counter(
        event.c for event in events if isinstance(event, Notify) and event.by == "backend"
    )
    assert set(answers) == set(range(12)) and min(answers.values()) >= 2


#: What a driver that goes and comes back keeps, and the backend that it leaves.
CAME_BACK = {
    Role.FRONTEND: {"coming-back.published-anew", "connecting.valid-references"},
    Role.BACKEND: {"coming-back.served", "closing.init-wait"},
}


@pytest.mark.parametrize("log", [True, False], ids=["log", "no log"])
def test_between_linux_and_the_reference_backend(log: bool, tmp_path: Path) -> None:
    """
    Both halves are judged, also where the driver goes and comes back.

    Their traces say nothing of what the packets carry.
    """
    tool = {"msg": "run", "argv": tools.TOOLS[0]}
    told = between.run(tmp_path, [tool, {"do": "close"}, {"do": "reconnect"}, tool], log=log)
    assert [done.get("outcome") for done in told] == [None, "closed", "connected", None]
    drawn = [told[0]["stdout"].strip(), told[3]["stdout"].strip()]
    assert [len(text) for text in drawn] == [32, 32] and drawn[0] != drawn[1]
    for role, path in trace_paths(tmp_path).items():
        judgement = judge_file(path)
        front = role is Role.FRONTEND
        assert judgement.complete
        assert judgement.broken == ({"connecting.submit-when-connected"} if front else set())
        verdicts = {clause: judgement.results[clause, role].verdict for clause in CAME_BACK[role]}
        assert not log or set(verdicts.values()) == {Verdict.KEPT}, verdicts
        assert not any(text in path.read_text() for text in drawn)


def test_a_backend_guest(lab: Lab, tmp_path: Path) -> None:
    """A PV guest that holds the C example is a backend like any other."""
    initrd = tmp_path / "initrd"
    program = (ROOT / "examples/build/xen/backend").read_bytes()
    with initrd.open("wb") as out:
        cpio.write(out, example_guest.pack(images.Root(build.default().root), program))
    target = f"guest:{lab.images / 'vmlinux'},{initrd}"
    done = judge("run", "backend", "--lab", target, "page", folder=tmp_path / "traces")
    assert (done.returncode, done.stderr) == (0, "")
