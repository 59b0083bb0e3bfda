# SPDX-License-Identifier: MIT
"""
Frontends that break what the page says of closing and coming back.
"""

from dataclasses import replace
from typing import Self

from tests.zoo.base import FrontendAnimal, animal
from vtpm_ref.frontend import Frontend, Step
from vtpm_ref.packet import build
from vtpm_ref.steps import Answer, Notify, Operation, Revoke, load_state, parse_number
from vtpm_ref.xenbus import BACKEND_CLOSES, XenbusState


class _OnceMore(FrontendAnimal):
    """Does one thing more between Closed and its look at the backend."""

    def then_closed(self, result: None) -> Frontend:
        return replace(self.usual(result), memory=1)

    def do_read_gone(self) -> Operation:
        return self.more() if self.memory else self._read_peer("state")

    def then_read_gone(self, text: str | None) -> Frontend:
        return replace(self, memory=0) if self.memory else self.usual(text)

    def more(self) -> Operation:
        raise NotImplementedError


@animal("closing.closed-last")
class LooksWhenClosed(_OnceMore):
    """Looks at the page once more when it has become Closed."""

    def more(self) -> Operation:
        return load_state()


@animal("closing.closed-last", "exchange.event-per-change", why="no store goes with that event")
class RingsWhenClosed(_OnceMore):
    """Wakes the backend once more when it has become Closed."""

    def more(self) -> Operation:
        return Notify()


@animal("closing.closed-last")
class LooksOnEventWhenClosed(FrontendAnimal):
    """Still takes an event that comes when it is Closed for a reason to look at the page."""

    def event(self) -> Self:
        return replace(self, memory=1) if self.step is Step.WAIT_GONE else super().event()

    def do_wait_gone(self) -> Operation | None:
        return load_state() if self.memory else None

    def then_wait_gone(self, raw: bytes) -> Frontend:
        return replace(self, memory=0)


@animal("closing.closed-last")
class DiesOfEventWhileItCloses(FrontendAnimal):
    """Ends when an event comes while it closes: its handler still uses what is freed."""

    def event(self) -> Self:
        if self.step is Step.CLOSED:
            raise RuntimeError("an event for what is freed")
        return super().event()


@animal("closing.frontend-follows")
class FollowsOnlyClosing(FrontendAnimal):
    """Takes no notice of a backend that is Closed and has not been Closing before."""

    def then_read_backend(self, text: str | None) -> Frontend:
        if self.was_connected and parse_number(text) == XenbusState.CLOSED:
            return self.usual(str(int(XenbusState.CONNECTED)))
        return self.usual(text)


@animal(
    "closing.frontend-follows",
    "closing.closed-last",
    "closing.page-kept",
    "closing.request-ends",
    why="the cases of all of them wait for Closed of a frontend whose backend closes",
)
class StaysWithoutBackend(FrontendAnimal):
    """Takes no notice of a backend that closes."""

    def then_read_backend(self, text: str | None) -> Frontend:
        if self.was_connected and parse_number(text) in BACKEND_CLOSES:
            return self.usual(str(int(XenbusState.CONNECTED)))
        return self.usual(text)


@animal("closing.request-ends")
class ForgetsRequest(FrontendAnimal):
    """Closes, and leaves the order of its request without an end."""

    def _leave(self) -> Self:
        return self._go(self.leaving or Step.CLOSED)


@animal(
    "closing.request-ends",
    "exchange.waits-for-answer",
    why="what it takes for the response is not in the page",
)
class InventsResponse(FrontendAnimal):
    """Ends the request that it has with an error of its own making when it closes."""

    def _leave(self) -> Self:
        if self.busy:
            return self._finish(Answer("response", build(0x8001, 0x101)))
        return super()._leave()


@animal("closing.page-kept")
class RevokesFirst(FrontendAnimal):
    """Asks for its page back before it becomes Closed (Linux)."""

    def do_closed(self) -> Operation:
        return self._become(XenbusState.CLOSED) if self.memory else Revoke(self.gref)

    def then_closed(self, result: bool | None) -> Frontend:
        return replace(self.usual(), memory=0) if self.memory else replace(self, memory=1)


@animal(
    "coming-back.published-anew",
    "connecting.valid-references",
    why="what it has published is the page of its last connection",
)
class KeepsOldNodes(FrontendAnimal):
    """Writes its nodes for its first connection only."""

    def then_publish(self, result: None) -> Frontend:
        return replace(self.usual(result), memory=1)

    def then_allocate(self, port: int) -> Frontend:
        after = self.usual(port)
        return after._go(Step.INITIALISED) if self.memory else after


@animal("coming-back.through-closed")
class PublishesAtOnce(FrontendAnimal):
    """Publishes without a look at the backend (Linux)."""

    def then_read_earlier(self, text: str | None) -> Frontend:
        return self._go(Step.GRANT)


@animal("coming-back.through-closed")
class WaitsUnclosed(FrontendAnimal):
    """Waits for a backend of an earlier life to let go, but does not become Closed."""

    def then_read_earlier(self, text: str | None) -> Frontend:
        return self._go(Step.READ_GONE)


@animal("coming-back.goes-on")
class ClosesOnInitWait(FrontendAnimal):
    """Closes when its backend goes back to InitWait."""

    def then_read_backend(self, text: str | None) -> Frontend:
        if self.was_connected and parse_number(text) == XenbusState.INIT_WAIT:
            return replace(self, leaving=Step.CLOSED)._leave()
        return self.usual(text)
