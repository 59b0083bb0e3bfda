# SPDX-License-Identifier: MIT
"""Cases of the page on the shared page."""

from conformance.cases.base import backend_case, frontend_case
from conformance.tester import BackendTester, FrontendTester, get_random


@backend_case("page.byte-order/response")
@backend_case("page.packet-offset/response")
def _exchange_backend(t: FrontendTester) -> None:
    """One legal exchange."""
    t.prepare()
    t.stimulus()
    t.exchange(get_random(t.family))


@frontend_case("page.byte-order/request")
@frontend_case("page.packet-offset/request")
@frontend_case("page.no-extra-pages/request")
@frontend_case("page.pad-zero/request")
def _exchange_frontend(t: BackendTester) -> None:
    """One legal exchange."""
    t.prepare()
    t.stimulus()
    t.exchange()


@backend_case("page.packet-offset/three-extra-pages")
def _three_extra_pages(t: FrontendTester) -> None:
    """A request behind a list of three grant references."""
    t.prepare()
    t.stimulus()
    t.submit(get_random(t.family), grants=(1, 2, 3))
    t.wait_answer()
    t.fence()


@backend_case("page.pad-ignored/all-ones")
def _pad_all_ones(t: FrontendTester) -> None:
    """The same request three times, the second time with 0xff in pad."""
    t.prepare()
    t.exchange(get_random(t.family))
    t.stimulus()
    for pad in (0xFF, 0):
        t.submit(get_random(t.family), pad=pad)
        t.wait_answer()


@frontend_case("page.zeroed/at-connect")
def _page_at_connect(t: BackendTester) -> None:
    """A look at the page before the backend is Connected."""
    t.announce()
    t.wait_published()
    t.stimulus()
    t.take_page()
