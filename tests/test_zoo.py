# SPDX-License-Identifier: MIT
"""
The zoo: the judge finds in each animal exactly what it breaks, and nothing in the reference.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from conformance import clauses
from conformance.cases import CASES, Case
from conformance.judge import Judgement, Verdict
from conformance.links.memory import EVIDENCE, MemoryLink
from conformance.rules import RULES
from conformance.run import Subject, judge_file, play
from conformance.select import select
from conformance.targets import Target, libtpms, reference, swtpm
from tests.zoo import ANIMALS
from vtpm_ref.packet import Family
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

_ORDER = "shows only on a processor that reorders, with another one looking on"
_ALLOWED = "allows something, and so cannot be broken"
_PROPOSED = "is a proposal that nobody has built"

#: Clauses without an animal, and why.
UNOBSERVABLE = {
    "page.size": "shows only on a machine whose own pages are larger than 4096 bytes",
    "long.family-tried": _ALLOWED,
    "long.size-asked": "needs a frontend that uses extra pages, which nobody has built",
    "cancel.outcome-unknown": "is about the words in which a user is told",
    "ordering.release": _ORDER,
    "ordering.acquire": _ORDER,
    "ordering.notify": _ORDER,
    "extra.feature": _PROPOSED,
    "extra.negotiated": _PROPOSED,
    "extra.limit": _PROPOSED,
    "extra.writable": _PROPOSED,
    "extra.fixed": _PROPOSED,
    "extra.contiguous": _PROPOSED,
    "extra.response": _PROPOSED,
    "extra.bad-grant": _PROPOSED,
    "time.cancel-unbounded": _ALLOWED,
    "time.patience": "needs a TPM that says how long its commands take, and so much time",
}

#: Animals of each role; change it with the zoo.
POPULATION = {Role.BACKEND: 106, Role.FRONTEND: 73}

REFERENCES: dict[str, tuple[Role, Callable[[Place], Target]]] = {
    "backend": (Role.BACKEND, reference.backend),
    "backend-1.2": (Role.BACKEND, lambda place: reference.backend(place, Family.TPM12)),
    "frontend": (Role.FRONTEND, reference.frontend),
}
REAL: dict[str, tuple[ModuleType, Callable[[Place], Target]]] = {
    "libtpms-2.0": (libtpms, libtpms.backend),
    "libtpms-1.2": (libtpms, libtpms.backend12),
    "swtpm-2.0": (swtpm, swtpm.backend),
    "swtpm-1.2": (swtpm, swtpm.backend12),
}

_SHORT = {"long.too-long-response": "none of its responses is longer than 3068 bytes"}
_FIXED = {"long.size-told": "it reports 4096 bytes, whatever size it was given"}

_QUICK = dict.fromkeys(
    ("robust.answer-place", "several.in-turn"), "hardly a command takes long enough to be met"
)

#: Clauses that a real TPM gives no occasion to keep, and why.
NOT_EXERCISED: dict[str, dict[str, str]] = {
    "libtpms-2.0": _SHORT,
    "libtpms-1.2": _QUICK,
    "swtpm-2.0": _SHORT,
    "swtpm-1.2": _QUICK,
}
#: Clauses that it breaks whatever backend it is behind, and how.
BREAKS: dict[str, dict[str, str]] = {
    "libtpms-2.0": {},
    "libtpms-1.2": _FIXED,
    "swtpm-2.0": {},
    "swtpm-1.2": _FIXED,
}


def cases_of(role: Role) -> list[Case]:
    return [case for case in CASES.values() if case.role is role]


def judged(case: Case, make: Callable[[Place], Target], folder: Path) -> Judgement:
    subject = Subject(
        "a target",
        case.role,
        "memory",
        EVIDENCE,
        lambda role, place, recorder: MemoryLink(role, place, recorder, make),
    )
    path = play(case, subject, folder)
    assert isinstance(path, Path), path
    judgement = judge_file(path)
    assert (judgement.complete, judgement.trouble) == (True, "")
    return judgement


@dataclass
class Visit:
    """
    What the judge found in an animal, over all cases of its role.

    :ivar found: for each broken clause, the cases that show it and what one of them says.
    :ivar passed: cases whose own clause the animal did not break.
    """

    found: dict[str, list[str]] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Visit]:
    """Plays all cases against an animal, the first time it is asked for."""

    @cache
    def visited(name: str) -> Visit:
        animal, report = ANIMALS[name], Visit()
        folder = tmp_path_factory.mktemp(name)
        for case in cases_of(animal.role):
            judgement = judged(case, animal.make, folder)
            if case.clause not in judgement.broken:
                report.passed.append(case.id)
            for (clause, _), result in judgement.results.items():
                if result.breaches:
                    report.found.setdefault(clause, []).append(case.id)
                    path, finding = result.findings[0]
                    said = f"allowed {finding.allowed}; happened {finding.happened}"
                    report.said.setdefault(clause, f"{said} ({path}:{finding.line})")
        return report

    return visited


@pytest.mark.parametrize("name", ANIMALS)
def test_the_judge_finds_exactly_what_an_animal_breaks(
    name: str, visit: Callable[[str], Visit]
) -> None:
    animal, report = ANIMALS[name], visit(name)
    missing = sorted(animal.breaks - report.found.keys())
    surplus = [f"{clause}: {report.said[clause]}" for clause in report.found.keys() - animal.breaks]
    assert (missing, surplus) == ([], []), f"{name}: {animal.defect}"


@pytest.mark.parametrize("name", ANIMALS)
def test_an_animal_passes_a_case(name: str, visit: Callable[[str], Visit]) -> None:
    """No animal breaks the clause of every case: one defect is not all of them."""
    assert visit(name).passed


@pytest.mark.parametrize("case", CASES)
def test_an_animal_fails_each_case(case: str, visit: Callable[[str], Visit]) -> None:
    """Each case can be failed: there is an animal that breaks the case's clause in it."""
    clause = CASES[case].clause
    suspects = [a for a in ANIMALS.values() if clause in a.breaks and a.role is CASES[case].role]
    assert any(case in visit(animal.name).found.get(clause, ()) for animal in suspects)


