# SPDX-License-Identifier: MIT
"""A real TPM behind the reference backend: libtpms, both families, and a cancel that works."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from conformance import engine
from conformance.errors import AdapterError
from conformance.links.joint import Joint
from conformance.report.results import Exit
from conformance.select import select
from conformance.subjects import python_object
from conformance.targets import Target, chip, libtpms
from conformance.targets.libtpms import LibTpms
from conformance.targets.reference import served_by
from conformance.tester import is_slow
from tests.tpm import (
    CANCELED,
    GET_RANDOM,
    LIMIT,
    OWNER,
    PASSWORD,
    code,
    create_primary,
    joints,
    run,
    sized,
    states,
)
from vtpm_ref.packet import Family, build
from vtpm_ref.states import Role, State
from vtpm_ref.xenbus import Place

MISSING = "not run: apt-get install libtpms0 tpm2-tools libtss2-tcti-cmd0"
needs_libtpms = pytest.mark.skipif(bool(libtpms.available()), reason=MISSING)


@pytest.fixture(autouse=True)
def released() -> Iterator[None]:
    libtpms.release()
    yield
    libtpms.release()


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[[Family], Joint]]:
    """Makes a reference frontend that is connected to a backend with libtpms."""
    with joints(tmp_path, {Family.TPM20: libtpms.backend, Family.TPM12: libtpms.backend12}) as make:
        yield make


def test_the_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chip, "LIBRARY", "libtpms-is-not-here.so.0")
    assert libtpms.available() == "apt-get install libtpms0"
    with pytest.raises(AdapterError, match="apt-get install libtpms0"):
        chip.Chip()


@needs_libtpms
def test_a_second_one_is_refused_until_the_first_is_closed() -> None:
    with closing(LibTpms()), pytest.raises(AdapterError, match="one TPM a process"):
        LibTpms()
    LibTpms().close()


@needs_libtpms
@pytest.mark.parametrize(
    "packet",
    [b"", b"\x80\x01", build(0x8001, 0x17B)[:-1], build(0x8001, 0x17B, bytes(4079))],
    ids=["empty", "no header", "wrong size", "too large"],
)
def test_what_is_no_packet_is_refused(packet: bytes) -> None:
    with closing(LibTpms()) as tpm:
        assert code(run(tpm, packet)) == 0x142  # TPM_RC_COMMAND_SIZE
        assert code(run(tpm, GET_RANDOM[Family.TPM20])) == 0


@needs_libtpms
def test_state_survives_close_and_open() -> None:
    index = bytes.fromhex("01800001")
    public = index + bytes.fromhex("000b 02040004") + sized(b"") + b"\0\4"
    define = build(0x8002, 0x12A, OWNER + PASSWORD + sized(b"") + sized(public))
    write = build(0x8002, 0x137, index * 2 + PASSWORD + sized(b"kept") + b"\0\0")
    read = build(0x8002, 0x14E, index * 2 + PASSWORD + b"\0\4\0\0")
    with closing(LibTpms(nvram={})) as tpm:
        assert code(run(tpm, define)) == code(run(tpm, write)) == 0
        stored = tpm.nvram
    with closing(LibTpms(nvram=stored)) as tpm:
        assert b"kept" in run(tpm, read)
    with closing(LibTpms()) as tpm:
        assert code(run(tpm, read)) != 0


@needs_libtpms
def test_state_of_a_12_survives_close_and_open() -> None:
    index = bytes.fromhex("00011600")
    pcrs = bytes.fromhex("0003 000000 1f") + bytes(20)
    public = b"\0\x18" + index + pcrs * 2 + bytes.fromhex("0017 00000001 000000 00000004")
    define = build(0xC1, 0xCC, public + bytes(20))
    read = build(0xC1, 0xCF, index + bytes.fromhex("00000000 00000004"))
    with closing(LibTpms(Family.TPM12)) as tpm:
        assert code(run(tpm, read)) == 2  # TPM_BADINDEX
        assert code(run(tpm, define)) == 0
        stored = tpm.nvram
    with closing(LibTpms(Family.TPM12, stored)) as tpm:
        assert code(run(tpm, read)) == 0
    with closing(LibTpms(Family.TPM12)) as tpm:
        assert code(run(tpm, read)) == 2


class Interrupting(dict[str, bytes]):
    """A state in whose loading ^C comes."""

    def get(self, name: str, default: Any = None) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return super().get(name, default)


@needs_libtpms
def test_ctrl_c_is_not_lost_in_a_callback() -> None:
    """Python would drop it where libtpms calls back in the main thread."""
    with pytest.raises(KeyboardInterrupt):
        LibTpms(nvram=Interrupting())
    LibTpms().close()


class Slow(LibTpms):
    """Takes its time for an RSA key, as hardware does, and cannot be stopped."""

    def execute(self, packet: bytes, locality: int) -> bytes:
        if is_slow(packet):
            time.sleep(0.8)
        return super().execute(packet, locality)


@needs_libtpms
def test_a_state_that_is_none_is_refused() -> None:
    with pytest.raises(AdapterError, match="libtpms does not start"):
        LibTpms(nvram={"permall": b"nonsense"})
    LibTpms().close()


@needs_libtpms
def test_a_slow_tpm_is_judged_as_any_other(tmp_path: Path) -> None:
    """Four times as long as the limit for what every TPM does at once."""

    given: list[Slow] = []

    def make(place: Place) -> Target:
        while given:
            given.pop().close()
        given.append(Slow())
        return served_by(given[0], "slow", place)

    subject = python_object(Role.BACKEND, "slow", make)
    result = engine.run(subject, select([Role.BACKEND], ["*/in-command"]), tmp_path, scale=0.1)
    given[0].close()
    assert (result.exit_code, result.broken()) == (Exit.OK, [])


@needs_libtpms
def test_closing_while_a_command_runs() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(4):
        tpm = LibTpms()
        tpm.start(create_primary(b"close %d" % number), 0)
        tpm.close()
    assert len(os.listdir("/proc/self/fd")) == before


@needs_libtpms
def test_a_running_command_is_cancelled_across_the_page(
    connect: Callable[[Family], Joint],
) -> None:
    joint = connect(Family.TPM20)
    cancelled = tries = 0
    while not cancelled and tries < 50:
        tries += 1
        order = joint.order("send", create_primary(b"cancel %d" % tries))
        assert joint.wait(lambda: joint.working, LIMIT, "a TPM that works")
        joint.order("cancel")
        outcome = joint.outcome(order)
        assert outcome.outcome == "response"
        assert code(outcome.packet) in (0, CANCELED)
        cancelled += code(outcome.packet) == CANCELED
        # A cancel that came too late has done nothing to the next command.
        assert code(joint.exchange(GET_RANDOM[Family.TPM20]).packet) == 0
        if code(outcome.packet) == 0:
            flush = build(0x8001, 0x165, outcome.packet[10:14])
            assert code(joint.exchange(flush).packet) == 0
    assert cancelled
    joint.recorder.close()
    assert states(joint.recorder.path).count(("frontend", State.CANCEL)) == tries
