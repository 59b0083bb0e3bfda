# SPDX-License-Identifier: MIT
"""
Runs in dom0: the judge stands between the Linux guest's driver and a backend program.
"""

from contextlib import closing
from pathlib import Path
from typing import Any

from conformance.lab.inside.case import EMULATED, STORE_LOG, make_peer
from conformance.links.xen import XenLink
from conformance.links.xen_peers import ConsolePeer, ProgramPeer
from conformance.watching import RedactingRecorder, Watcher, between
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

#: Seconds until both are connected, and for each program of the guest.
CONNECT_LIMIT, RUN_LIMIT = 60.0, 90.0


def run(request: dict[str, Any], out: Path) -> dict[str, Any]:
    """
    Let the guest run ``programs`` while the backend ``command`` serves it, through the judge.

    In between, an order for the driver (``do``) closes and opens the connection.

    :return: ``told``, what each printed, or an order's ``outcome``; ``split``, how many
        bytes of what is left behind are the trace of the frontend's half, the rest being
        the backend's.
    :raises AdapterError: one of them does not connect.
    """
    traces = [Path("/tmp/front"), Path("/tmp/back")]
    recorders = [RedactingRecorder(path, request["headers"][path.name]) for path in traces]
    try:
        with closing(recorders[0]), closing(recorders[1]):
            told = _between(request, recorders)
    finally:
        out.write_bytes(b"".join(path.read_bytes() for path in traces))
    return {"told": told, "split": traces[0].stat().st_size}


def _between(request: dict[str, Any], recorders: list[RedactingRecorder]) -> list[dict[str, Any]]:
    """Start both, stand between them, and end both."""
    guest = make_peer({"kind": "linux", "domid": request["domid"], "speaks": True})
    assert isinstance(guest, ConsolePeer)
    program = ProgramPeer(request["command"])
    front_place, back_place = Place(int(request["domid"]), 0, 0), Place(0, 0, 0)
    log = STORE_LOG if request["log"] else None
    front = XenLink(Role.FRONTEND, front_place, recorders[0], guest, EMULATED, log)
    back = XenLink(Role.BACKEND, back_place, recorders[1], program, EMULATED, log)
    with between(front, back, CONNECT_LIMIT) as watcher:
        return [
            _order(watcher, front, words["do"]) if "do" in words else _ask(watcher, guest, words)
            for words in request["programs"]
        ]


def _ask(watcher: Watcher, guest: ConsolePeer, words: dict[str, Any]) -> dict[str, Any]:
    number = guest.ask(words)
    watcher.serve(lambda: number in guest.told, RUN_LIMIT)
    return guest.told.get(number, {"status": 124, "stdout": "", "stderr": "did not end in time"})


def _order(watcher: Watcher, front: XenLink, do: str) -> dict[str, Any]:
    """Have the driver ``close`` or ``reconnect``, and see it through on both halves."""
    number, meeting = front.order(do), watcher.meeting

    def done() -> bool:
        return number in front.results and (meeting.apart if do == "close" else meeting.together)

    watcher.serve(done, RUN_LIMIT)
    return {"outcome": front.results[number].outcome if done() else "did not end in time"}
