# SPDX-License-Identifier: MIT
"""Cases of the page on xenstore nodes."""

from conformance.cases.base import backend_case, frontend_case
from conformance.tester import BackendTester, FrontendTester


@backend_case("nodes.own-directory/connect-backend")
@backend_case("nodes.state-number/connect-backend")
@backend_case("nodes.listed-only/connect")
def _connect_backend(t: FrontendTester) -> None:
    """Connecting with the listed nodes and no others; what was written on the way counts."""
    t.prepare()
    t.stimulus()
    t.fence()


@frontend_case("nodes.own-directory/connect-frontend")
@frontend_case("nodes.state-number/connect-frontend")
def _connect_frontend(t: BackendTester) -> None:
    """Connecting with the listed nodes and no others; what was written on the way counts."""
    t.prepare()
    t.stimulus()
    t.fence()
