# SPDX-License-Identifier: MIT
"""Real TPMs in tests: commands written by hand, how one is run, and what a trace of it says."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from conformance import trace
from conformance.links.joint import Joint
from conformance.links.memory import EVIDENCE
from conformance.recorder import Recorder
from conformance.run import header_of
from conformance.targets import Target, reference
from conformance.targets.libtpms import LibTpms
from conformance.targets.swtpm import Swtpm
from vtpm_ref.packet import Family, PacketHeader, build, is_well_formed
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

#: Seconds that a command may take.
LIMIT = 60.0

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
    """As the TPM wants a buffer: its size in two bytes, and it."""
    return len(data).to_bytes(2, "big") + data


def create_primary(unique: bytes) -> bytes:
    """CreatePrimary of an RSA-2048 storage key; each ``unique`` is another key."""
    public = bytes.fromhex("0001 000b 00030072 0000 0006 0080 0043 0010 0800 00000000")
    sensitive, outside, pcrs = sized(b"\0\0\0\0"), b"\0\0", b"\0\0\0\0"
    body = sensitive + sized(public + sized(unique)) + outside + pcrs
    return build(0x8002, 0x131, OWNER + PASSWORD + body)


def pcr_reset(index: int) -> bytes:
    """PCR_Reset, which depends on the locality."""
    return build(0x8002, 0x13D, index.to_bytes(4, "big") + PASSWORD)


def run(tpm: LibTpms | Swtpm, packet: bytes, locality: int = 0) -> bytes:
    """The response to one command."""
    tpm.start(packet, locality)
    assert tpm.finished(LIMIT)
    response = tpm.result()
    assert response is not None and is_well_formed(response)
    return response


def code(response: bytes) -> int:
    """The response code."""
    return PacketHeader.unpack(response).code


def states(path: Path) -> list[tuple[str, int]]:
    """Who stored which state, in a trace."""
    stores = [event for event in trace.TraceReader(path) if isinstance(event, trace.Store)]
    return [(e.by, int(e.data, 16)) for e in stores if e.at == 4 and len(e.data) == 2]


@contextmanager
def joints(
    folder: Path, backends: Mapping[Family, Callable[[Place], Target]]
) -> Iterator[Callable[[Family], Joint]]:
    """Makes reference frontends, each connected to one of ``backends``, traces in ``folder``."""
    recorders: list[Recorder] = []

    def make(family: Family) -> Joint:
        roles = (Role.FRONTEND, Role.BACKEND)
        header = header_of(roles, link="memory", target="test", evidence=EVIDENCE)
        recorders.append(Recorder(folder / f"{len(recorders)}.jsonl", header))
        joint = Joint(Place(), recorders[-1], reference.frontend, backends[family])
        joint.connect()
        return joint

    yield make
    for recorder in recorders:
        recorder.close()
