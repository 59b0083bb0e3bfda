# SPDX-License-Identifier: MIT
"""
Ten planted defects, each of which shows only after moves of its own kind.

With each goes the shortest walk that shows it, counted by hand.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from conformance.targets import Target
from conformance.targets.standin import StandIn
from tests.zoo.base import BackendAnimal, FrontendAnimal
from vtpm_ref.backend import Backend
from vtpm_ref.frontend import Frontend
from vtpm_ref.frontend import Step as FrontendStep
from vtpm_ref.packet import PacketHeader
from vtpm_ref.page import Header
from vtpm_ref.states import Role, State
from vtpm_ref.xenbus import Place


@dataclass(frozen=True)
class Planted:
    """
    A defect and the shortest walk to it.

    :param walk: the names of its moves; behind them one exchange, as behind every walk.
    :param hostile: whether only a hostile peer shows it.
    :param late: the shortest walk on which it breaks ``cancel.acknowledged-when-idle``
        instead, where a CANCEL meets an answer; a walk is shrunk for one clause.
    """

    role: Role
    make: Callable[[Place], Target]
    walk: tuple[str, ...]
    hostile: bool = False
    late: tuple[str, ...] = ()


#: Every planted defect by its name.
PLANTED: dict[str, Planted] = {}

_Defect = type[BackendAnimal] | type[FrontendAnimal]


def planted(
    *walk: str, hostile: bool = False, late: tuple[str, ...] = ()
) -> Callable[[_Defect], _Defect]:
    """Register a defect with the shortest walk that shows it."""

    def register(cls: _Defect) -> _Defect:
        PLANTED[cls.__name__] = Planted(
            cls.role, lambda place: _target(cls, place), walk, hostile, late
        )
        return cls

    return register


def _target(cls: _Defect, place: Place) -> Target:
    can = frozenset({"orders", "cancel", "close", "reconnect", "locality"})
    tpm = StandIn() if cls.role is Role.BACKEND else None
    return Target(cls.__name__, cls(place), tpm, can=can)


@planted("connect", "exchange", "exchange")
class LosesThirdRequest(BackendAnimal):
    """Never answers the third request of a connection."""

    def then_connected(self, result: None) -> Backend:
        return replace(self.usual(), memory=0)

    def then_look(self, raw: bytes) -> Backend:
        if raw[0] != State.SUBMIT:
            return self.usual(raw)
        lost = self.memory == 2
        counted = replace(self, memory=self.memory + 1)
        return counted._rest() if lost else counted.usual(raw)


@planted("connect", "close")
class ServesOneConnection(BackendAnimal):
    """Answers nothing on its second connection."""

    def then_connected(self, result: None) -> Backend:
        return replace(self.usual(), memory=self.memory + 1)

    def then_look(self, raw: bytes) -> Backend:
        return self._rest() if self.memory == 2 else self.usual(raw)


@planted("connect", "other_locality")
class DeafAfterRefusal(BackendAnimal):
    """Takes no request any more once it has refused a locality."""

    def then_fetch(self, raw: bytes) -> Backend:
        refuses = self.header.locality not in self.localities
        return replace(self.usual(raw), memory=int(refuses))

    def then_look(self, raw: bytes) -> Backend:
        return self._rest() if self.memory else self.usual(raw)


@planted("connect", "submit_and_cancel", "answer", "too_long", hostile=True)
class DiesOfLengthAfterCancel(BackendAnimal):
    """Dies of a request that is too long, but only after a CANCEL."""

    def then_look(self, raw: bytes) -> Backend:
        cancelled = raw[0] == State.CANCEL
        return replace(self.usual(raw), memory=1) if cancelled else self.usual(raw)

    def then_sample(self, raw: bytes) -> Backend:
        if self.memory and Header.unpack(raw).length > 4088:
            raise IndexError("beyond the page")
        return self.usual(raw)


@planted(
    *("connect", "exchange", "exchange", "submit_and_cancel"),
    late=("connect", "exchange", "submit", "let_it_work", "cancel"),
)
class LosesLateCancel(BackendAnimal):
    """Does not answer a CANCEL once it has answered two requests on a connection."""

    def then_connected(self, result: None) -> Backend:
        return replace(self.usual(), memory=0)

    def then_put_finish(self, result: None) -> Backend:
        return replace(self.usual(), memory=self.memory + 1)

    def then_look(self, raw: bytes) -> Backend:
        lost = raw[0] == State.CANCEL and self.memory >= 2
        return self._rest() if lost else self.usual(raw)


@planted("connect", "submit_slow", "let_it_work", "cancel")
class WedgedByCancelAtWork(BackendAnimal):
    """A CANCEL while the TPM works makes it forget what the TPM works for."""

    def then_look_busy(self, raw: bytes) -> Backend:
        cancelled = raw[0] == State.CANCEL
        return replace(self, memory=1)._rest() if cancelled else self.usual(raw)

    def completed(self, response: bytes | None) -> Self:
        return self if self.memory else super().completed(response)


@planted("connect", "unknown_state", "mismatch", hostile=True)
class DiesOfMismatchAfterNonsense(BackendAnimal):
    """Dies of a mismatched request, but only after an unknown state."""

    def then_look(self, raw: bytes) -> Backend:
        unknown = raw[0] not in tuple(State)
        return replace(self.usual(raw), memory=1) if unknown else self.usual(raw)

    def then_fetch(self, raw: bytes) -> Backend:
        if self.memory and PacketHeader.unpack(raw).size != len(raw):
            raise ValueError("two lengths")
        return self.usual(raw)


@planted("connect", "order", "answer_idle")
class StopsAfterIdle(FrontendAnimal):
    """Submits nothing any more once IDLE has been the answer."""

    def then_look_answer(self, raw: bytes) -> Frontend:
        return replace(self.usual(raw), memory=int(raw[0] == State.IDLE))

    def then_look_free(self, raw: bytes) -> Frontend:
        return self._wait(FrontendStep.WAIT_FREE) if self.memory else self.usual(raw)


@planted("connect", "close", "reopen", "exchange")
class SmallSecondBuffer(FrontendAnimal):
    """Fails a response of 1000 bytes or more, but only on its second connection."""

    def then_connected(self, result: None) -> Frontend:
        return replace(self.usual(), memory=self.memory + 1)

    def then_take_length(self, raw: bytes) -> Frontend:
        length = int.from_bytes(raw, "little")
        return self.usual(bytes(4) if self.memory == 2 and length >= 1000 else raw)


@planted("connect", "order", "cancel", "wrong_length", hostile=True)
class DiesOfLengthOnceCancelled(FrontendAnimal):
    """Dies of a response whose length makes no sense, but only after a CANCEL."""

    def then_put_cancel(self, result: None) -> Frontend:
        return replace(self.usual(), memory=1)

    def then_take_length(self, raw: bytes) -> Frontend:
        if self.memory and not 10 <= int.from_bytes(raw, "little") <= 4088:
            raise IndexError("beyond the page")
        return self.usual(raw)
