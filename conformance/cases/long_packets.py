# SPDX-License-Identifier: MIT
"""Cases of the page on long packets."""

from collections.abc import Callable

from conformance.cases.base import backend_case
from conformance.tester import FrontendTester, get_random, longest_command, longest_response
from vtpm_ref.packet import Family

#: Numbers that nobody has granted; a backend that leaves the list alone cannot tell.
_NOT_GRANTED = (1001, 1002, 1003)


@backend_case("long.references-untouched/one", _NOT_GRANTED[:1])
@backend_case("long.references-untouched/three", _NOT_GRANTED)
def _list_of_references(t: FrontendTester, grants: tuple[int, ...]) -> None:
    """A request behind a list of the grant references {0}."""
    t.prepare()
    t.stimulus()
    t.submit(get_random(t.family), grants=grants)
    t.wait_answer()
    t.fence()


@backend_case("long.too-long-response/behind-255-references", 4000, 255)
@backend_case("long.too-long-response/no-references", 4088, 0)
def _asks_for_too_much(t: FrontendTester, count: int, references: int) -> None:
    """A request for {0} bytes, more than there is room for behind {1} grant references."""
    t.prepare()
    t.stimulus()
    t.submit(get_random(t.family, count), grants=tuple(range(references)))
    t.wait_answer()
    t.fence()


@backend_case("long.size-told/command", longest_command)
@backend_case("long.size-told/response", longest_response)
def _asks_for_size(t: FrontendTester, asks: Callable[[Family], bytes]) -> None:
    """The question for the longest packet that the TPM takes or gives."""
    t.prepare()
    t.stimulus()
    t.exchange(asks(t.family))
