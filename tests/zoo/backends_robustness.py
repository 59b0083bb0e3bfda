# SPDX-License-Identifier: MIT
"""
Backends that break what the page says of robustness.
"""

from dataclasses import dataclass, replace
from typing import Self

from conformance.targets.shared import Seat, SharedTpm
from tests.zoo.base import BackendAnimal, animal
from vtpm_ref import page
from vtpm_ref.backend import Backend, Step
from vtpm_ref.page import Header
from vtpm_ref.states import State
from vtpm_ref.steps import Load, Operation, Store
from vtpm_ref.xenbus import is_state

_INITIALISED = "the frontend with the sound nodes is Initialised, and it does not connect to it"

_HEADER = Load(0, page.HEADER_SIZE)


@animal(
    "robust.goes-on",
    "exchange.one-copy",
    "exchange.answered",
    why="to trust the header again it loads it again; the request that it dies of is well-formed",
)
class TrustsHeaderAgain(BackendAnimal):
    """Loads the header again for the response, and ends when the locality is none."""

    def do_put_length(self) -> Operation:
        length = len(self.response or b"").to_bytes(4, "little")
        return Store(page.LENGTH.offset, length) if self.memory else _HEADER

    def then_put_length(self, raw: bytes) -> Backend:
        if self.memory:
            return replace(self.usual(), memory=0)
        if Header.unpack(raw).locality > page.MOST_LOCALITY >= self.header.locality:
            raise RuntimeError("no such locality")
        return replace(self, memory=1)


@animal(
    "robust.goes-on",
    "states.unknown-waits",
    "exchange.answered",
    "several.own-service",
    why="the end is a reaction to a state that means nothing; nobody is served after it",
)
class DiesOfNamelessState(BackendAnimal):
    """Ends when it finds a state that it does not know."""

    def then_look(self, raw: bytes) -> Backend:
        return self.usual(bytes([State(raw[0])]))


@animal("robust.nothing-behind")
class StoresItsBuffer(BackendAnimal):
    """Stores 64 bytes of its buffer behind each response that leaves so much room."""

    def do_put_packet(self) -> Operation:
        at = page.packet_offset(self.header.nr_extra_pages)
        data = (self.response or b"") + b"\x5a" * 64
        return Store(at, data[: page.PAGE_SIZE - at])


@animal("robust.nodes-recover", "connecting.backend-connects", why=_INITIALISED)
class FailsForEver(BackendAnimal):
    """Gives the device up when it could not connect once."""

    def _fail(self) -> Self:
        return replace(super()._fail(), memory=1)

    def _unmapped(self) -> Self:
        return replace(super()._unmapped(), memory=int(not self.port))

    def then_read_frontend(self, text: str | None) -> Backend:
        return self._wait_frontend() if self.memory else self.usual(text)


@animal(
    "robust.nodes-recover",
    "connecting.backend-connects",
    "exchange.answered",
    "several.own-service",
    why=f"{_INITIALISED}; its other frontends are not served either",
)
class DiesOfUnsoundNumber(BackendAnimal):
    """Ends when ring-ref or event-channel is no number."""

    def then_read_gref(self, text: str | None) -> Backend:
        return self.usual(str(int(text or "none")))

    def then_read_port(self, text: str | None) -> Backend:
        return self.usual(str(int(text or "none")))


@animal(
    "robust.nodes-recover",
    "closing.backend-lets-go",
    "closing.gone",
    "closing.init-wait",
    why="what it has forgotten it neither gives back nor offers again, when the frontend closes",
)
class ForgetsDevice(BackendAnimal):
    """Forgets the device when the frontend's state is 0 or gone (mini-os tpmback)."""

    def then_read_frontend(self, text: str | None) -> Backend:
        return self._go(Step.DOWN) if text in (None, "0") else self.usual(text)


@animal(
    "robust.nonsense-state",
    "exchange.answered",
    "connecting.look-at-once",
    why="it has no page any more in which to find the request that comes then",
)
class NonsenseIsZero(BackendAnimal):
    """Takes a state that makes no sense for 0, and lets go."""

    def then_read_frontend(self, text: str | None) -> Backend:
        return self.usual(text if is_state(text) else "0")


@dataclass(frozen=True)
class _Remembers(BackendAnimal):
    """
    Remembers a response.

    :param old: the response to an earlier request.
    """

    old: bytes = b""


@animal(
    "robust.response-belongs",
    "coming-back.tpm-kept",
    "long.size-told",
    why="the clock and the size that it answers with are another command's response",
)
class OneBehind(_Remembers):
    """Answers each request with the response to the one before it."""

    def completed(self, response: bytes | None) -> Self:
        after = super().completed(self.old or response)
        return replace(after, old=response or b"")


@animal("robust.response-belongs")
class KeepsCancelledCommand(BackendAnimal):
    """Answers CANCEL at once, and the next request with what the cancelled command yields."""

    def then_look_busy(self, raw: bytes) -> Backend:
        return self._go(Step.PUT_IDLE) if raw[0] == State.CANCEL else self.usual(raw)


@animal("robust.response-belongs")
class KeepsOrphanedCommand(BackendAnimal):
    """Answers the first request of a connection with what was asked for in the one before."""

    def _let_go(self) -> Self:
        after = super()._let_go()
        return replace(after, orphaned=False, step=Step.UNBIND)


class _AnswersNeighbour(SharedTpm):
    """Gives a seat what was meant for the one that was served before it."""

    _before: tuple[Seat, bytes | None] | None = None

    def advance(self, seat: Seat, timeout: float) -> None:
        if self._served is seat and self._tpm.finished(timeout):
            self._served = None
            before, self._before = self._before, (seat, self._tpm.result())
            crossed = before is not None and before[0] is not seat
            seat.give(before[1] if before and crossed else self._before[1])
            self._next()


@animal("robust.response-belongs", shared=_AnswersNeighbour)
class AnswersNeighbour(BackendAnimal):
    """Gives a frontend the response to a request of another, when these follow each other."""
