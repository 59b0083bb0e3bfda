# SPDX-License-Identifier: MIT
"""
The judge between the driver of Linux and the reference backend, on real Xen.

``python -m conformance.lab.between FOLDER`` has the guest's tools use the TPM, and
leaves a trace of each half in FOLDER, for ``vtpm-conformance check``.
"""

import argparse
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any

from conformance.lab import build, tools
from conformance.lab.session import opened
from conformance.lab.targets import PYTHON
from conformance.links import xen
from conformance.run import header_of
from conformance.watching import REDACTED, trace_paths
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

_RUN = "conformance.lab.inside.between:run"

#: The reference backend, but for one frontend only: the driver's is the judge's to serve.
_BACKEND = shlex.join(
    [
        *(*PYTHON, "-c"),
        "from dataclasses import replace\n"
        "from conformance.adapter import serve\n"
        "from conformance.targets.libtpms import backend\n"
        "serve(lambda place: replace(backend(place), another=None))",
    ]
)


def run(folder: Path, questions: list[dict[str, Any]], *, log: bool = True) -> list[dict[str, Any]]:
    """
    Have the guest do something, and write the traces of both halves into ``folder``.

    :param questions: messages for the guest's agent, or ``{"do": "close"}`` and
        ``{"do": "reconnect"}`` for its driver.
    :param log: whether xenstored's log is read; without, nodes are seen as on a host
        that writes none.
    :return: what the guest told.
    :raises LabError: there is no lab, or the two do not connect.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with opened(build.default(), folder / "console.log") as session:
        places = {Role.FRONTEND: Place(session.guest, 0, 0), Role.BACKEND: Place(0, 0, 0)}
        names = {Role.FRONTEND: "front", Role.BACKEND: "back"}
        headers = {
            names[role]: header_of(
                [role],
                link="watch",
                target="xen-tpmfront of Linux and the reference backend",
                evidence=xen.evidence(role, log=log) | REDACTED,
                place=place,
            )
            for role, place in places.items()
        }
        said, data = session.call(
            *(_RUN, tools.LIMIT),
            domid=session.guest,
            command=_BACKEND,
            programs=questions,
            headers=headers,
            log=log,
        )
    paths = trace_paths(folder)
    paths[Role.FRONTEND].write_bytes(data[: said["split"]])
    paths[Role.BACKEND].write_bytes(data[said["split"] :])
    return list(said["told"])


def main() -> int:
    """Run the tools; return the exit code."""
    parser = argparse.ArgumentParser(description="judge between Linux and the reference backend")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    return tools.show("between", partial(run, options.folder))


if __name__ == "__main__":
    sys.exit(main())
