# SPDX-License-Identifier: MIT
"""What every real TPM behind the reference backend does, whichever it is."""

import select
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from conformance.targets import libtpms, swtpm
from conformance.targets.libtpms import LibTpms
from conformance.targets.swtpm import Swtpm
from tests.tpm import FAMILIES, GET_RANDOM, LIMIT, RC_LOCALITY, code, joints, pcr_reset, run
from vtpm_ref.packet import Family, build

CLASSES = {libtpms: LibTpms, swtpm: Swtpm}


@pytest.fixture(params=CLASSES, ids=lambda module: module.__name__.rpartition(".")[2])
def module(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The module of one TPM, with nothing left over of an earlier test."""
    if missing := request.param.available():
        pytest.skip(f"not run: {missing}")
    request.param.release()
    yield request.param
    request.param.release()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_target_answers_get_random(module: Any, family: Family) -> None:
    with closing(CLASSES[module](family)) as tpm:
        first, second = run(tpm, GET_RANDOM[family]), run(tpm, GET_RANDOM[family])
        assert code(first) == code(second) == 0
        assert first != second


@pytest.mark.parametrize("family", FAMILIES)
def test_the_descriptor_tells_when_the_command_is_over(module: Any, family: Family) -> None:
    with closing(CLASSES[module](family)) as tpm:
        poll = select.poll()
        poll.register(tpm.fileno(), select.POLLIN)
        assert not poll.poll(0)
        tpm.start(GET_RANDOM[family], 0)
        assert poll.poll(LIMIT * 1000)
        assert tpm.finished(0)
        tpm.result()
        assert not poll.poll(0)


def test_the_tpm_promises_no_more_than_fits_the_page(module: Any) -> None:
    maxima = build(0x8001, 0x17A, bytes.fromhex("00000006 0000011e 00000002"))
    with closing(CLASSES[module]()) as tpm:
        assert run(tpm, maxima).hex().endswith("0000011e00000ff80000011f00000ff8")


def test_locality_reaches_the_tpm(module: Any) -> None:
    expected = {0: RC_LOCALITY, 1: RC_LOCALITY, 2: 0, 3: RC_LOCALITY, 4: RC_LOCALITY}
    with closing(CLASSES[module]()) as tpm:
        assert {loc: code(run(tpm, pcr_reset(20), loc)) for loc in expected} == expected
        # PCR 16 may be reset from localities 0 to 3, so it is the locality that is refused.
        assert code(run(tpm, pcr_reset(16), 3)) == 0
        for beyond in (5, 31, 32, 255):
            assert code(run(tpm, pcr_reset(16), beyond)) == RC_LOCALITY


@pytest.mark.parametrize("family", FAMILIES)
def test_get_random_across_the_page(module: Any, family: Family, tmp_path: Path) -> None:
    backends = {Family.TPM20: module.backend, Family.TPM12: module.backend12}
    with joints(tmp_path, backends) as make:
        outcome = make(family).exchange(GET_RANDOM[family])
    assert outcome.outcome == "response"
    assert code(outcome.packet) == 0
