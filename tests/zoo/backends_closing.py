# SPDX-License-Identifier: MIT
"""
Backends that break what the page says of closing and coming back.
"""

from dataclasses import replace
from typing import Self

from conformance.targets.standin import StandIn
from tests.zoo.base import BackendAnimal, animal
from vtpm_ref import page
from vtpm_ref.backend import Backend, Step
from vtpm_ref.states import State
from vtpm_ref.steps import Operation, ReadNode, Store, Unmap, WatchNode, parse_number
from vtpm_ref.xenbus import FRONTEND_READY, XenbusState

_HOLDS = "what it never gives back it has still when it says that it has"
_ELSEWHERE = "the frontend, Initialised, asks where it does not look"
_STAYS = "it does not see that the frontend has closed, and nothing of what follows comes"


@animal(
    "closing.backend-lets-go",
    "closing.unmap-first",
    "coming-back.new-references",
    why=f"{_HOLDS}; nor does it let go of a page that its frontend has left",
)
class KeepsPage(BackendAnimal):
    """Closes its port, but never unmaps the page."""

    def then_unbind(self, result: None) -> Backend:
        return self._unmapped()


@animal("closing.backend-lets-go", "closing.unmap-first", why=_HOLDS)
class KeepsPort(BackendAnimal):
    """Unmaps the page, but never closes its port."""

    def _let_go(self) -> Self:
        return super()._let_go()._go(Step.UNMAP)


@animal(
    "closing.backend-lets-go",
    "closing.init-wait",
    "closing.offline",
    "closing.backend-waits",
    "robust.nodes-recover",
    "robust.response-belongs",
    "several.own-service",
    why=f"{_STAYS}; the last three have cases with a frontend that closes",
)
class StaysConnected(BackendAnimal):
    """Takes no notice of a frontend that is Closed."""

    def then_read_frontend(self, text: str | None) -> Backend:
        return self._resume() if parse_number(text) == XenbusState.CLOSED else self.usual(text)


@animal("closing.gone")
class WaitsForClosed(BackendAnimal):
    """Lets go of a frontend that is Closed, and of no other."""

    def then_read_frontend(self, text: str | None) -> Backend:
        gone = text is None or parse_number(text) in (0, XenbusState.INITIALISING)
        return self._resume() if gone and self.gref else self.usual(text)


@animal("closing.gone")
class IgnoresInitialising(BackendAnimal):
    """Takes no notice of a frontend that begins anew (mini-os tpmback)."""

    def then_read_frontend(self, text: str | None) -> Backend:
        begins = parse_number(text) == XenbusState.INITIALISING and self.gref
        return self._resume() if begins else self.usual(text)


class _LetsGoLate(BackendAnimal):
    """Says that it has let go, and lets go then; ``memory`` is the page that it still has."""

    def _let_go(self) -> Self:
        return replace(super()._let_go(), step=Step.READ_ONLINE, memory=self.gref, gref=0)

    def then_init_wait(self, result: None) -> Backend:
        return self._then_let_go(self.usual(result))

    def then_closed(self, result: None) -> Backend:
        return self._then_let_go(self.usual(result))

    def _then_let_go(self, after: Self) -> Self:
        return after._go(Step.UNBIND) if after.memory else after

    def do_unmap(self) -> Operation:
        return Unmap(self.memory or self.gref)

    def then_unmap(self, result: None) -> Backend:
        if not self.memory:  # it could not bind the port
            return self.usual(result)
        return replace(self, step=Step.READ_FRONTEND, memory=0, remote=0, port=0)


@animal("closing.unmap-first")
class UnmapsLate(_LetsGoLate):
    """Becomes InitWait or Closed, and then closes its port and unmaps the page."""


@animal(
    "closing.unmap-first",
    "closing.hands-off",
    "states.response-stands-still",
    "exchange.response-before-state",
    why="a page that it can still store to is still mapped, with a response in it",
)
class WipesPage(_LetsGoLate):
    """Becomes InitWait or Closed, clears the packet, and then lets go."""

    def _then_let_go(self, after: Self) -> Self:
        return after._go(Step.PUT_PACKET) if after.memory else after

    def do_put_packet(self) -> Operation:
        if not self.memory:
            return Store(self._offset, self.response or b"")
        return Store(page.packet_offset(0), bytes(32))

    def then_put_packet(self, result: None) -> Backend:
        return self._go(Step.UNBIND if self.memory else Step.PUT_LENGTH)


@animal(
    "closing.init-wait",
    "closing.offline",
    why="what it says to the frontend it does not say to the toolstack once more",
)
class ClosesForGood(BackendAnimal):
    """Becomes Closed after its frontend, whether the device stays or not."""

    def then_read_frontend(self, text: str | None) -> Backend:
        closed = parse_number(text) == XenbusState.CLOSED
        return replace(self, memory=int(closed)).usual(text)

    def then_read_online(self, text: str | None) -> Backend:
        done = self.memory and self.shown is XenbusState.CONNECTED and not self.gref
        return self.usual("0" if done else text)


