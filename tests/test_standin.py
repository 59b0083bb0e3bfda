# SPDX-License-Identifier: MIT
"""
The stand-in for a TPM: what it says of the sizes of its packets.
"""

import pytest

from conformance.targets.standin import StandIn
from conformance.tester import longest_command, longest_response
from vtpm_ref.packet import Family, PacketHeader, build

#: The whole response, by hand: header, then what GetCapability gives.
SAID = {
    Family.TPM12: "00c4 00000012 00000000 00000004 00000ff8",
    Family.TPM20: "8001 0000001b 00000000 00 00000006 00000001 0000011e 00000ff8",
}


def answer(tpm: StandIn, request: bytes) -> bytes:
    tpm.start(request, 0)
    return tpm.result() or b""


@pytest.mark.parametrize("family", SAID)
def test_it_promises_what_fits_the_page(family: Family) -> None:
    assert answer(StandIn(family), longest_command(family)) == bytes.fromhex(SAID[family])


def test_a_20_names_the_property_that_was_asked_for() -> None:
    said = answer(StandIn(), longest_response(Family.TPM20))
    assert said.endswith(bytes.fromhex("0000011f 00000ff8"))


@pytest.mark.parametrize(
    "body", ["", "00000006", "00000006 00000100 00000001", "00000001 0000011e"]
)
def test_other_properties_are_an_error(body: str) -> None:
    """It is a stand-in; a user is not to take its silence for a zero."""
    said = answer(StandIn(), build(0x8001, 0x17A, bytes.fromhex(body)))
    assert (PacketHeader.unpack(said).code, len(said)) == (0x143, 10)
