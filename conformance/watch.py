# SPDX-License-Identifier: MIT
"""
``vtpm-conformance watch``: between a frontend and a backend of this Xen host.
"""

from contextlib import closing
from pathlib import Path

from conformance.errors import LabError, UsageError
from conformance.links import xen, xen_devices
from conformance.links.xen_peers import Peer
from conformance.recorder import Recorder
from conformance.run import header_of
from conformance.watching import REDACTED, RedactingRecorder, between, trace_paths
from vtpm_ref.states import Role
from vtpm_ref.steps import parse_number
from vtpm_ref.xenbus import Place

#: Seconds until both have connected.
CONNECT_LIMIT = 60.0


def device(name: str) -> tuple[int, int]:
    """
    The domid and the device's number in ``DOMID`` or ``DOMID/DEVICE``.

    :raises UsageError: it is neither.
    """
    domid, _, number = name.partition("/")
    found = parse_number(domid), parse_number(number or "0")
    if found[0] is None or found[1] is None:
        raise UsageError(f"{name}: expected DOMID or DOMID/DEVICE, in decimal digits")
    return found[0], found[1]


def run(
    frontend: str, backend: str, folder: Path, *, seconds: float, bodies: bool = False
) -> list[Path]:
    """
    Hand on what both do for ``seconds``, or until interrupted; return both traces.

    :param bodies: record what the TPM packets say, too.
    :raises AdapterError: this is no Xen host, or one of the two does not connect.
    :raises Interrupted: before both have connected.
    """
    ours = xen_devices.own_domid()
    front, back = device(frontend), device(backend)
    places = {
        Role.FRONTEND: Place(front[0], ours, front[1]),
        Role.BACKEND: Place(ours, back[0], back[1]),
    }
    if front[0] == back[0]:
        raise UsageError("frontend and backend are in one domain: there is nothing between them")
    paths, kind = trace_paths(folder), Recorder if bodies else RedactingRecorder
    recorders = {
        role: kind(
            paths[role],
            header_of(
                [role],
                link="watch",
                target=f"frontend {frontend} and backend {backend}",
                evidence=xen.evidence(role, log=False) | ({} if bodies else REDACTED),
                place=places[role],
            ),
        )
        for role in Role
    }
    with closing(recorders[Role.FRONTEND]), closing(recorders[Role.BACKEND]):
        links = {role: xen.XenLink(role, places[role], recorders[role], Peer()) for role in Role}
        _serve(links, seconds)
    return [paths[role] for role in Role]


def _serve(links: dict[Role, xen.XenLink], seconds: float) -> None:
    try:
        with between(links[Role.FRONTEND], links[Role.BACKEND], CONNECT_LIMIT) as watcher:
            watcher.serve(lambda: False, seconds)
    except KeyboardInterrupt:
        pass  # the usual end; what was recorded is judged
    except OSError as error:
        raise LabError(f"Xen refuses: {error.strerror}") from error
