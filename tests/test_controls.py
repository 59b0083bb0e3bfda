# SPDX-License-Identifier: MIT
"""
Controls: for each case in which the tester breaks a clause, one that differs in one step.

The control has a tester that breaks none.  A target that fails the first and passes
the second fails for that step, and not for the ground that both stand on.
"""

from collections.abc import Callable
from functools import cache

import msgspec
import pytest

from conformance.cases import CASES
from conformance.judge import Judge, Verdict
from conformance.links.memory import EVIDENCE
from conformance.run import trace_path
from conformance.targets import Target, reference
from conformance.trace import TraceReader
from tests.test_zoo import judged
from tests.zoo import ANIMALS
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

_CONNECTED = "nodes.own-directory/connect-backend"
_ONE_ANSWER = "page.packet-offset/response"
_THREE_ANSWERS = "exchange.answered/three-exchanges"
_INITIALISED = "connecting.backend-connects/initialised"
_SERVED = "connecting.serves-initialised/three-exchanges"
_AGAIN = "coming-back.served/closed"
_FULL_PAGE = "exchange.answered/4088-bytes"
_HEADER_ONLY = "exchange.answered/10-bytes"
_FITS = "packet.response-fits/no-extra-pages"
_ABORTED = "robust.response-belongs/cancelled"
_TWELVE = "several.own-service/twelve"
_ONE_REQUEST = "page.packet-offset/request"
_THREE_REQUESTS = "exchange.waits-for-answer/three-exchanges"
_PUBLISHES = "connecting.initialised/connect"

