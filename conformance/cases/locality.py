# SPDX-License-Identifier: MIT
"""Cases of the page on locality."""

from conformance.cases.base import backend_case, frontend_case
from conformance.tester import BackendTester, FrontendTester, get_random


@frontend_case("locality.with-request/3-then-0", needs="locality")
def _locality_of_each(t: BackendTester) -> None:
    """An order at locality 3, then one at locality 0."""
    t.prepare()
    t.stimulus()
    for locality in (3, 0):
        t.answer_order(t.order(locality=locality))


@frontend_case("locality.range/5", 5, needs="locality")
@frontend_case("locality.range/255", 255, needs="locality")
def _ordered_locality(t: BackendTester, locality: int) -> None:
    """An order at locality {0}."""
    t.prepare()
    t.stimulus()
    t.answer_order(t.order(locality=locality))
    t.fence()


@backend_case("locality.refused/5", 5)
@backend_case("locality.refused/255", 255)
@backend_case("locality.refusal-code/5", 5)
@backend_case("locality.default-zero/1", 1)
@backend_case("locality.default-zero/4", 4)
def _request_at(t: FrontendTester, locality: int) -> None:
    """A request at locality {0}."""
    t.prepare()
    t.stimulus()
    t.submit(get_random(t.family), locality=locality)
    t.wait_answer()
    t.fence()
