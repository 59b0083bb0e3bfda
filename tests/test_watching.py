# SPDX-License-Identifier: MIT
"""
Between the two reference machines: what the judge hands on when a connection ends.

Both halves are recorded with all that happens, and judged for both roles: so what the
judge itself does in between has to keep the clauses, too.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from conformance.errors import Interrupted
from conformance.links.memory import EVIDENCE, MemoryLink
from conformance.links.xen import XenLink
from conformance.recorder import Recorder
from conformance.run import header_of, judge_file
from conformance.targets import reference
from conformance.tester.commands import get_random
from conformance.watching import Watcher, between
from vtpm_ref.packet import Family
from vtpm_ref.states import BACKEND, FRONTEND, Role
from vtpm_ref.xenbus import Place

#: What a wait of the judge can take, in steps of it.
MOST_STEPS = 100


class Half(MemoryLink):
    """A target in memory that goes on, until it rests, whenever the judge looks."""

    def fds(self) -> list[int]:
        """There is nothing to wait for."""
        return []

    def pump(self) -> None:
        """Let it go on."""
        self.settle(self.first, 0)

    def die(self) -> None:
        """A backend ends without a word; ``start`` puts another in its place."""
        self.stop()
        for path in (self.place.path(FRONTEND, "state"), self.place.path(BACKEND, "online")):
            self.store_.unwatch(self.place.backend_id, path, path)
        self.recorder.event("exit", how="killed")

    def state(self, role: Role) -> str | None:
        """The state node of ``role``, as nobody's read."""
        return self.store_._nodes.get(self.place.path(role, "state"))


class Between:
    """Both halves and the judge, with the steps of a test."""

    def __init__(self, folder: Path) -> None:
        self.paths = {role: folder / f"{role.value}.jsonl" for role in Role}
        self.recorders = {
            role: Recorder(path, header_of(Role, link="memory", target="both", evidence=EVIDENCE))
            for role, path in self.paths.items()
        }
        make = {FRONTEND: reference.frontend, BACKEND: reference.backend}
        self.front, self.back = (
            Half(role, Place(), self.recorders[role], make[role]) for role in Role
        )
        self.watcher: Watcher

    def links(self) -> tuple[XenLink, XenLink]:
        """Both halves, for the judge, who asks nothing of them but what any link has."""
        return cast(XenLink, self.front), cast(XenLink, self.back)

    def until(self, ready: Callable[[], bool]) -> None:
        """Let the judge go on until ``ready()``."""
        for _ in range(MOST_STEPS):
            if ready():
                return
            self.watcher.step(0)
        pytest.fail("the judge rests")

    def order(self, do: str, packet: bytes = b"") -> str:
        """Give the frontend an order and let the judge see it through; its outcome."""
        number = self.front.order(do, packet)
        self.until(lambda: number in self.front.results)
        return self.front.results[number].outcome

    def exchange(self) -> str:
        """The outcome of a command that any TPM answers."""
        return self.order("send", get_random(Family.TPM20))

    def states(self) -> list[str | None]:
        """Frontend and judge, judge and backend."""
        return [half.state(role) for half in (self.front, self.back) for role in Role]

    def broken(self) -> dict[Role, frozenset[str]]:
        """What the traces of both halves say, when they are over."""
        for recorder in self.recorders.values():
            recorder.close()
        return {role: judge_file(path).broken for role, path in self.paths.items()}


NONE = {role: frozenset[str]() for role in Role}


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Between]:
    """Both, connected."""
    made = Between(tmp_path)
    with between(*made.links(), 5.0) as watcher:
        made.watcher = watcher
        yield made


def test_the_frontend_closes_and_comes_back(both: Between) -> None:
    """Its Closed reaches the backend, and its new page gets a new one there."""
    assert both.exchange() == "response"
    assert both.order("close") == "closed"
    both.until(lambda: both.watcher.meeting.apart)
    assert both.states() == ["6", "2", "6", "2"]
    first = both.back.first.port
    assert both.order("reconnect") == "connected"
    assert both.states()[1::2] == ["4", "4"] and both.back.first.port != first == 0
    assert both.exchange() == "response"
    assert both.broken() == NONE


