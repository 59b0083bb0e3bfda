# SPDX-License-Identifier: MIT
"""Cases of the page on long packets."""

from collections.abc import Callable

from conformance.cases.base import backend_case
from conformance.tester import FrontendTester, get_random, longest_command, longest_response
from vtpm_ref.packet import Family

#: Numbers from here on nobody has granted; who leaves the list alone cannot tell.
_NOT_GRANTED = 1001


@backend_case("long.references-untouched/one", 1)
@backend_case("long.references-untouched/three", 3)
def _list_of_references(t: FrontendTester, count: int) -> None:
    """A request behind a list that is {0} long, of references that nobody has granted."""
    t.prepare()
    t.stimulus()
    t.submit(get_random(t.family), grants=tuple(range(_NOT_GRANTED, _NOT_GRANTED + count)))
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
