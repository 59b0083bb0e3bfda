# SPDX-License-Identifier: MIT
"""
Long walks: every move against the reference, what is found, how it is kept and repeated.

The planted defects that take longer are in ``tests/walks_long.py``; ``make walks`` plays them.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conformance import clauses, cli
from conformance.report.results import Exit
from conformance.run import Subject, judge_file
from conformance.subjects import python_object
from conformance.targets import Target, reference
from conformance.walks import session as sessions
from conformance.walks.base import EXACT
from conformance.walks.moves import HOME, MOVES, Move, Spot
from conformance.walks.session import Session
from conformance.walks.walk import Walk
from tests.planted import PLANTED
from tests.zoo import ANIMALS
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

ALL_MOVES = [move for moves in MOVES.values() for move in moves.values()]

#: The moves that lead to each spot, by role.
WAYS = {
    Role.BACKEND: {
        Spot.NEW: (),
        Spot.AWAY: ("connect", "close"),
        Spot.FREE: ("connect",),
        Spot.BUSY: ("connect", "submit"),
    },
    Role.FRONTEND: {
        Spot.NEW: (),
        Spot.AWAY: ("connect", "close"),
        Spot.FREE: ("connect",),
        Spot.BUSY: ("connect", "order"),
        Spot.CANCELLED: ("connect", "order", "cancel"),
    },
}

#: Words of the adapter page that a move may need.
CAPABILITIES = {"orders", "cancel", "locality", "close", "reconnect", "many", EXACT}


def the_reference(role: Role) -> Subject:
    return python_object(role, "reference", getattr(reference, role.value))


def name(move: Move) -> str:
    return f"{move.role.value}-{move.name}"


@pytest.mark.parametrize("move", ALL_MOVES, ids=name)
def test_the_reference_keeps_everything_in_each_move(move: Move, tmp_path: Path) -> None:
    """Each move from each spot with each value, and an exchange behind it: nothing is broken."""
    for spot in sorted(move.at):
        for value in move.values or (None,):
            walk = Walk(the_reference(move.role), tmp_path / "walk.jsonl")
            for step in WAYS[move.role][spot]:
                walk.make(MOVES[move.role][step])
            assert walk.allows(move)
            walk.make(move, value)
            judgement = walk.end()
            assert judgement is not None
            assert (judgement.broken, judgement.setup_failed, judgement.trouble) == (
                frozenset(),
                "",
                "",
            ), (spot, value)
            assert walk.over == (walk.spot is Spot.GONE)


@pytest.mark.parametrize("move", ALL_MOVES, ids=name)
def test_a_move_blames_a_clause_of_its_role(move: Move) -> None:
    """What falls silent in it breaks a clause that there is, and that binds the target."""
    assert clauses.load()[move.clause].role in ("both", move.role.value)
    assert move.needs <= CAPABILITIES
    assert move.about


@pytest.mark.parametrize("role", Role)
def test_the_way_home_is_made_of_moves(role: Role) -> None:
    """From every spot but the last, moves lead to where an exchange is possible."""
    for spot, step in HOME[role].items():
        assert spot in MOVES[role][step].at
    assert set(HOME[role]) == set(WAYS[role]) - {Spot.FREE}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of few walks."""
    monkeypatch.setattr(sessions, "WALKS", 15)


def planted(name: str, folder: Path, seed: int) -> Session:
    """The session that finds a planted defect."""
    defect = PLANTED[name]
    subject = python_object(defect.role, name, defect.make)
    session = Session(subject, folder, hostile=defect.hostile)
    session.play(range(seed, seed + 10))
    return session


def test_there_are_ten_planted_defects() -> None:
    """Each needs a sequence of its own kind."""
    assert len({defect.walk for defect in PLANTED.values()}) == len(PLANTED) == 10


def test_a_walk_to_another_clause_breaks_that(tmp_path: Path) -> None:
    """The one that is longer, and counted by hand as well."""
    (defect,) = (defect for defect in PLANTED.values() if defect.late)
    for walked, clause in (
        (defect.walk, "cancel.answered"),
        (defect.late, "cancel.acknowledged-when-idle"),
    ):
        walk = Walk(python_object(defect.role, "late", defect.make), tmp_path / "walk.jsonl")
        for name in walked:
            move = MOVES[defect.role][name]
            assert walk.allows(move)
            walk.make(move, move.values[0] if move.values else None)
        judgement = walk.end()
        assert judgement is not None and clause in judgement.broken


@pytest.mark.usefixtures("few")
def test_a_planted_defect_shrinks_and_repeats(tmp_path: Path) -> None:
    """Its walk has the length that was counted by hand, and its seed gives the same again."""
    name = "ServesOneConnection"
    first = planted(name, tmp_path / "first", 1).found[-1]
    assert len(first.moves) == len(PLANTED[name].walk), first.moves
    again = planted(name, tmp_path / "again", first.seed).found[-1]
    assert (again.moves, again.seed) == (first.moves, first.seed)
    kept = judge_file(Path(first.judgement.path))
    assert kept.broken == first.judgement.broken != frozenset()


