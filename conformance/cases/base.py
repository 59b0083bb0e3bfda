# SPDX-License-Identifier: MIT
"""
What a case is, and the table of all cases.

Standard library only: a case also runs where there is no pytest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vtpm_ref.states import Role


@dataclass(frozen=True)
class Case:
    """
    One thing that a tester does to a target.

    :param id: the clause that it provokes, a slash, a slug.
    :param role: the role of the target.
    :param play: called with the tester; does, and never judges.
    :param about: one line for lists, the docstring of ``play``.
    :param needs: capabilities that the target has to declare, separated by commas.
    :param deed: the same for cases that do the same, for different clauses.
    """

    id: str
    role: Role
    play: Callable[[Any], None]
    about: str
    needs: str = ""
    deed: tuple[object, ...] = ()

    @property
    def clause(self) -> str:
        """Id of the clause that the case provokes."""
        return self.id.split("/")[0]


#: Every case by its id.
CASES: dict[str, Case] = {}

_Play = Callable[..., None]


def case(role: Role, id: str, *arguments: object, needs: str = "") -> Callable[[_Play], _Play]:
    """
    Register a case; ``arguments`` are handed to it after the tester.

    One function can be several cases, told apart by their arguments.
    """

    def register(play: _Play) -> _Play:
        if id in CASES:
            raise ValueError(f"two cases with the id {id}")
        about = (play.__doc__ or "").strip().format(*arguments)
        deed = (play, arguments, needs)
        CASES[id] = Case(id, role, lambda tester: play(tester, *arguments), about, needs, deed)
        return play

    return register


def backend_case(id: str, *arguments: object, needs: str = "") -> Callable[[_Play], _Play]:
    """A case for backends; its tester is a ``FrontendTester``."""
    return case(Role.BACKEND, id, *arguments, needs=needs)


def frontend_case(id: str, *arguments: object, needs: str = "orders") -> Callable[[_Play], _Play]:
    """A case for frontends that take orders; its tester is a ``BackendTester``."""
    return case(Role.FRONTEND, id, *arguments, needs=needs)