#: Negative case -> its control, and what the tester does there instead.
CONTROLS: dict[str, tuple[str, str]] = {
    # Connecting.
    "connecting.backend-connects/connected": (_INITIALISED, "Initialised before Connected"),
    "connecting.backend-checks/absent": (_INITIALISED, "1 in feature-protocol-v2"),
    "connecting.backend-checks/zero": (_INITIALISED, "1 in feature-protocol-v2"),
    "connecting.failed-closed/feature": (_INITIALISED, "1 in feature-protocol-v2"),
    "connecting.failed-closed/page": (_INITIALISED, "the page's own reference"),
    "connecting.failed-closed/port": (_INITIALISED, "the port's own number"),
    "connecting.init-wait/new-references": (_AGAIN, "Closed before the new nodes"),
    "connecting.frontend-checks/absent": (_PUBLISHES, "1 in feature-protocol-v2"),
    "connecting.frontend-checks/zero": (_PUBLISHES, "1 in feature-protocol-v2"),
    "connecting.look-at-once/request-before-connected": (_SERVED, "SUBMIT after Connected"),
    "connecting.frontend-waits/slow-backend": (_PUBLISHES, "Connected once the page is mapped"),
    "connecting.submit-when-connected/early-order": (_ONE_REQUEST, "the order after Connected"),
    # Closing and coming back.
    "closing.gone/state-0": ("closing.backend-lets-go/closed", "Closing, then Closed, for the 0"),
    "closing.closed-last/flooded": ("closing.closed-last/ordered", "no event"),
    "closing.frontend-follows/closed": ("closing.frontend-follows/closing", "Closing first"),
    "coming-back.new-references/page-and-port": (_AGAIN, "Closed before the new nodes"),
    "coming-back.new-references/page": (_AGAIN, "Closed before the new nodes"),
    "coming-back.new-references/port": (_AGAIN, "Closed before the new nodes"),
    "coming-back.new-references/in-command": (
        "coming-back.served/in-command",
        "Closed before the new nodes",
    ),
    "coming-back.unknown-request/connected": (_SERVED, "SUBMIT after the backend is Connected"),
    "coming-back.looks-first/connected": (
        _ONE_ANSWER,
        "Initialised until the backend is Connected",
    ),
    "coming-back.rings/free-page": (_INITIALISED, "Initialised until the backend is Connected"),
    "coming-back.rings/answer": (_INITIALISED, "Initialised until the backend is Connected"),
    "coming-back.through-closed/connected": (
        "coming-back.published-anew/reconnect",
        "both states as closing has left them",
    ),
    "coming-back.goes-on/at-rest": ("closing.frontend-follows/closing", "Closing before it goes"),
    "coming-back.goes-on/in-request": (
        "closing.request-ends/backend-closes",
        "Closing before it goes",
    ),
    # One exchange.
    "exchange.spurious-events/when-finished": (_CONNECTED, "no event over FINISH"),
    "exchange.spurious-events/when-submitted": (_ONE_REQUEST, "no event before the answer"),
    "exchange.waits-for-answer/event-when-submitted": (_ONE_REQUEST, "no event before the answer"),
    "exchange.response-taken/10-bytes": (_ONE_REQUEST, "as many bytes as were asked for"),
    "exchange.response-taken/4088-bytes": (_ONE_REQUEST, "as many bytes as were asked for"),
    # The shared page and its states.
    "page.packet-offset/three-extra-pages": (_ONE_ANSWER, "no list"),
    "page.pad-ignored/all-ones": (_THREE_ANSWERS, "0 in pad"),
    "states.backend-fields/three-extra-pages": (_ONE_ANSWER, "no list"),
    "states.answer-only-requests/event-when-finished": (_CONNECTED, "no event over FINISH"),
    "states.response-stands-still/event-when-finished": (_CONNECTED, "no event over FINISH"),
    "states.submit-when-free/second-order-waits": (_THREE_REQUESTS, "orders after the answer"),
    "states.submit-when-free/cancel-unanswered": (
        "cancel.finish-accepted/finish",
        "no second order",
    ),
    "states.request-stands-still/second-order-waits": (_THREE_REQUESTS, "orders after the answer"),
    "states.unknown-waits/seven-when-finished": (_CONNECTED, "FINISH left in state"),
    "states.unknown-waits/255-when-finished": (_CONNECTED, "FINISH left in state"),
    "states.unknown-waits/seven-when-submitted": (_ONE_REQUEST, "SUBMIT left in state"),
    "states.unknown-waits/255-when-submitted": (_ONE_REQUEST, "SUBMIT left in state"),
    # Packets and their lengths.
    "packet.response-fits/255-extra-pages": (_FITS, "no list"),
    "packet.response-header/empty-request": (_HEADER_ONLY, "10 in length"),
    "packet.too-short-answered/0": (_HEADER_ONLY, "10 in length"),
    "packet.too-short-answered/9": (_HEADER_ONLY, "10 in length"),
    "packet.too-long-answered/4089": (_FULL_PAGE, "4088 in length"),
    "packet.too-long-answered/0xfffffff8": (_FULL_PAGE, "4088 in length"),
    "packet.too-long-answered/0xffffffff": (_FULL_PAGE, "4088 in length"),
    "packet.size-mismatch-answered/header-says-less": (_ONE_ANSWER, "the size in the header"),
    "packet.size-mismatch-answered/header-says-more": (_ONE_ANSWER, "the size in the header"),
    "packet.response-bounded/4089": (_ONE_REQUEST, "the response's size in length"),
    "packet.response-checked/0": (_ONE_REQUEST, "the response's size in length"),
    "packet.response-checked/9": (_ONE_REQUEST, "the response's size in length"),
    "packet.response-checked/one-less": (_ONE_REQUEST, "the response's size in length"),
    "packet.response-checked/one-more": (_ONE_REQUEST, "the response's size in length"),
    "long.references-untouched/one": (_ONE_ANSWER, "no list"),
    "long.references-untouched/three": (_ONE_ANSWER, "no list"),
    "long.too-long-response/behind-255-references": (_FITS, "no list"),
    # Cancellation, locality, time.
    "cancel.acknowledged-when-idle/finished": ("cancel.answered/at-once", "SUBMIT before CANCEL"),
    "cancel.acknowledged-when-idle/idle": (
        "cancel.answered/at-once",
        "SUBMIT for the first CANCEL",
    ),
    "cancel.answered/three-times": (_ONE_ANSWER, "no CANCEL"),
    "locality.with-request/3-then-0": (_THREE_REQUESTS, "locality 0 in each order"),
    "locality.refused/5": ("locality.default-zero/4", "locality 4"),
    "locality.refused/255": ("locality.default-zero/4", "locality 4"),
    "locality.refusal-code/5": ("locality.default-zero/4", "locality 4"),
    "time.refusal-bound/too-short": (_HEADER_ONLY, "10 in length"),
    "time.refusal-bound/too-long": (_FULL_PAGE, "4088 in length"),
    "time.refusal-bound/tpm-at-work": ("several.in-turn/three-wait", "requests that fit the page"),
    # Robustness.
    "robust.goes-on/all-ones": (_CONNECTED, "the page left alone"),
    "robust.goes-on/lengths-0": (_THREE_ANSWERS, "a sound header"),
    "robust.goes-on/lengths-1": (_THREE_ANSWERS, "a sound header"),
    "robust.goes-on/lengths-255": (_THREE_ANSWERS, "a sound header"),
    "robust.goes-on/random-headers": (_THREE_ANSWERS, "a sound header"),
    "robust.goes-on/states": (_CONNECTED, "FINISH left in state"),
    "robust.goes-on/meddling": (_ABORTED, "CANCEL for the ones"),
    "robust.answer-place/count-changed": (_ABORTED, "CANCEL for the 100"),
    "robust.nodes-recover/ring-ref": (_AGAIN, "sound nodes the first time too"),
    "robust.nodes-recover/event-channel": (_AGAIN, "sound nodes the first time too"),
    "robust.nodes-recover/nobodys-page": (_AGAIN, "sound nodes the first time too"),
    "robust.nodes-recover/nobodys-port": (_AGAIN, "sound nodes the first time too"),
    "robust.nodes-recover/state-0": (_AGAIN, "Closing for the 0"),
    "robust.nonsense-state/backend": (_CONNECTED, "Connected left in state"),
    "robust.nonsense-state/frontend": (
        "nodes.own-directory/connect-frontend",
        "Connected left in state",
    ),
    "robust.own-window/count-changed": (_ONE_REQUEST, "nr_extra_pages left alone"),
    "robust.frontend-goes-on/lengths": (_THREE_REQUESTS, "sound answers"),
    "robust.frontend-goes-on/packets": (_THREE_REQUESTS, "sound answers"),
    # Several frontends.
    "several.own-service/too-long-neighbour": (_TWELVE, "neighbours' requests that fit the page"),
    "several.own-service/neighbour-publishes-nonsense": (_TWELVE, "neighbours' sound nodes"),
    "several.own-service/neighbour-floods": (_TWELVE, "neighbours' requests for the events"),
}

