# SPDX-License-Identifier: MIT
"""A real TPM behind the reference backend: libtpms, both families, and a cancel that works."""

import os
import select
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from conformance import trace
from conformance.errors import AdapterError
from conformance.links.joint import Joint
from conformance.links.memory import EVIDENCE
from conformance.recorder import Recorder
from conformance.run import header_of
from conformance.targets import chip, libtpms, reference
from conformance.targets.libtpms import LibTpms
from vtpm_ref.packet import Family, PacketHeader, build, is_well_formed
from vtpm_ref.states import Role, State
from vtpm_ref.xenbus import Place

LIMIT = 60.0
MISSING = "not run: apt-get install libtpms0 tpm2-tools libtss2-tcti-cmd0"
needs_libtpms = pytest.mark.skipif(bool(libtpms.available()), reason=MISSING)

FAMILIES = (Family.TPM20, Family.TPM12)
GET_RANDOM = {
    Family.TPM20: build(0x8001, 0x17B, b"\x00\x10"),
    Family.TPM12: build(0xC1, 0x46, b"\x00\x00\x00\x10"),
}
CANCELED, RC_LOCALITY = 0x909, 0x907

OWNER = bytes.fromhex("40000001")
#: An empty password: size of the session area, handle, nonce, attributes, password.
PASSWORD = bytes.fromhex("00000009 40000009 0000 00 0000")


def sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def create_primary(unique: bytes) -> bytes:
    """CreatePrimary of an RSA-2048 storage key; each ``unique`` is another key."""
    public = bytes.fromhex("0001 000b 00030072 0000 0006 0080 0043 0010 0800 00000000")
    sensitive, outside, pcrs = sized(b"\0\0\0\0"), b"\0\0", b"\0\0\0\0"
    body = sensitive + sized(public + sized(unique)) + outside + pcrs
    return build(0x8002, 0x131, OWNER + PASSWORD + body)


def pcr_reset(index: int) -> bytes:
    return build(0x8002, 0x13D, index.to_bytes(4, "big") + PASSWORD)


def run(tpm: LibTpms, packet: bytes, locality: int = 0) -> bytes:
    tpm.start(packet, locality)
    assert tpm.finished(LIMIT)
    response = tpm.result()
    assert response is not None and is_well_formed(response)
    return response


def code(response: bytes) -> int:
    return PacketHeader.unpack(response).code


@pytest.fixture(autouse=True)
def released() -> Iterator[None]:
    libtpms.release()
    yield
    libtpms.release()


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[[Family], Joint]]:
    """Makes a reference frontend that is connected to a backend with libtpms."""
    recorders: list[Recorder] = []

    def make(family: Family) -> Joint:
        roles = (Role.FRONTEND, Role.BACKEND)
        header = header_of(roles, link="memory", target="test", evidence=EVIDENCE)
        recorders.append(Recorder(tmp_path / f"{len(recorders)}.jsonl", header))
        backend = libtpms.backend12 if family is Family.TPM12 else libtpms.backend
        joint = Joint(Place(), recorders[-1], reference.frontend, backend)
        joint.connect()
        return joint

    yield make
    for recorder in recorders:
        recorder.close()


def test_the_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chip, "LIBRARY", "libtpms-is-not-here.so.0")
    assert libtpms.available() == "apt-get install libtpms0"
    with pytest.raises(AdapterError, match="apt-get install libtpms0"):
        chip.Chip()


@needs_libtpms
@pytest.mark.parametrize("family", [*FAMILIES, *FAMILIES])
def test_a_fresh_target_answers_get_random(family: Family) -> None:
    with closing(LibTpms(family)) as tpm:
        first, second = run(tpm, GET_RANDOM[family]), run(tpm, GET_RANDOM[family])
        assert code(first) == code(second) == 0
        assert first != second


@needs_libtpms
def test_a_second_one_is_refused_until_the_first_is_closed() -> None:
    with closing(LibTpms()), pytest.raises(AdapterError, match="one TPM a process"):
        LibTpms()
    LibTpms().close()


@needs_libtpms
@pytest.mark.parametrize("family", FAMILIES)
def test_the_descriptor_tells_when_the_command_is_over(family: Family) -> None:
    with closing(LibTpms(family)) as tpm:
        poll = select.poll()
        poll.register(tpm.fileno(), select.POLLIN)
        assert not poll.poll(0)
        tpm.start(GET_RANDOM[family], 0)
        assert poll.poll(LIMIT * 1000)
        assert tpm.finished(0)
        tpm.result()
        assert not poll.poll(0)


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
def test_the_tpm_promises_no_more_than_fits_the_page() -> None:
    maxima = build(0x8001, 0x17A, bytes.fromhex("00000006 0000011e 00000002"))
    with closing(LibTpms()) as tpm:
        assert run(tpm, maxima).hex().endswith("0000011e00000ff80000011f00000ff8")


@needs_libtpms
def test_locality_reaches_the_tpm() -> None:
    expected = {0: RC_LOCALITY, 1: RC_LOCALITY, 2: 0, 3: RC_LOCALITY, 4: RC_LOCALITY}
    with closing(LibTpms()) as tpm:
        assert {loc: code(run(tpm, pcr_reset(20), loc)) for loc in expected} == expected
        # PCR 16 may be reset from localities 0 to 3, so it is the locality that is refused.
        assert code(run(tpm, pcr_reset(16), 3)) == 0
        for beyond in (5, 31, 32, 255):
            assert code(run(tpm, pcr_reset(16), beyond)) == RC_LOCALITY


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


@needs_libtpms
def test_a_state_that_is_none_is_refused() -> None:
    with pytest.raises(AdapterError, match="libtpms does not start"):
        LibTpms(nvram={"permall": b"nonsense"})
    LibTpms().close()


@needs_libtpms
def test_closing_while_a_command_runs() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(4):
        tpm = LibTpms()
        tpm.start(create_primary(b"close %d" % number), 0)
        tpm.close()
    assert len(os.listdir("/proc/self/fd")) == before


@needs_libtpms
@pytest.mark.parametrize("family", FAMILIES)
def test_get_random_across_the_page(connect: Callable[[Family], Joint], family: Family) -> None:
    outcome = connect(family).exchange(GET_RANDOM[family])
    assert outcome.outcome == "response"
    assert code(outcome.packet) == 0


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


def states(path: Path) -> list[tuple[str, int]]:
    """Who stored which state, in a trace."""
    stores = [event for event in trace.TraceReader(path) if isinstance(event, trace.Store)]
    return [(e.by, int(e.data, 16)) for e in stores if e.at == 4 and len(e.data) == 2]
