# SPDX-License-Identifier: MIT
"""
From a trace to verdicts: runs the rules over it and weighs what they found.

Nothing but the trace is looked at, so a live run, a file and a lab are judged
by the same code.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from conformance import clauses, trace
from conformance.errors import TraceError
from conformance.messages import Request
from conformance.rules import RULES, Finding, Rule
from conformance.scene import Scene
from conformance.tester.commands import is_slow
from conformance.trace import TraceReader
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

#: What a target that falls silent after the stimulus owes the case.
OWED = frozenset(
    {
        "an answer",
        "a request",
        "a result",
        "Connected of the backend",
        "Connected of the frontend",
        "Closed of the frontend",
        "Closing of the backend",
        "the backend to let go",
        "nodes of the frontend",
    }
)


class Verdict(StrEnum):
    """What came of a clause; earlier ones outrank later ones."""

    BROKEN = "broken"
    INCONCLUSIVE = "inconclusive"
    KEPT = "kept"
    NOT_EXERCISED = "not exercised"
    NOT_OBSERVABLE = "not observable"
    NOT_APPLICABLE = "not applicable"


@dataclass
class ClauseResult:
    """
    What one or more traces say of one clause, for one role.

    :ivar occasions: how often the clause could have been broken.
    :ivar can_pass: whether the evidence was good enough to pass.
    :ivar findings: the breaches that were kept, with the trace of each.
    :ivar unclear: why it is inconclusive, empty if it is not.
    """

    clause: str
    role: Role
    occasions: int = 0
    breaches: int = 0
    can_pass: bool = True
    missing: tuple[str, ...] = ()
    findings: list[tuple[str, Finding]] = field(default_factory=list)
    unclear: str = ""
    inapplicable: str = ""

    @property
    def verdict(self) -> Verdict:
        """The verdict; the worst of what was seen decides."""
        if self.breaches:
            return Verdict.BROKEN
        if self.unclear:
            return Verdict.INCONCLUSIVE
        if not self.can_pass:
            return Verdict.NOT_OBSERVABLE
        if self.occasions:
            return Verdict.KEPT
        return Verdict.NOT_APPLICABLE if self.inapplicable else Verdict.NOT_EXERCISED

    def add(self, other: "ClauseResult") -> None:
        """Take in what another trace says of the same clause and role."""
        self.occasions += other.occasions
        self.breaches += other.breaches
        self.can_pass = self.can_pass and other.can_pass
        self.missing = self.missing or other.missing
        self.findings += other.findings
        self.unclear = self.unclear or other.unclear
        self.inapplicable = self.inapplicable or other.inapplicable


@dataclass
class Judgement:
    """
    All results of one trace.

    :ivar trouble: what the adapter did wrong, empty if nothing.
    :ivar setup_failed: why the case never came to its stimulus, if so.
    """

    path: str
    header: trace.Header
    results: dict[tuple[str, Role], ClauseResult]
    events: int = 0
    complete: bool = True
    trouble: str = ""
    setup_failed: str = ""
    tpm: str = ""

    @property
    def broken(self) -> frozenset[str]:
        """Ids of the clauses that were broken."""
        return frozenset(key[0] for key, r in self.results.items() if r.breaches)


class Judge:
    """
    Judges the events of one trace, as they come.

    Each connection has a scene and rules of its own; what they find is one result.

    :param only: ids of the clauses to judge; all if left out.
    """

    def __init__(self, header: trace.Header, only: Iterable[str] | None = None) -> None:
        self.line = 1
        self.scenes: list[Scene] = []
        self._header = header
        self._only = frozenset(RULES if only is None else only)
        self._rules: list[Rule] = []
        self._case_clause = header.case.split("/")[0]
        self._case_findings: list[Finding] = []
        self._trouble = ""
        self._spoilt = False
        self._works_long = False
        self._waited = ""
        self._note = ""
        self._phase = ""
        self._handlers: dict[type, Callable[[Any], None]] = {}
        self._connect(Place(header.frontend, header.backend, header.device))
        self._handlers = {
            **self.scenes[0].handlers,
            trace.Silence: self._silence,
            trace.Exit: self._exit,
            trace.Trouble: self._blame_adapter,
            trace.Phase: self._enter,
        }

    def _connect(self, place: Place) -> None:
        """One more connection: a scene and its rules."""
        scene = Scene(self._header, place, self.scenes)
        if scene is not self.scenes[0]:
            scene.family, scene.phase = self.scenes[0].family, self.scenes[0].phase
        scene.listen("request", self._asked)
        known = clauses.load()
        self._rules += [
            RULES[clause](scene, role, lambda: self.line)
            for clause in RULES
            if clause in self._only
            for role in sorted(scene.judged)
            if known[clause].role in ("both", role.value)
        ]

    def feed(self, event: trace.AnyEvent) -> None:
        """
        Take in one event.

        :raises ValueError: it is of a connection that there is not.
        """
        self.line += 1
        if event.c:
            self._feed_further(event)
            return
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _feed_further(self, event: trace.AnyEvent) -> None:
        """Take in an event of another connection than the first."""
        if isinstance(event, trace.Connection) and event.c == len(self.scenes):
            self._connect(Place(event.frontend, self._header.backend, event.device))
        elif event.c >= len(self.scenes):
            raise ValueError(f"connection {event.c} was never announced")
        elif isinstance(event, trace.Silence):
            self._silence(event)
        else:
            self.scenes[event.c].feed(event)

    def finish(self, path: str = "", *, complete: bool = True) -> Judgement:
        """The trace is over; weigh what was found."""
        for scene in self.scenes:
            scene.end()
        results: dict[tuple[str, Role], ClauseResult] = {}
        for rule in self._rules:
            found = self._weigh(path, rule)
            if (known := results.get((rule.clause, rule.role))) is None:
                results[rule.clause, rule.role] = found
            else:
                known.add(found)
        for (clause, _), result in results.items():
            if clause == self._case_clause:
                self._weigh_case(path, result)
            if not complete and not result.breaches:
                result.unclear = "the trace is incomplete"
        return Judgement(
            path,
            self._header,
            results,
            events=self.line - 1,
            complete=complete,
            trouble=self._trouble,
            setup_failed=self._note,
            tpm=self.scenes[0].family.value,
        )

    def _weigh(self, path: str, rule: Rule) -> ClauseResult:
        return ClauseResult(
            rule.clause,
            rule.role,
            rule.occasions,
            rule.breaches,
            rule.can_pass,
            rule.lacking(),
            [(path, finding) for finding in rule.findings],
            rule.unclear,
        )

    def _weigh_case(self, path: str, result: ClauseResult) -> None:
        """A crash or silence after the stimulus breaks the case's own clause."""
        known = {finding.line for _, finding in result.findings}
        fresh = [finding for finding in self._case_findings if finding.line not in known]
        result.breaches += len(fresh)
        result.findings += [(path, finding) for finding in fresh]
        if self._spoilt and not result.breaches:
            result.unclear = f"trouble with the adapter: {self._trouble}"
        elif self._waited and not result.breaches:
            result.unclear = self._waited

    def _enter(self, event: trace.Phase) -> None:
        self._feed_all(event)
        self._phase = event.name
        self._note = event.note or self._note
        if event.clause and not self._case_findings:
            self._case_clause = event.clause

    def _feed_all(self, event: trace.AnyEvent) -> None:
        """An event that concerns every connection."""
        for scene in self.scenes:
            scene.feed(event)

    def _blame_adapter(self, event: trace.Trouble) -> None:
        self._trouble = self._trouble or event.what
        self._spoilt = self._spoilt or self._phase != "end"  # afterwards the case is played

    def _asked(self, request: Request) -> None:
        self._works_long |= request.well_formed and is_slow(request.packet)

    def _may_still_come(self, event: trace.Silence) -> bool:
        """Whether the answer that did not come may wait for a TPM, which takes its time."""
        request = self.scenes[event.c].request
        run = request is not None and request.well_formed and event.awaited == "an answer"
        return run and self._works_long and not event.certain

    def _silence(self, event: trace.Silence) -> None:
        if self._may_still_come(event):
            self._waited = (
                f"no answer within {event.seconds:g} s, while the TPM may be at work on a command"
                " that takes long; --timeout-multiplier waits longer"
            )
            return
        self.scenes[event.c].feed(event)
        if self._phase in ("stimulus", "fence") and event.awaited in OWED:
            how = "and rests" if event.certain else f"within {event.seconds:g} s"
            if not self._case_findings:
                happened = f"silence: none came {how}"
                self._case_findings.append(Finding(event.awaited, happened, self.line))

    def _exit(self, event: trace.Exit) -> None:
        self._feed_all(event)
        if self._phase in ("stimulus", "fence"):
            happened = f"the target ended: {event.how}"
            self._case_findings.append(Finding("the target goes on", happened, self.line))


def judge(reader: TraceReader, only: Iterable[str] | None = None) -> Judgement:
    """
    Judge a whole trace.

    :raises TraceError: it was cut off or altered, or an event makes no sense.
    """
    judge = Judge(reader.header, only)
    feed = judge.feed
    try:
        for event in reader:
            feed(event)
    except ValueError as error:  # for example data that is not hexadecimal
        raise TraceError(str(reader.path), reader.line, str(error)) from error
    return judge.finish(str(reader.path), complete=reader.complete)
