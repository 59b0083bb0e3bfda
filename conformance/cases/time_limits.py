# SPDX-License-Identifier: MIT
"""Cases of the page on time."""

from conformance.cases.base import backend_case, frontend_case
from conformance.tester import BackendTester, FrontendTester, get_random, resized, slow


@backend_case("time.refusal-bound/too-short", 9)
@backend_case("time.refusal-bound/too-long", 4089)
def _refused(t: FrontendTester, length: int) -> None:
    """A request of length {0}, which no TPM can run."""
    t.prepare()
    t.stimulus()
    t.submit(resized(get_random(t.family), 4088), length=length)
    t.wait_answer()
    t.fence()


@backend_case("time.refusal-bound/tpm-at-work", needs="many")
def _refused_while_busy(t: FrontendTester) -> None:
    """A request that is too long, while the slow command of another frontend works."""
    t.prepare()
    other = t.another()
    other.connect()
    t.stimulus()
    other.submit(slow(t.family))
    t.rest()
    t.submit(resized(get_random(t.family), 4088), length=4089)
    t.wait_answer()
    other.wait_answer()
    t.fence()


@frontend_case("time.cancels/given-up")
def _given_up(t: BackendTester) -> None:
    """A request that gets no answer until the frontend gives it up."""
    t.prepare()
    t.stimulus()
    number = t.order()
    t.wait_request()
    t.rest()
    if t.expire():
        t.wait_cancel()
        t.answer_idle()
    else:
        t.answer()
    t.wait_result(number)
    t.fence()
