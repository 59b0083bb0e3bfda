# SPDX-License-Identifier: MIT
"""
Rounds of walks, each from a seed of its own, until one breaks a clause that counts.

What breaks is shrunk, kept as a trace, and found again from the round's seed.
A broken SHOULD is kept as well, and the round is played again without it.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from conformance import clauses
from conformance.clauses import Clause
from conformance.errors import ConformanceError
from conformance.judge import ClauseResult, Judgement
from conformance.recorder import Recorder
from conformance.report.results import CaseResult, Exit, RunResult
from conformance.run import Subject, alone, header_of, judge_file, started
from conformance.trace import Phase, TraceReader
from conformance.walks import machine
from conformance.walks.moves import Spot
from conformance.walks.walk import Walk

#: Walks of one round.
WALKS = 100

#: Rounds of a quick session, and of a thorough one.
QUICK, THOROUGH = 1, 25

#: What a walk with trouble of the adapter is looked for by, among the clauses.
TROUBLE = "trouble with the adapter"


class _Stop(BaseException):
    """Ends a round at once; nothing is shrunk, for the target is not at fault."""

    def __init__(self, error: ConformanceError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass
class Found:
    """
    A walk that broke something.

    :ivar sought: the clause that it broke, the first if more than one, or ``TROUBLE``.
    :ivar moves: what the tester did, in words; the exchange at the end not counted.
    :ivar again: the trace of the same walk that broke nothing; ``None`` if it repeats.
    :ivar shrunk: whether it is known to be the shortest, as far as was tried.
    """

    seed: int
    sought: str
    judgement: Judgement
    moves: list[str]
    again: Path | None = None
    shrunk: bool = True


@dataclass
class Session:
    """
    Walks against one target.

    :param folder: where the traces go.
    :param notice: called with the seed when a round has ended, or a walk has broken something.
    :ivar run: the results of all walks, one verdict for each clause.
    :ivar unclear: traces of walks that could not go on, with the reason; the first few.
    """

    subject: Subject
    folder: Path
    hostile: bool = False
    scale: float = 1.0
    strict: bool = False
    database: Path | None = None
    notice: Callable[["Session", int, str], None] = lambda *_: None
    run: RunResult = field(init=False)
    walks: int = 0
    moves: int = 0
    found: list[Found] = field(default_factory=list)
    unclear: list[tuple[Path, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        subject = self.subject
        known = clauses.load().values()
        own = [clause for clause in known if clause.role in ("both", subject.role.value)]
        self.run = RunResult(subject.name, subject.link, (subject.role,), own, self.strict)
        self._machine = machine.machine_of(subject.role, hostile=self.hostile)
        self._seed = 0
        self._sought = ""
        self._missed = False

    def play(self, seeds: Iterable[int]) -> None:
        """
        Play a round from each of ``seeds``, until one breaks a clause that counts.

        :raises AdapterError: the target does not start.
        :raises RecordingError: traces cannot be written.
        :raises UsageError: another run records into the same folder.
        """
        with alone(self.folder), self._no_interrupt_lost():
            self._smoke()
            try:
                for seed in seeds:
                    while self._round(seed):
                        if self._counts(self.found[-1]):
                            return
                    self.notice(self, seed, "")
            except KeyboardInterrupt:
                self.run.interrupted = True
                if self._sought:
                    self._keep(shrunk=False)
            except _Stop as stop:
                raise stop.error from stop

    @contextmanager
    def _no_interrupt_lost(self) -> Iterator[None]:
        """
        Remember a ^C that Python drops, until the next walk begins.

        It drops what is raised in a callback of its collector, and Hypothesis has such a
        callback.
        """

        def unraisable(dropped: "sys.UnraisableHookArgs") -> None:
            if dropped.exc_type is KeyboardInterrupt:
                self._missed = True
            else:
                before(dropped)

        before, sys.unraisablehook = sys.unraisablehook, unraisable
        try:
            yield
        finally:
            sys.unraisablehook = before

    def _smoke(self) -> None:
        """Start and stop the target once, so that its trouble is not put down to a walk."""
        subject = self.subject
        header = header_of(
            [subject.role], link=subject.link, target=subject.name, evidence=subject.evidence
        )
        with started(subject, Recorder(self.folder / "smoke.jsonl", header)):
            pass

    @property
    def exit_code(self) -> Exit:
        """One value for all walks; broken outranks the rest."""
        if self.run.exit_code is Exit.OK and (self.unclear or any(f.again for f in self.found)):
            return Exit.INCONCLUSIVE
        return self.run.exit_code

    def _counts(self, found: Found) -> bool:
        """Whether it ends the session: a MUST, trouble, or a walk that does not repeat."""
        if found.again is not None or found.sought == TROUBLE:
            return True
        broken = found.judgement.broken
        return any(self.run.counts_as_must(self._clause(id)) for id in broken)

    def _clause(self, id: str) -> Clause:
        return clauses.load()[id]

    def _round(self, seed: int) -> bool:
        """Play one round; whether it found something that was not known."""
        self._seed, self._sought = seed, ""
        try:
            broke = machine.play(
                self._machine,
                self._begin,
                self._end,
                walks=WALKS,
                number=seed,
                database=self.database,
            )
        except machine.Flaky:
            again = self._path("-again")
            os.replace(self._path("-now"), again)
            self._keep(again=again)
            return True
        if broke:
            self._keep()
        return broke

    def _begin(self) -> Walk:
        if self._missed:
            raise KeyboardInterrupt
        try:
            return Walk(self.subject, self._path("-now"), self.scale)
        except ConformanceError as error:
            raise _Stop(error) from error

    def _end(self, walk: Walk) -> None:
        try:
            judgement = walk.end()
        except ConformanceError as error:
            raise _Stop(error) from error
        if judgement is None:
            return
        self.walks += 1
        self.moves += walk.moves
        broken = self._broken(judgement)
        if broken:
            if not self._sought:
                self.notice(self, self._seed, broken[0])
            self._sought = broken[0]
            os.replace(walk.path, self._path())
            raise machine.Broken
        self._take(walk, judgement)

    def _broken(self, judgement: Judgement) -> list[str]:
        """What a walk broke that is not known yet: first what counts as a MUST."""
        known = {id for found in self.found for id in found.judgement.broken}
        broken = [id for id in judgement.broken if id not in known]
        broken.sort(key=lambda id: (not self.run.counts_as_must(self._clause(id)), id))
        return [*broken, TROUBLE] if judgement.trouble else broken

    def _take(self, walk: Walk, judgement: Judgement) -> None:
        """Add what a walk shows that broke nothing new."""
        self.run.tpm = judgement.tpm
        for key, result in judgement.results.items():
            if not result.breaches:
                self.run.results.setdefault(key, ClauseResult(*key)).add(result)
        ended = walk.over and walk.spot is not Spot.GONE and not judgement.broken
        if (judgement.setup_failed or ended) and len(self.unclear) < 5:
            path = self._path(f"-unclear-{len(self.unclear) + 1}")
            os.replace(walk.path, path)
            self.unclear.append((path, judgement.setup_failed or "the target fell silent or ended"))

    def _keep(self, *, again: Path | None = None, shrunk: bool = True) -> None:
        """Take the walk that is shortest up to now as the one that was found."""
        path = self._path()
        if self.found:
            path = path.replace(self._path(f"-{len(self.found) + 1}"))
        judgement = judge_file(path)
        moves = [
            event.move
            for event in TraceReader(path)
            if isinstance(event, Phase) and event.name == "stimulus"
        ]
        self.found.append(Found(self._seed, self._sought, judgement, moves, again, shrunk))
        self._sought = ""
        if again is None:
            self.run.add(CaseResult(path.name, judgement=judgement))

    def _path(self, suffix: str = "") -> Path:
        return self.folder / f"walk-{self.subject.role.value}-{self._seed}{suffix}.jsonl"
