# SPDX-License-Identifier: MIT
"""
What an animal of the zoo is: a reference machine with one defect, registered.

An animal changes single steps of the machine's program: ``do_ring`` is asked
for the operation of step ``RING`` in the machine's stead, ``then_ring`` for the
machine that follows on its result; ``usual`` is what the reference would be.
Which clauses that breaks is written down by hand, with the reason where it is
more than one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from conformance.targets import Target, reference
from conformance.targets.shared import SharedTpm
from conformance.targets.standin import StandIn
from vtpm_ref.backend import Backend
from vtpm_ref.frontend import Frontend
from vtpm_ref.packet import Family
from vtpm_ref.states import Role
from vtpm_ref.steps import Operation
from vtpm_ref.xenbus import Place


@dataclass(frozen=True)
class BackendAnimal(Backend):
    """
    A backend with a defect.

    :param memory: for the animal's own use; it lasts.
    """

    memory: int = 0

    @property
    def operation(self) -> Operation | None:
        do = getattr(self, f"do_{self.step.name.lower()}", None)
        return do() if do else super().operation

    def after(self, result: Any = None) -> Self:
        then = getattr(self, f"then_{self.step.name.lower()}", None)
        return then(result) if then else super().after(result)

    def usual(self, result: Any = None) -> Self:
        """What the reference backend would be after the step."""
        after = super().after(result)
        assert isinstance(after, type(self))
        return after


@dataclass(frozen=True)
class FrontendAnimal(Frontend):
    """
    A frontend with a defect.

    :param memory: for the animal's own use; it lasts.
    """

    memory: int = 0

    @property
    def operation(self) -> Operation | None:
        do = getattr(self, f"do_{self.step.name.lower()}", None)
        return do() if do else super().operation

    def after(self, result: Any = None) -> Self:
        then = getattr(self, f"then_{self.step.name.lower()}", None)
        return then(result) if then else super().after(result)

    def usual(self, result: Any = None) -> Self:
        """What the reference frontend would be after the step."""
        after = super().after(result)
        assert isinstance(after, type(self))
        return after


@dataclass(frozen=True)
class Animal:
    """
    An animal as the tests know it.

    :param defect: its docstring.
    :param breaks: every clause that the judge has to find broken, no other.
    :param why: why they are more than one.
    """

    name: str
    role: Role
    defect: str
    breaks: frozenset[str]
    why: str
    make: Callable[[Place], Target]


#: Every animal by its name.
ANIMALS: dict[str, Animal] = {}

_A = TypeVar("_A", bound=type[BackendAnimal] | type[FrontendAnimal])


def animal(
    *breaks: str,
    why: str = "",
    family: Family = Family.TPM20,
    tpm: Callable[[Family], StandIn] = StandIn,
    shared: type[SharedTpm] = SharedTpm,
) -> Callable[[_A], _A]:
    """
    Register a class as an animal that breaks the clauses ``breaks``.

    :param family: which TPM is behind it, if it is a backend.
    :param tpm: makes that TPM.
    :param shared: how its frontends share it.
    """

    def register(cls: _A) -> _A:
        name, defect = cls.__name__, cls.__doc__ or ""
        if name in ANIMALS:
            raise ValueError(f"two animals of the name {name}")
        if issubclass(cls, BackendAnimal):
            role, make = Role.BACKEND, _backend(cls, family, lambda: shared(tpm(family)))
        else:
            role, make = Role.FRONTEND, _frontend(cls)
        ANIMALS[name] = Animal(name, role, defect, frozenset(breaks), why, make)
        return cls

    return register


def _backend(
    cls: type[BackendAnimal], family: Family, tpm: Callable[[], SharedTpm]
) -> Callable[[Place], Target]:
    def make(place: Place) -> Target:
        shared = tpm()

        def one(place: Place) -> Target:
            machine = cls(place, family=family)
            return Target(cls.__name__, machine, shared.seat(), family, reference.CAN, one)

        return one(place)

    return make


def _frontend(cls: type[FrontendAnimal]) -> Callable[[Place], Target]:
    can = frozenset({"orders", "cancel", "locality", "close", "reconnect"})
    return lambda place: Target(cls.__name__, cls(place), can=can)
