# SPDX-License-Identifier: MIT
"""
The reference frontend and backend as targets: in memory, and as programs.

``python -m conformance.targets.reference backend`` is a program that speaks
the process link, as any target in another language does.
"""

import sys

from conformance.driver import Tpm
from conformance.targets import Target
from conformance.targets.shared import SharedTpm
from conformance.targets.standin import StandIn
from vtpm_ref.backend import Backend
from vtpm_ref.frontend import Frontend
from vtpm_ref.packet import Family
from vtpm_ref.xenbus import Place

#: What the reference backend can do, as the adapter page names it.
CAN = frozenset({"cancel", "close", "reconnect", "many"})


def backend(place: Place, family: Family = Family.TPM20) -> Target:
    """The reference backend with a stand-in for a TPM."""
    return served_by(StandIn(family), "reference backend", place)


def served_by(tpm: Tpm, name: str, place: Place) -> Target:
    """The reference backend with ``tpm`` behind it, for as many frontends as there are."""
    shared = SharedTpm(tpm)

    def one(place: Place) -> Target:
        machine = Backend(place, family=tpm.family)
        return Target(name, machine, shared.seat(), tpm.family, CAN, one)

    return one(place)


def frontend(place: Place) -> Target:
    """The reference frontend; it takes orders."""
    can = frozenset({"orders", "cancel", "locality", "close", "reconnect"})
    return Target("reference frontend", Frontend(place), can=can)


if __name__ == "__main__":
    from conformance.adapter import serve

    sys.exit(serve({"backend": backend, "frontend": frontend}[sys.argv[1]]))
