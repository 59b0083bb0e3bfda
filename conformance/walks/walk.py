# SPDX-License-Identifier: MIT
"""
One walk: a fresh target, one move after the other, an exchange at the end, the judgement.
"""

from contextlib import ExitStack
from pathlib import Path

from conformance.errors import AdapterError, SetupFailed, TargetSilent
from conformance.judge import Judgement
from conformance.recorder import Recorder
from conformance.run import Subject, header_of, judge_file, started
from conformance.tester import BackendTester, FrontendTester
from conformance.walks.base import EXACT
from conformance.walks.moves import HOME, MOVES, Move, Spot
from vtpm_ref.states import Role

#: What falls silent or dies in the exchange at the end breaks this.
_FENCE = {Role.BACKEND: "exchange.answered", Role.FRONTEND: "exchange.response-taken"}


class Walk:
    """
    A walk against a fresh target; what happens goes into the trace at ``path``.

    :ivar spot: where it stands, as the moves say.
    :ivar moves: how many have been made.
    :ivar over: nothing can follow: the target is silent or dead, or taken away.
    :raises AdapterError: the target did not start.
    :raises RecordingError: the trace could not be written.
    """

    def __init__(self, subject: Subject, path: Path, scale: float = 1.0) -> None:
        self.subject = subject
        self.path = path
        self.spot = Spot.NEW
        self.moves = 0
        self.over = False
        self._interrupted = False
        self._note = ""
        header = header_of(
            [subject.role],
            link=subject.link,
            target=subject.name,
            evidence=subject.evidence,
            case="walk",
        )
        self._recorder = Recorder(path, header)
        self._stack = ExitStack()
        self._link = self._stack.enter_context(started(subject, self._recorder))
        can = self._link.can
        self._recorder.event("target", tpm=self._link.family.value, can=",".join(sorted(can)))
        self._can = can | {EXACT} if subject.evidence["stores"] == "exact" else can
        tester = FrontendTester if subject.role is Role.BACKEND else BackendTester
        self._tester = tester(self._link.first, scale)

    def allows(self, move: Move) -> bool:
        """Whether ``move`` can come next; where nothing can follow, every move is none."""
        here = self.spot in move.at or self.spot is Spot.GONE
        return here and move.needs <= self._can

    def make(self, move: Move, value: object = None) -> None:
        """Make ``move``, unless the walk is over."""
        if not self.over:
            self.moves += 1
            self._enter("stimulus", move.clause, move.in_words(value))
            self._attempt(move, value)
        if self.spot is not Spot.GONE and move.to is not None:
            self.spot = move.to
            self.over = self.over or move.to is Spot.GONE

    def end(self) -> Judgement | None:
        """
        Make one exchange more, end the walk, and judge it; ``None`` if it was interrupted.

        :raises RecordingError: the trace could not be written.
        """
        if self._interrupted:
            self._stack.close()
            return None
        with self._stack:
            try:
                while not self.over and (home := HOME[self.subject.role].get(self.spot)):
                    move = MOVES[self.subject.role][home]
                    self._enter("fence", move.clause, move.in_words(None))
                    self._attempt(move, None)
                    self.spot = move.to or self.spot
                if not self.over:
                    self._enter("fence", _FENCE[self.subject.role], "an exchange")
                    self._attempt(None, None)
            finally:
                self._recorder.event("phase", name="end", note=self._note)
        return judge_file(self.path)

    def _attempt(self, move: Move | None, value: object) -> None:
        tester = self._tester
        try:
            if move is not None:
                move(tester, value)
            else:
                tester.fence()
        except TargetSilent:
            self.over = True
        except KeyboardInterrupt:
            self._interrupted = True
            raise
        except SetupFailed as failed:
            self.over, self._note = True, str(failed)
        except AdapterError as error:
            self.over = True
            self._recorder.event("trouble", what=str(error))

    def _enter(self, phase: str, clause: str, move: str) -> None:
        self._tester.phase = phase
        self._recorder.event("phase", name=phase, move=move, clause=clause)
