# SPDX-License-Identifier: MIT
"""
Runs in dom0: plays one case next to the devices, and leaves its trace.

Standard library only.
"""

from contextlib import closing
from pathlib import Path
from typing import Any

from conformance import play as playing
from conformance.cases import CASES
from conformance.errors import AdapterError
from conformance.links.xen import XenLink
from conformance.links.xen_devices import StoreClient
from conformance.links.xen_peers import ConsolePeer, Peer, ProgramPeer
from conformance.recorder import Recorder
from conformance.tester import BackendTester
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

#: An emulated machine shares its processor, so what a target owes may take longer.
EMULATED = 3.0

#: Seconds, before the multiplier, until a guest has taken notice of its device.
NOTICE_LIMIT = 10.0

#: Where the init script lets xenstored write its trace log.
STORE_LOG = Path("/tmp/xenstored.log")


def play(request: dict[str, Any], out: Path) -> dict[str, Any]:
    """
    Play the case that ``request`` names, with its trace in ``out``; without one, only start.

    :return: ``skipped``, in words why the case does not apply, empty if it was played;
        ``disorder``, whether the target can take no further case; ``agent``, whether it
        has said meanwhile that it takes orders.
    :raises AdapterError: the target does not start.
    """
    header = request["header"]
    place = Place(header["frontend"], header["backend"], header["device"])
    with closing(Recorder(out, header)) as recorder:
        peer = make_peer(request["peer"])
        scale = float(request["scale"]) * EMULATED
        log = STORE_LOG if request["log"] else None
        link = XenLink(Role(request["role"]), place, recorder, peer, scale, log)
        try:
            playing.start(link)
            case = request["case"]
            skipped = playing.play(CASES[case], link, scale) if case else ""
            if not case and not request["peer"]["speaks"]:
                _wait_notice(link, peer, NOTICE_LIMIT * scale)
        finally:
            link.stop()
    ended = request["peer"]["kind"] != "program" and link.exited is not None
    return {"skipped": skipped, "disorder": ended or link.disorder, "agent": peer.has_agent}


def make_peer(words: dict[str, Any]) -> Peer:
    """
    The target that the host has named.

    :raises AdapterError: there is no such guest.
    """
    if words["kind"] == "program":
        return ProgramPeer(words["command"])
    store = StoreClient(lambda path, token: None)
    console = store.read(f"/local/domain/{words['domid']}/console/tty")
    store.close()
    if console is None:
        raise AdapterError(f"domain {words['domid']} is not there, or has no console")
    return ConsolePeer(console, comes_first=words["kind"] == "linux", speaks=words["speaks"])


def _wait_notice(link: XenLink, peer: Peer, limit: float) -> None:
    """
    Wait until a guest without an agent has written something for its device, or has one.

    :raises AdapterError: it has not within ``limit`` seconds, or has ended.
    """
    role, device = link.judged, link.first
    if role is Role.FRONTEND:
        BackendTester(device).announce()  # it may wait for that

    def noticed() -> bool:
        return peer.has_agent or device.read(role, "state") != "1"

    if not device.wait(noticed, limit, "notice of the device"):
        how = f"has ended: {link.exited}" if link.exited else "does not take notice of its device"
        path = device.place.path(role, "state")
        raise AdapterError(
            f"the guest {how}: {path} stayed 1 for {limit:g} s; did it hang on the way up?"
        )
