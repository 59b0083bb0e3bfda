# SPDX-License-Identifier: MIT
"""
The four page states, the two roles, and who may write what over what.

Everything that decides a transition is in ``TRANSITIONS``: 4 old states, 2
roles, 4 new states, 32 cells, none left open.  The code below only looks
things up in it, and the pages render it.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from vtpm_ref.errors import ProtocolViolation


class State(IntEnum):
    """
    Value of the page's ``state`` byte (tpmif.h, ``enum tpmif_state``).
    """

    IDLE = 0
    SUBMIT = 1
    FINISH = 2
    CANCEL = 3


class Role(StrEnum):
    """
    The two parties: the frontend uses the TPM, the backend provides it.
    """

    FRONTEND = "frontend"
    BACKEND = "backend"

    @property
    def peer(self) -> "Role":
        """The other party."""
        return Role.BACKEND if self is Role.FRONTEND else Role.FRONTEND


# The members by themselves, for whoever asks at every event: through the class
# it takes ten times as long.
IDLE, SUBMIT, FINISH, CANCEL = State.IDLE, State.SUBMIT, State.FINISH, State.CANCEL
FRONTEND, BACKEND = Role.FRONTEND, Role.BACKEND


class Kind(StrEnum):
    """
    What the protocol says of one cell.

    A *race* is lawful only if the writer had not yet seen the state that its
    store overwrote.
    """

    LEGAL = "legal"
    RACE = "race"
    ILLEGAL = "illegal"


@dataclass(frozen=True)
class Transition:
    """
    One cell: its kind, the clause that decides it, and why in a few words.
    """

    kind: Kind
    clause: str
    why: str


#: Which states each role may write at all, and the clause that says so.
WRITABLE = {
    Role.FRONTEND: (frozenset({State.SUBMIT, State.CANCEL}), "states.frontend-writes"),
    Role.BACKEND: (frozenset({State.IDLE, State.FINISH}), "states.backend-writes"),
}

_I, _S, _F, _C = State.IDLE, State.SUBMIT, State.FINISH, State.CANCEL
_LEGAL, _RACE, _ILLEGAL = Kind.LEGAL, Kind.RACE, Kind.ILLEGAL
_FE, _BE = "states.frontend-writes", "states.backend-writes"
_FREE, _UNASKED = "states.submit-when-free", "states.answer-only-requests"
_CANCEL = "states.cancel-when-busy"

#: (old state, role, new state) -> what the protocol says.  All 32 cells.
TRANSITIONS: dict[tuple[State, Role, State], Transition] = {
    (_I, Role.FRONTEND, _I): Transition(_ILLEGAL, _FE, "IDLE is the backend's"),
    (_I, Role.FRONTEND, _S): Transition(_LEGAL, _FREE, "a request into a free page"),
    (_I, Role.FRONTEND, _F): Transition(_ILLEGAL, _FE, "FINISH is the backend's"),
    (_I, Role.FRONTEND, _C): Transition(_RACE, _CANCEL, "crossed an IDLE answer"),
    (_S, Role.FRONTEND, _I): Transition(_ILLEGAL, _FE, "IDLE is the backend's"),
    (_S, Role.FRONTEND, _S): Transition(_ILLEGAL, _FREE, "the request is unfinished"),
    (_S, Role.FRONTEND, _F): Transition(_ILLEGAL, _FE, "FINISH is the backend's"),
    (_S, Role.FRONTEND, _C): Transition(_LEGAL, _CANCEL, "asks to abandon the request"),
    (_F, Role.FRONTEND, _I): Transition(_ILLEGAL, _FE, "IDLE is the backend's"),
    (_F, Role.FRONTEND, _S): Transition(_LEGAL, _FREE, "the next request, no acknowledge"),
    (_F, Role.FRONTEND, _F): Transition(_ILLEGAL, _FE, "FINISH is the backend's"),
    (_F, Role.FRONTEND, _C): Transition(_RACE, _CANCEL, "crossed a FINISH answer"),
    (_C, Role.FRONTEND, _I): Transition(_ILLEGAL, _FE, "IDLE is the backend's"),
    (_C, Role.FRONTEND, _S): Transition(_ILLEGAL, _FREE, "the cancel is unanswered"),
    (_C, Role.FRONTEND, _F): Transition(_ILLEGAL, _FE, "FINISH is the backend's"),
    (_C, Role.FRONTEND, _C): Transition(_LEGAL, _CANCEL, "asks again, changes nothing"),
    (_I, Role.BACKEND, _I): Transition(_ILLEGAL, _UNASKED, "nothing was asked"),
    (_I, Role.BACKEND, _S): Transition(_ILLEGAL, _BE, "SUBMIT is the frontend's"),
    (_I, Role.BACKEND, _F): Transition(_ILLEGAL, _UNASKED, "nothing was asked"),
    (_I, Role.BACKEND, _C): Transition(_ILLEGAL, _BE, "CANCEL is the frontend's"),
    (_S, Role.BACKEND, _I): Transition(_LEGAL, _BE, "gives the request up, no response"),
    (_S, Role.BACKEND, _S): Transition(_ILLEGAL, _BE, "SUBMIT is the frontend's"),
    (_S, Role.BACKEND, _F): Transition(_LEGAL, _BE, "the response is in the page"),
    (_S, Role.BACKEND, _C): Transition(_ILLEGAL, _BE, "CANCEL is the frontend's"),
    (_F, Role.BACKEND, _I): Transition(_ILLEGAL, _UNASKED, "would take the response back"),
    (_F, Role.BACKEND, _S): Transition(_ILLEGAL, _BE, "SUBMIT is the frontend's"),
    (_F, Role.BACKEND, _F): Transition(_ILLEGAL, _UNASKED, "was already answered"),
    (_F, Role.BACKEND, _C): Transition(_ILLEGAL, _BE, "CANCEL is the frontend's"),
    (_C, Role.BACKEND, _I): Transition(_LEGAL, _BE, "abandoned, no response"),
    (_C, Role.BACKEND, _S): Transition(_ILLEGAL, _BE, "SUBMIT is the frontend's"),
    (_C, Role.BACKEND, _F): Transition(_LEGAL, _BE, "completed in spite of the cancel"),
    (_C, Role.BACKEND, _C): Transition(_ILLEGAL, _BE, "CANCEL is the frontend's"),
}

#: States in which the page, but for ``state``, belongs to the role.
OWNER = {
    State.IDLE: Role.FRONTEND,
    State.FINISH: Role.FRONTEND,
    State.SUBMIT: Role.BACKEND,
    State.CANCEL: Role.BACKEND,
}


def store_state(old: State, role: Role, new: State, *, seen: State | None = None) -> State:
    """
    Return the page state after ``role`` stored ``new`` over ``old``.

    :param seen: the state that the writer last loaded; it decides races.
        Left out, the writer is taken to know ``old``.
    :raises ProtocolViolation: the writer's fault; carries the cell's clause.
    """
    cell = TRANSITIONS[old, role, new]
    unseen = seen is not None and seen != old
    if cell.kind is Kind.LEGAL or (cell.kind is Kind.RACE and unseen):
        return new
    raise ProtocolViolation(cell.clause, role.value, old.name, new.name)