_REFERENCE: dict[Role, Callable[[Place], Target]] = {
    Role.BACKEND: reference.backend,
    Role.FRONTEND: reference.frontend,
}


@pytest.fixture(scope="module")
def by_tester(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], frozenset[str]]:
    """The clauses that the tester breaks in a case against the reference, which passes it."""
    folder = tmp_path_factory.mktemp("reference")

    @cache
    def broken(name: str) -> frozenset[str]:
        case = CASES[name]
        judgement = judged(case, _REFERENCE[case.role], folder)
        assert judgement.results[case.clause, case.role].verdict is Verdict.KEPT, name
        trace = TraceReader(trace_path(folder, name))
        tester = case.role.peer.value
        judge = Judge(
            msgspec.structs.replace(
                trace.header, judged=[tester], evidence={tester: EVIDENCE}, case=""
            )
        )
        for event in trace:
            judge.feed(event)
        return judge.finish().broken

    return broken


@pytest.fixture(scope="module")
def by_animal(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], frozenset[str]]:
    """The clauses that an animal breaks in a case."""
    folder = tmp_path_factory.mktemp("animals")

    @cache
    def broken(name: str, case: str) -> frozenset[str]:
        return judged(CASES[case], ANIMALS[name].make, folder).broken

    return broken


def test_the_cases_with_a_control_are_those_whose_tester_breaks_a_clause(
    by_tester: Callable[[str], frozenset[str]],
) -> None:
    """Each negative case has one, and no other case has."""
    negative = {name for name in CASES if by_tester(name)}
    assert (sorted(negative - CONTROLS.keys()), sorted(CONTROLS.keys() - negative)) == ([], [])


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_is_a_case_of_the_role_whose_tester_breaks_no_clause(
    name: str, by_tester: Callable[[str], frozenset[str]]
) -> None:
    """And the reference passes it."""
    control, step = CONTROLS[name]
    assert (CASES[control].role, by_tester(control)) == (CASES[name].role, frozenset())
    assert step


@pytest.mark.parametrize("name", CONTROLS)
def test_an_animal_fails_the_case_and_passes_its_control(
    name: str, by_animal: Callable[[str, str], frozenset[str]]
) -> None:
    """The step decides: the animal breaks the case's clause there, and not in the control."""
    clause, control = CASES[name].clause, CONTROLS[name][0]
    role, passed = CASES[name].role, {clause, CASES[control].clause}
    assert any(
        clause in by_animal(animal.name, name) and not by_animal(animal.name, control) & passed
        for animal in ANIMALS.values()
        if animal.role is role and clause in animal.breaks
    )
