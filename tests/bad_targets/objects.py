# SPDX-License-Identifier: MIT
"""
Targets that are Python objects, each with one defect; ``python -m`` serves one as a program.
"""

import os
import sys
from dataclasses import dataclass, replace
from typing import Any, Self

from conformance.targets import Target
from conformance.targets.standin import StandIn
from vtpm_ref.backend import Backend, Step
from vtpm_ref.xenbus import Place

#: What ``--object`` can name that is no factory.
NOTHING = None

#: Never readable.
_NEVER = os.eventfd(0, os.EFD_CLOEXEC)


class _WrongTag(StandIn):
    def _answer(self, request: bytes) -> bytes:
        return b"\xff\xff" + super()._answer(request)[2:]


def wrong_tag(place: Place) -> Target:
    """A backend whose TPM answers with the tag 0xffff."""
    return Target("wrong tag", Backend(place), _WrongTag())


@dataclass(frozen=True)
class _RingsTwice(Backend):
    rung: bool = False

    def after(self, result: Any = None) -> Self:
        if self.step is Step.RING and not self.rung:
            return replace(self, rung=True)
        return replace(super().after(result), rung=False)


def rings_twice(place: Place) -> Target:
    """A backend that notifies twice of each answer, which is only a warning."""
    return Target("rings twice", _RingsTwice(place), StandIn())


class _Raises(StandIn):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def start(self, packet: bytes, locality: int) -> None:
        raise self._error


def raises(place: Place) -> Target:
    """A backend whose TPM raises."""
    return Target("raises", Backend(place), _Raises(RuntimeError("no such device")))


def exits(place: Place) -> Target:
    """A backend whose TPM wants to end the whole program."""
    return Target("exits", Backend(place), _Raises(SystemExit(1)))


def interrupts(place: Place) -> Target:
    """A backend during whose command somebody presses Ctrl-C."""
    return Target("interrupts", Backend(place), _Raises(KeyboardInterrupt()))


class _NeverFinishes(StandIn):
    """Could be done at any moment, as a real TPM that works for itself."""

    def finished(self, timeout: float) -> bool:
        return False

    def fileno(self) -> int:
        return _NEVER


def never_finishes(place: Place) -> Target:
    """A backend whose TPM works for ever."""
    return Target("never finishes", Backend(place), _NeverFinishes())


def no_factory(place: Place) -> Target:
    """A factory that raises."""
    raise RuntimeError("no TPM here")


def no_target(place: Place) -> None:
    """A factory that makes nothing."""


if __name__ == "__main__":
    from conformance.adapter import serve

    sys.exit(serve({"wrong_tag": wrong_tag, "rings_twice": rings_twice}[sys.argv[1]]))
