# SPDX-License-Identifier: MIT
"""
The reference frontend and backend as targets: in memory, and as programs.

``python -m conformance.targets.reference backend`` is a program that speaks
the process link, as any target in another language does.
"""

import sys

from conformance.targets import Target
from conformance.targets.standin import StandIn
from vtpm_ref.backend import Backend
from vtpm_ref.frontend import Frontend
from vtpm_ref.packet import Family
from vtpm_ref.xenbus import Place


def backend(place: Place, family: Family = Family.TPM20) -> Target:
    """The reference backend with a stand-in for a TPM."""
    machine = Backend(place, family=family)
    return Target("reference backend", machine, StandIn(family), family)


def frontend(place: Place) -> Target:
    """The reference frontend; it takes orders."""
    can = frozenset({"orders", "cancel", "locality"})
    return Target("reference frontend", Frontend(place), can=can)


if __name__ == "__main__":
    from conformance.adapter import serve

    sys.exit(serve({"backend": backend, "frontend": frontend}[sys.argv[1]]))