class Moody:
    """Makes backends of which only the third one answers nothing."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, place: Place) -> Target:
        self.made += 1
        return (ANIMALS["Deaf"].make if self.made == 3 else reference.backend)(place)


@pytest.mark.usefixtures("few")
def test_a_walk_that_does_not_repeat_is_inconclusive(tmp_path: Path) -> None:
    """Both traces are kept: one that breaks something, and the same walk that does not."""
    session = Session(python_object(Role.BACKEND, "moody", Moody()), tmp_path)
    session.play([1])
    (found,) = session.found
    assert found.again is not None
    assert judge_file(Path(found.judgement.path)).broken
    assert not judge_file(found.again).broken
    assert (session.exit_code, session.run.broken()) == (Exit.INCONCLUSIVE, [])


@pytest.mark.usefixtures("few")
def test_a_broken_should_does_not_hide_what_follows(tmp_path: Path) -> None:
    """It is shrunk and shown, and the round is played on without it; strictly it fails."""
    animal = ANIMALS["TwoEventsAnAnswer"]
    session = Session(python_object(animal.role, "animal", animal.make), tmp_path)
    session.play([1])
    assert [found.sought for found in session.found] == ["exchange.event-per-change"]
    codes = [session.exit_code]
    session.run.strict = True
    codes.append(session.exit_code)
    assert codes == [Exit.OK, Exit.BROKEN]


@pytest.mark.usefixtures("few")
def test_examples_are_shared_through_a_database(tmp_path: Path) -> None:
    """What one session has found is the first walk of another with the same folder."""
    animal = ANIMALS["DropsShortestRequest"]
    subject = python_object(animal.role, "animal", animal.make)
    first = Session(subject, tmp_path / "first", database=tmp_path / "shared")
    first.play(range(1, 20))
    second = Session(subject, tmp_path / "second", database=tmp_path / "shared")
    second.play([999])
    assert first.found[-1].moves == second.found[-1].moves
    assert second.found[-1].seed == 999


# The command line.


@pytest.mark.usefixtures("few")
def test_the_report_shows_the_walk_and_how_to_repeat_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clause, steps, trace, moves in words, command; nothing of Hypothesis's own."""
    target = ["--object", "tests.test_walks:deaf", "--traces", str(tmp_path), "--seed", "7"]
    assert cli.main(["walk", "backend", *target]) == Exit.BROKEN
    shown = capsys.readouterr()
    assert "BROKEN  exchange.answered  (MUST, backend, stated)" in shown.out
    assert f"trace      {tmp_path}/walk-backend-7.jsonl, line " in shown.out
    assert "at the end, as of every walk, connected and one exchange" in shown.out
    assert "repeat     vtpm-conformance walk backend --object tests.test_walks:deaf" in shown.out
    assert shown.out.splitlines()[-1].endswith("exit 1")
    assert "Falsifying" not in shown.out + shown.err
    assert shown.err == ""


@pytest.mark.usefixtures("few")
def test_the_reference_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing broken, with the number of walks and moves, and exit 0."""
    target = ["--object", "conformance.targets.reference:frontend", "--traces", str(tmp_path)]
    assert cli.main(["walk", "frontend", *target, "--hostile", "--seed", "1"]) == Exit.OK
    out = capsys.readouterr().out
    assert "seed 1: nothing new broken; so far " in out
    assert ", legal and hostile" in out


def test_trouble_at_the_start_is_the_adapters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that there is not: exit 3, before any walk."""
    target = ["--exec", "./no-such-program", "--traces", str(tmp_path)]
    assert cli.main(["walk", "backend", *target]) == Exit.TROUBLE
    assert "cannot start './no-such-program'" in capsys.readouterr().err


def test_ctrl_c_ends_a_soak_with_a_summary(tmp_path: Path) -> None:
    """Exit 130, and what was seen up to there."""
    words = [sys.executable, "-m", "conformance.cli", "walk", "backend", "--soak"]
    words += ["--object", "conformance.targets.reference:backend", "--traces", str(tmp_path)]
    ran = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("walk-*-now.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.01)
    ran.send_signal(signal.SIGINT)
    try:
        out, err = ran.communicate(timeout=60)
    finally:
        ran.kill()
    assert (ran.returncode, err) == (Exit.INTERRUPTED, "")
    assert "interrupted; up to there no clause seen broken" in out.splitlines()[-1]


@pytest.mark.usefixtures("few")
def test_ctrl_c_is_not_lost_in_a_callback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python drops it there, as in a callback of its collector; the session ends all the same."""
    made = []

    def make(place: Place) -> Target:
        made.append(place)
        if len(made) == 3:
            Dropped()
        return reference.backend(place)

    session = Session(python_object(Role.BACKEND, "interrupted", make), tmp_path)
    session.play([1])
    assert (len(made), session.walks) == (3, 2)
    assert (session.run.interrupted, session.exit_code) == (True, Exit.INTERRUPTED)
    assert capsys.readouterr().err == ""


def test_help_does_not_wait_for_hypothesis() -> None:
    """Neither Hypothesis nor pytest is loaded for it."""
    code = (
        "import sys, contextlib, io; from conformance import cli\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    cli.main(['walk', '--help'])\n"
        "print(sorted({'pytest', 'hypothesis'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")


class Dropped:
    """Interrupts where Python cannot pass it on."""

    def __del__(self) -> None:
        raise KeyboardInterrupt


def deaf(place: Place) -> Target:
    """For the command line: a backend that answers nothing."""
    return ANIMALS["Deaf"].make(place)