@pytest.mark.parametrize("target", REFERENCES)
def test_the_reference_keeps_every_clause_of_its_role(target: str, tmp_path: Path) -> None:
    """
    Every case is played to its end and passed, which makes it the control of its animals.
    """
    role, make = REFERENCES[target]
    kept = set()
    for case in cases_of(role):
        judgement = judged(case, make, tmp_path)
        own = judgement.results[case.clause, role]
        assert (case.id, judgement.setup_failed, own.verdict) == (case.id, "", Verdict.KEPT)
        assert not judgement.broken, case.id
        verdicts = {result.verdict for result in judgement.results.values()}
        assert verdicts <= {Verdict.KEPT, Verdict.NOT_EXERCISED}, case.id
        kept |= {key[0] for key, result in judgement.results.items() if result.occasions}
    assert sorted(kept) == sorted(rules_for(role))


@pytest.mark.parametrize("target", REAL)
def test_the_reference_with_a_real_tpm_keeps_every_clause(target: str, tmp_path: Path) -> None:
    """All but those of the tables above, and these show every time."""
    module, make = REAL[target]
    if missing := module.available():
        pytest.skip(f"not run: {missing}")
    kept: set[str] = set()
    broken: set[str] = set()
    try:
        for case in cases_of(Role.BACKEND):
            judgement = judged(case, make, tmp_path)
            assert (case.id, judgement.setup_failed) == (case.id, "")
            kept |= {key[0] for key, result in judgement.results.items() if result.occasions}
            broken |= judgement.broken
    finally:
        module.release()
    assert broken == BREAKS[target].keys()
    missed = {*rules_for(Role.BACKEND)} - kept
    rarely = _QUICK.keys() & NOT_EXERCISED[target].keys()
    assert missed - rarely == NOT_EXERCISED[target].keys() - rarely


def rules_for(role: Role) -> list[str]:
    known = clauses.load()
    return [clause for clause in RULES if known[clause].role in ("both", role.value)]