@animal("closing.offline")
class IgnoresOnline(BackendAnimal):
    """Becomes InitWait when the frontend has closed, whatever online says (mini-os tpmback)."""

    def then_read_online(self, text: str | None) -> Backend:
        return self.usual(None)


@animal("closing.own-state")
class MindsOwnState(BackendAnimal):
    """Closes when it reads Closing or Closed in its own state, whoever has written it."""

    def do_watch_online(self) -> Operation:
        return WatchNode(self._own("online" if self.memory else "state"))

    def then_watch_online(self, result: None) -> Backend:
        return self.usual(result) if self.memory else replace(self, memory=1)

    def do_read_frontend(self) -> Operation:
        return ReadNode(self._own("state")) if self.memory == 2 else self._read_peer("state")

    def changed(self, path: str) -> Self:
        own = path == self._own("state") and self.step is Step.REST
        return super().changed(path) if not own else replace(super().changed(path), memory=2)

    def then_read_frontend(self, text: str | None) -> Backend:
        if self.memory != 2:
            return self.usual(text)
        after = replace(self, memory=1)
        told = text in ("5", "6") and self.shown is XenbusState.CONNECTED
        return replace(after, leaving=True)._go(Step.CLOSING) if told else after


@animal("closing.backend-waits")
class LeavesAtOnce(BackendAnimal):
    """Lets go of the page as soon as it has told the frontend that it closes."""

    def then_closing(self, result: None) -> Backend:
        return replace(self, shown=XenbusState.CLOSING)._let_go()


@animal("closing.backend-waits")
class LetsGoAtClosing(BackendAnimal):
    """Lets go of the page when the frontend is Closing, and does not wait for Closed."""

    def then_read_frontend(self, text: str | None) -> Backend:
        closing = parse_number(text) == XenbusState.CLOSING
        return self.usual(str(int(XenbusState.CLOSED)) if closing else text)


@animal(
    "coming-back.served",
    "connecting.backend-connects",
    "connecting.map-before-connected",
    "robust.nodes-recover",
    "robust.response-belongs",
    why="the frontend that it does not serve again is Initialised; the last three have cases in"
    " which one comes back",
)
class ServesOnce(BackendAnimal):
    """Connects to no frontend after the first has closed."""

    def then_read_frontend(self, text: str | None) -> Backend:
        state = parse_number(text)
        if self.memory and state in FRONTEND_READY:
            return self._wait_frontend()
        closed = state == XenbusState.CLOSED
        return replace(self, memory=self.memory or int(closed)).usual(text)


@animal(
    "coming-back.new-references",
    "exchange.answered",
    "connecting.serves-initialised",
    why=_ELSEWHERE,
)
class IgnoresNewReferences(BackendAnimal):
    """Stays with its page, whatever the frontend publishes (mini-os tpmback)."""

    def then_read_frontend(self, text: str | None) -> Backend:
        if self.gref and parse_number(text) in FRONTEND_READY:
            return self._go(Step.READ_ONLINE)
        return self.usual(text)


@animal(
    "coming-back.new-references",
    "exchange.answered",
    "connecting.serves-initialised",
    why=_ELSEWHERE,
)
class ChecksPageOnly(BackendAnimal):
    """Looks for another ring-ref, but not for another event-channel."""

    def then_check_gref(self, text: str | None) -> Backend:
        return self._check(text, self.gref, Step.READ_ONLINE)


@animal("coming-back.unknown-request")
class RunsUnknownRequest(BackendAnimal):
    """Runs the request that it finds in the page of a Connected frontend (mini-os tpmback)."""

    def then_connected(self, result: None) -> Backend:
        return replace(self, left=False, unseen_event=True).usual(result)


@animal("coming-back.looks-first")
class LooksOnlyAfterwards(BackendAnimal):
    """Connects, and then takes the request that it finds for one that was left."""

    def then_bind(self, port: int | None) -> Backend:
        after = self.usual(port)
        return after._go(Step.CONNECTED) if port is not None else after

    def then_connected(self, result: None) -> Backend:
        after = self._shows(XenbusState.CONNECTED)
        return replace(after._go(Step.LOOK), memory=int(self.late), late=False)

    def then_look(self, raw: bytes) -> Backend:
        if not self.memory:
            return self.usual(raw)
        left = raw[0] in (State.SUBMIT, State.CANCEL)
        after = replace(self, memory=0, unseen_event=False)
        return after._go(Step.PUT_IDLE if left else Step.RING)


@animal("coming-back.rings")
class ComesSilently(BackendAnimal):
    """Connects to a frontend that waits, and sends no event."""

    def then_connected(self, result: None) -> Backend:
        after = self.usual(result)
        return after._rest() if after.step is Step.RING else after


class _ResetByAbort(StandIn):
    """A TPM that knows no other way to be stopped than to be switched off and on."""

    def abort(self) -> None:
        super().abort()
        self.resets += 1


@animal("coming-back.tpm-kept", tpm=_ResetByAbort)
class ResetsTpm(BackendAnimal):
    """Resets its TPM when a frontend has gone."""

    def _let_go(self) -> Self:
        return super()._let_go()._go(Step.STOP)
