# SPDX-License-Identifier: MIT
"""What becomes of an order when nothing comes of it."""

from pathlib import Path

from conformance.links.memory import EVIDENCE, MemoryLink
from conformance.recorder import Recorder
from conformance.run import header_of
from conformance.targets import reference
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place, XenbusState


def test_a_reconnect_that_is_given_up_is_reported(tmp_path: Path) -> None:
    """The backend holds an earlier page and never lets go; the frontend's deadline passes."""
    place, role = Place(), Role.FRONTEND
    header = header_of([role], link="memory", target="test", evidence=EVIDENCE)
    link = MemoryLink(role, place, Recorder(tmp_path / "trace.jsonl", header), reference.frontend)
    holds = str(int(XenbusState.CONNECTED))
    link.store_.write(place.backend_id, place.path(Role.BACKEND, "state"), holds)
    link.start()
    order = link.order("reconnect")
    link.settle(link.first, 1.0)
    assert order not in link.results
    assert link.expire()
    link.settle(link.first, 1.0)
    assert link.results[order].outcome == "timed-out"
    link.stop()
    link.recorder.close()