def test_the_backend_closes_and_offers_itself_again(both: Between) -> None:
    """It waits for the frontend, who knows nothing but the judge."""
    assert both.exchange() == "response"
    both.back.order("close")
    both.until(lambda: both.states() == ["6", "6", "6", "6"])
    both.back.order("reconnect")
    both.until(lambda: both.watcher.meeting.apart)
    assert both.order("reconnect") == "connected"
    assert both.exchange() == "response"
    assert both.broken() == NONE


def test_the_backend_restarts(both: Between) -> None:
    """The frontend goes on with its page, and so does the judge with its own."""
    assert both.exchange() == "response"
    page = both.back.first.gref, both.front.first.gref
    both.back.die()
    both.back.start()
    assert both.exchange() == "response"
    assert (both.back.first.gref, both.front.first.gref) == page
    assert both.broken() == NONE


def test_a_frontend_that_is_gone(both: Between) -> None:
    """Its node is removed; the backend learns of it as of a close, and offers the device again."""
    assert both.exchange() == "response"
    path = both.front.place.path(FRONTEND, "state")
    both.front.store_.remove(both.front.place.frontend_id, path)
    both.until(lambda: both.watcher.meeting.apart)
    assert both.states() == [None, "2", "6", "2"]
    assert both.broken() == NONE


def test_a_frontend_that_begins_anew_without_a_close(both: Between) -> None:
    """The backend sees the old life end before it is given the page of the new one."""
    assert both.exchange() == "response"
    first, path = both.front.first, both.front.place.path
    both.front.stop()
    new = both.front.grant(first, FRONTEND), both.front.bind(first, FRONTEND, 0, None)
    for name, value in zip(("ring-ref", "event-channel", "state"), (*new, 3), strict=True):
        both.front.store_.write(1, path(FRONTEND, name), str(value))
    both.until(lambda: first.gref == new[0])
    assert both.states() == ["3", "2", "3", "2"]
    both.until(lambda: both.states() == ["3", "4", "4", "4"])
    assert both.back.first.page is not None and both.broken()[BACKEND] == set()


def test_a_request_that_comes_while_the_backend_is_away(both: Between) -> None:
    """
    Nobody has run it; the frontend is told so when the backend is there again.

    Meanwhile the judge is without the frontend's page, as the backend is.
    """
    assert both.exchange() == "response"
    both.back.die()
    both.back.store_.write(0, both.back.place.path(BACKEND, "state"), "2")
    both.until(lambda: both.front.state(BACKEND) == "2")
    number = both.front.order("send", get_random(Family.TPM20))
    for _ in range(MOST_STEPS):
        both.watcher.step(0)
    assert number not in both.front.results
    both.back.start()
    both.until(lambda: number in both.front.results)
    assert both.front.results[number].outcome == "cancelled"
    assert both.exchange() == "response"
    assert both.broken() == NONE | {FRONTEND: {"closing.backend-waits"}}


def test_a_page_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The frontend is shown Closed, and follows; the backend has heard of nothing."""
    monkeypatch.setattr(Half, "map", lambda *_: False)
    made = Between(tmp_path)
    for link in made.links():
        link.start()
    made.watcher = Watcher(*made.links())
    made.until(lambda: made.front.state(BACKEND) == "6")
    made.until(lambda: made.watcher.meeting.apart)
    assert made.states() == ["6", "2", "1", "2"]


def test_the_end_before_both_have_connected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever interrupts it is told that there is nothing to judge."""

    def interrupted(half: Half) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Half, "pump", interrupted)
    made = Between(tmp_path)
    with pytest.raises(Interrupted, match="before both"), between(*made.links(), 5.0):
        pass
