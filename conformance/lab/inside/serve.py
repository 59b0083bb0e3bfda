# SPDX-License-Identifier: MIT
"""
Runs in dom0: a backend program serves the Linux guest, whose own programs use its TPM.

Nobody plays a part here: the driver meets the program, and the judge only looks on.
"""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from conformance.errors import AdapterError
from conformance.lab.inside.case import EMULATED, STORE_LOG, make_peer
from conformance.links.xen import XenLink
from conformance.links.xen_peers import ConsolePeer, ProgramPeer
from conformance.recorder import Recorder
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

#: Seconds until the driver has connected, and for one program.
CONNECT_LIMIT, RUN_LIMIT = 60.0, 90.0


def run(request: dict[str, Any], out: Path) -> list[dict[str, Any]]:
    """
    Start the backend ``command``, and have the guest run each of ``programs``.

    :return: what each of them printed, and how it ended.
    :raises AdapterError: they do not connect.
    """
    place = Place(int(request["domid"]), 0, 0)
    guest = make_peer({"kind": "linux", "domid": request["domid"], "speaks": True})
    assert isinstance(guest, ConsolePeer)
    backend = ProgramPeer(request["command"])
    with closing(Recorder(out, {})) as recorder:
        link = XenLink(Role.FRONTEND, place, recorder, guest, EMULATED, STORE_LOG)
        try:
            link.start()
            backend.start(Role.BACKEND, place, recorder, EMULATED)

            def connected() -> bool:
                return link.first.read(Role.FRONTEND, "state") == "4"

            _wait(connected, CONNECT_LIMIT, "the driver to connect", backend)
            return [_run(guest, words, backend) for words in request["programs"]]
        finally:
            backend.stop()
            link.stop()


def _run(guest: ConsolePeer, words: dict[str, Any], backend: ProgramPeer) -> dict[str, Any]:
    number = guest.ask(words)

    def answered() -> bool:
        guest.take()
        return number in guest.told

    _wait(answered, RUN_LIMIT, "the guest to report", backend)
    return guest.told[number]


def _wait(ready: Callable[[], bool], limit: float, awaited: str, backend: ProgramPeer) -> None:
    deadline = time.monotonic() + limit
    while not ready():
        backend.take()
        if backend.exited is not None:
            raise AdapterError(f"the backend has ended: {backend.exited}")
        if time.monotonic() > deadline:
            raise AdapterError(f"waited {limit:g} s for {awaited}: in vain")
        time.sleep(0.005)
