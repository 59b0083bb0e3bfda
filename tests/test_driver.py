# SPDX-License-Identifier: MIT
"""What becomes of an order when nothing comes of it, and when that is."""

import contextlib
from pathlib import Path

from conformance.links.memory import EVIDENCE, MemoryLink
from conformance.recorder import Recorder
from conformance.run import header_of
from conformance.targets import reference
from conformance.tester import BackendTester
from vtpm_ref import packet
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


def test_who_was_told_how_long_commands_take_gives_up_by_itself(tmp_path: Path) -> None:
    """Of any other frontend the time has to be made to pass, and here nothing can do that."""
    header = header_of([Role.FRONTEND], link="memory", target="test", evidence=EVIDENCE)
    with contextlib.closing(Recorder(tmp_path / "trace.jsonl", header)) as recorder:
        link = MemoryLink(Role.FRONTEND, Place(), recorder, reference.frontend)
        link.start()
        tester = BackendTester(link.first)
        tester.prepare()
        assert not tester.expire()
        durations = packet.build(0xC1, 0x65, bytes.fromhex("00000005 00000004 00000120"))
        link.order("send", durations)  # which the tester has not ordered
        tester.exchange()
        assert tester.expire()
        link.stop()
