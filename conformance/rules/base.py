# SPDX-License-Identifier: MIT
"""
What a rule is: listens to a scene, counts its occasions, notes what broke it.

A rule judges one clause for one role.  It says which evidence it needs to
pass; to fail, what was seen is enough.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from conformance.scene import Scene
from vtpm_ref.states import Role

#: The most findings that a rule keeps; further ones are only counted.
KEEP = 3


@dataclass(frozen=True)
class Finding:
    """
    One breach: what was allowed, what happened, and at which line of the trace.
    """

    allowed: str
    happened: str
    line: int


class Rule:
    """
    Base of all rules; a subclass names its clause and its listeners.

    Each method called ``on_<what>`` listens to ``<what>`` of the scene.

    :cvar clause: id of the clause it judges.
    :cvar needs: kinds of evidence that must be exact for it to pass.
    """

    clause: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ()
    _listeners: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        # Looked up once, because every trace makes all rules anew.
        cls._listeners = tuple(name for name in dir(cls) if name.startswith("on_"))

    def __init__(self, scene: Scene, role: Role, line: Callable[[], int]) -> None:
        self.scene = scene
        self.role = role
        self.occasions = 0
        self.breaches = 0
        self.findings: list[Finding] = []
        self.unclear = ""
        self._line = line
        #: Whether the trace's evidence is good enough for this rule to pass.
        self.can_pass = not self.lacking()
        self.begin()
        # Zeroes in the place of bodies are no evidence of anything, not even of a breach.
        blind = "bodies" in self.needed() and scene.evidence(role, "bodies") == "none"
        for name in () if blind else self._listeners:
            scene.listen(name.removeprefix("on_"), getattr(self, name))

    def begin(self) -> None:
        """Set up what the rule itself remembers; most remember nothing."""

    def needed(self) -> tuple[str, ...]:
        """What must be exact for it to pass: ``needs``, unless the role makes a difference."""
        return self.needs

    def lacking(self) -> tuple[str, ...]:
        """What it needs to pass, and this trace does not give exactly."""
        level = self.scene.evidence
        return tuple(kind for kind in self.needed() if level(self.role, kind) != "exact")

    def kept(self) -> None:
        """There was an occasion to break the clause, and it was kept."""
        self.occasions += 1

    def broken(self, allowed: str, happened: str) -> None:
        """The clause was broken at the line that was read last."""
        self.occasions += 1
        self.breaches += 1
        if len(self.findings) < KEEP:
            self.findings.append(Finding(allowed, happened, self._line()))

    def check(self, kept: bool, allowed: str, happened: str) -> None:
        """``kept`` or ``broken``, as the first argument says."""
        if kept:
            self.occasions += 1
        else:
            self.broken(allowed, happened)

    def inconclusive(self, why: str) -> None:
        """There was an occasion, but what came of it cannot be told."""
        self.unclear = why


#: Rule class of each clause.
RULES: dict[str, type[Rule]] = {}

_R = TypeVar("_R", bound=type[Rule])


def rule(clause: str, *needs: str) -> Callable[[_R], _R]:
    """Register a rule for ``clause``; ``needs`` as in ``Rule``."""

    def register(cls: _R) -> _R:
        if clause in RULES:
            raise ValueError(f"two rules for clause {clause}")
        cls.clause, cls.needs = clause, needs
        RULES[clause] = cls
        return cls

    return register
