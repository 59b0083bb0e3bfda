# SPDX-License-Identifier: MIT
"""
Runs traffic between two sides, chunk by chunk, and judges each.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from msgspec.structs import replace

from conformance.judge import Judge, Judgement
from conformance.links.joint import LIMIT
from conformance.links.memory import EVIDENCE
from conformance.recorder import Recorder
from conformance.run import header_of
from conformance.targets import Target, libtpms, reference, swtpm
from conformance.trace import RoleName, TraceReader
from conformance.traffic.census import CLASSES, Census
from conformance.traffic.commands import Menu, real, stand_in
from conformance.traffic.lot import USUAL, Habits, Lot
from vtpm_ref.packet import Family
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

#: Orders in one trace; each trace starts with both sides that connect.
CHUNK = 500

#: Each trace is judged as one of two targets, and as one of either and a tester.
_JUDGED: tuple[tuple[RoleName, ...], ...] = (
    ("frontend", "backend"),
    ("frontend",),
    ("backend",),
)


def _nothing() -> str:
    return ""


@dataclass(frozen=True)
class Pairing:
    """
    Two sides between which there is traffic.

    :param share: its part of all exchanges, in percent.
    :param missing: says what to install before it can run; empty if nothing.
    :param release: lets go of what the backend holds.
    :param cannot: classes that cannot be met, and why.
    """

    name: str
    backend: Callable[[Place], Target]
    menu: Menu
    share: int
    missing: Callable[[], str] = _nothing
    release: Callable[[], object] = _nothing
    cannot: dict[str, str] = field(default_factory=dict)
    frontend: Callable[[Place], Target] = reference.frontend


_TOO_SHORT = {"response: 4088": "the longest response of this TPM 2.0 has 1045 bytes"}

PAIRINGS = (
    Pairing("reference 2.0", reference.backend, stand_in(Family.TPM20), 45),
    Pairing(
        "reference 1.2",
        lambda place: reference.backend(place, Family.TPM12),
        stand_in(Family.TPM12),
        20,
    ),
    Pairing(
        "libtpms 2.0",
        libtpms.backend,
        real(Family.TPM20),
        15,
        libtpms.available,
        libtpms.release,
        _TOO_SHORT,
    ),
    Pairing(
        "libtpms 1.2",
        libtpms.backend12,
        real(Family.TPM12),
        14,
        libtpms.available,
        libtpms.release,
    ),
    Pairing(
        "swtpm 2.0",
        swtpm.backend,
        real(Family.TPM20),
        3,
        swtpm.available,
        swtpm.release,
        _TOO_SHORT,
    ),
    Pairing("swtpm 1.2", swtpm.backend12, real(Family.TPM12), 3, swtpm.available, swtpm.release),
)


@dataclass
class Report:
    """
    What came of the traffic of one pairing.

    :ivar events: lines of all its traces.
    :ivar alarms: what should not have been said or seen, one line each.
    """

    pairing: Pairing
    census: Census = field(default_factory=Census)
    events: int = 0
    alarms: list[str] = field(default_factory=list)

    def empty(self) -> list[str]:
        """Classes without hits, though they can be met."""
        hits = self.census.hits
        return [name for name in CLASSES if not hits[name] and name not in self.pairing.cannot]

    def impossible(self) -> list[str]:
        """Classes that were met, though they are said not to be."""
        return [name for name in self.pairing.cannot if self.census.hits[name]]


def run(
    pairing: Pairing, exchanges: int, seed: int, folder: Path, habits: Habits = USUAL
) -> Report:
    """
    Have ``exchanges`` requests or more submitted; stop after a trace with an alarm.

    :param seed: decides everything but what a real TPM answers.
    :param folder: where the traces go; only one that raised an alarm stays.
    :raises ConformanceError: the two sides do not connect, or a trace cannot be written.
    """
    report = Report(pairing)
    try:
        number = 0
        while report.census.exchanges < exchanges and not report.alarms:
            number += 1
            path = folder / f"{pairing.name.replace(' ', '-')}-{number}.jsonl"
            rng = Random(f"{seed} {pairing.name} {number}")
            wrong = _play(pairing, min(CHUNK, exchanges), rng, path, habits)
            _judge(path, wrong, report)
    finally:
        pairing.release()
    return report


def _play(pairing: Pairing, orders: int, rng: Random, path: Path, habits: Habits) -> str:
    """Record one chunk; what was wrong with it apart from what the judge will say."""
    header = header_of(Role, link="memory", target=pairing.name, evidence=EVIDENCE)
    recorder = Recorder(path, header)
    lot = Lot(recorder, pairing.frontend, partial(_prepared, pairing), rng, habits)
    try:
        lot.connect()
        for _ in range(orders):
            if wrong := lot.send(pairing.menu.draw(rng)):
                return wrong
        return lot.finish()
    finally:
        lot.stop()
        recorder.close()


def _prepared(pairing: Pairing, place: Place) -> Target:
    """The backend of ``pairing``, once its TPM has executed the first commands."""
    target = pairing.backend(place)
    if target.tpm is not None:
        for command in pairing.menu.first:
            target.tpm.start(command, 0)
            target.tpm.finished(LIMIT)
            target.tpm.result()
    return target


def _judge(path: Path, wrong: str, report: Report) -> None:
    """Judge a trace and count what it met; throw it away unless there is an alarm."""
    reader = TraceReader(path)
    judges = [Judge(replace(reader.header, judged=list(roles))) for roles in _JUDGED]
    report.census.attend(judges[0].scenes[0])
    for event in reader:
        for judge in judges:
            judge.feed(event)
    judgements = [judge.finish(str(path)) for judge in judges]
    report.events += judgements[0].events
    # Each line once: what is broken is broken for more than one of them.
    report.alarms += dict.fromkeys(line for each in judgements for line in _alarms(each))
    if wrong:
        report.alarms.append(wrong)
    if report.alarms:
        report.alarms.append(f"see for yourself: vtpm-conformance check {path}")
    else:
        path.unlink()


def _alarms(judgement: Judgement) -> list[str]:
    results = judgement.results.values()
    return [
        f"{result.clause} broken by the {result.role.value}, line {finding.line}:"
        f" allowed {finding.allowed}; happened {finding.happened}"
        for result in results
        for _, finding in result.findings
    ] + [f"{result.clause} inconclusive: {result.unclear}" for result in results if result.unclear]