#: Animals that a deployed peer cannot work with, and the peer; by the statuses that ask for it.
STRANGERS = {
    ("stated", "practice"): {
        "OnlyToInitialised": "mini-os tpmfront is never Initialised",
        "OnlyToConnected": "Linux waits for its first answer while it is Initialised",
        "RestsWhenConnected": "Linux's first request is in the page by then",
        "ServesOnlyConnected": "Linux is Connected when its first requests have been answered",
        "BackendFeatureTwo": "mini-os tpmfront takes 1 only",
        "ServesOnce": "the kernel comes after pv-grub",
        "ResetsTpm": "the kernel relies on what pv-grub has measured",
        "AnswersWithoutEvent": "mini-os tpmfront and Linux of 2013 sleep",
        "FinishBeforeLength": "Linux polls",
        "StoresWholeHeader": "Linux looks for the response where nr_extra_pages says",
        "CountsOneMore": "Linux compares the two lengths",
        "StoresNoLength": "Linux compares the two lengths",
        "ResponseAt16": "all look at 8",
        "OneBehind": "none can tell whose response it is",
        "IgnoresCancel": "Linux sends nothing before it is answered",
        "FrontendFeatureTwo": "mini-os tpmback takes 1 only",
        "InitialisedBeforeNodes": "mini-os tpmback reads them then, and closes",
        "ReferenceInHexadecimal": "mini-os tpmback reads a 0",
        "PublishesOtherPage": "mini-os tpmback cannot map it",
        "KeepsOldNodes": "mini-os tpmback cannot map what is gone",
        "SubmitsWithoutEvent": "mini-os tpmback sleeps",
        "SubmitsTooLong": "mini-os tpmback does not answer",
        "FrontendLengthBigEndian": "mini-os tpmback reads a length that does not fit",
        "TakesFrom16": "mini-os tpmback stores at 8",
        "TakesAtOnce": "mini-os tpmback has not answered yet",
        "WaitsOnIdle": "mini-os tpmback answers a CANCEL so",
    },
    ("stated", "practice", "corrects"): {"RequestAt16": "mini-os tpmback looks at 8"},
}


@pytest.mark.parametrize(
    ("statuses", "name"),
    [(statuses, name) for statuses, names in STRANGERS.items() for name in names],
)
def test_who_cannot_work_with_a_deployed_peer_fails_without_what_is_settled_here(
    statuses: tuple[str, ...], name: str, visit: Callable[[str], Visit]
) -> None:
    chosen = select([ANIMALS[name].role], statuses=statuses)
    played = {case.id for case in chosen.cases}
    required = {clause.id for clause in chosen.clauses if clause.level.startswith("MUST")}
    shown = {clause for clause, cases in visit(name).found.items() if played.intersection(cases)}
    assert shown & required


def test_every_observable_clause_has_an_animal_of_each_role_that_it_binds() -> None:
    """A rule without an animal has never been seen to fail."""
    wanted = {
        (clause.id, role)
        for clause in clauses.load().values()
        for role in Role
        if clause.role in ("both", role.value) and clause.id not in UNOBSERVABLE
    }
    assert {(clause, a.role) for a in ANIMALS.values() for clause in a.breaks} == wanted


def test_only_clauses_that_no_tester_can_observe_have_no_animal() -> None:
    hidden = {clause.id for clause in clauses.load().values() if clause.unobservable}
    assert set(UNOBSERVABLE) == hidden


def test_no_animal_is_left_out() -> None:
    counted = {role: sum(a.role is role for a in ANIMALS.values()) for role in Role}
    assert counted == POPULATION


@pytest.mark.parametrize("name", ANIMALS)
def test_a_docstring_of_one_line_names_the_defect(name: str) -> None:
    defect = ANIMALS[name].defect
    assert (defect.count("\n"), defect[-1:]) == (0, ".")


@pytest.mark.parametrize("name", ANIMALS)
def test_more_than_one_broken_clause_has_a_reason(name: str) -> None:
    animal = ANIMALS[name]
    assert animal.breaks
    assert bool(animal.why) == (len(animal.breaks) > 1)
