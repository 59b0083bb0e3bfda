# SPDX-License-Identifier: MIT
"""Cases of the page on packets and their lengths."""

from conformance.cases.base import backend_case, frontend_case
from conformance.tester import (
    BackendTester,
    FrontendTester,
    authorised,
    get_random,
    random_bytes,
    resized,
)


@backend_case("packet.response-header/response")
@backend_case("packet.response-length/response")
@backend_case("packet.response-fits/response")
@backend_case("packet.response-tag/response")
def _exchange_backend(t: FrontendTester) -> None:
    """Two legal exchanges, with responses of different size."""
    t.prepare()
    t.stimulus()
    t.exchange(get_random(t.family, 8))
    t.exchange(get_random(t.family, 32))


@backend_case("packet.response-fits/255-extra-pages", 255)
@backend_case("packet.response-fits/no-extra-pages", 0)
def _room_behind(t: FrontendTester, count: int) -> None:
    """A request for 4000 bytes behind a list of {0} grant references."""
    t.prepare()
    t.stimulus()
    t.submit(get_random(t.family, 4000), grants=tuple(range(count)))
    t.wait_answer()
    t.fence()


@backend_case("packet.response-tag/unknown-ordinal")
def _unknown_ordinal(t: FrontendTester) -> None:
    """A command that no TPM knows."""
    t.prepare()
    t.stimulus()
    t.exchange(get_random(t.family)[:6] + b"\xde\xad\xbe\xef" + get_random(t.family)[10:])


@backend_case("packet.response-tag/auth1", 1)
@backend_case("packet.response-tag/auth2", 2)
def _authorised(t: FrontendTester, sessions: int) -> None:
    """A command with {0} authorisation(s), by sessions that there are not."""
    t.prepare()
    t.stimulus()
    t.exchange(authorised(t.family, sessions))
    t.fence()


@backend_case("packet.response-header/empty-request", 0)
@backend_case("packet.too-short-answered/0", 0)
@backend_case("packet.too-short-answered/9", 9)
def _too_short(t: FrontendTester, length: int) -> None:
    """A request of {0} bytes."""
    t.prepare()
    t.stimulus()
    t.submit(get_random(t.family), length=length)
    t.wait_answer()
    t.fence()


@backend_case("packet.too-long-answered/4089", 4089)
@backend_case("packet.too-long-answered/0xfffffff8", 0xFFFFFFF8)
@backend_case("packet.too-long-answered/0xffffffff", 0xFFFFFFFF)
def _too_long(t: FrontendTester, length: int) -> None:
    """A request with length {0} ({0:#x}), which passes the end of the page."""
    t.prepare()
    t.stimulus()
    t.submit(resized(get_random(t.family), 4088), length=length)
    t.wait_answer()
    t.fence()


@backend_case("packet.size-mismatch-answered/header-says-less", -1)
@backend_case("packet.size-mismatch-answered/header-says-more", 1)
def _mismatch(t: FrontendTester, surplus: int) -> None:
    """A request whose header gives its size as length {0:+d}."""
    t.prepare()
    t.stimulus()
    request = get_random(t.family)
    size = (len(request) + surplus).to_bytes(4, "big")
    t.submit(request[:2] + size + request[6:])
    t.wait_answer()
    t.fence()


@frontend_case("packet.request-header/nine-bytes", 9)
@frontend_case("packet.request-fits/4088", 4088)
@frontend_case("packet.request-fits/4089", 4089)
def _ordered_size(t: BackendTester, size: int) -> None:
    """An order to send {0} bytes."""
    t.prepare()
    t.stimulus()
    t.answer_order(t.order(resized(get_random(t.family), size)))
    t.fence()


@frontend_case("packet.request-length/header-says-less", -1)
@frontend_case("packet.request-length/header-says-more", 1)
def _ordered_mismatch(t: BackendTester, surplus: int) -> None:
    """An order to send a packet whose header gives its size {0:+d}."""
    t.prepare()
    t.stimulus()
    request = get_random(t.family)
    size = (len(request) + surplus).to_bytes(4, "big")
    t.answer_order(t.order(request[:2] + size + request[6:]))
    t.fence()


@frontend_case("packet.response-bounded/4089", 4089)
@frontend_case("packet.response-bounded/0xffffffff", 0xFFFFFFFF)
def _endless_response(t: BackendTester, length: int) -> None:
    """A response that passes the end of the page: header and length say {0} ({0:#x})."""
    t.prepare()
    t.stimulus()
    number = t.order()
    t.wait_request()
    response = random_bytes(t.family)
    t.answer(response[:2] + length.to_bytes(4, "big") + response[6:], length=length)
    t.wait_result(number)
    t.fence()


@frontend_case("packet.response-checked/0", 0)
@frontend_case("packet.response-checked/9", 9)
@frontend_case("packet.response-checked/one-less", 27)
@frontend_case("packet.response-checked/one-more", 29)
def _claimed_length(t: BackendTester, length: int) -> None:
    """A response of 28 bytes (30 of a TPM 1.2) with length {0}."""
    t.prepare()
    t.stimulus()
    number = t.order()
    t.wait_request()
    t.answer(random_bytes(t.family), length=length)
    t.wait_result(number)
    t.fence()
