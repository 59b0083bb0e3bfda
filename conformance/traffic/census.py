# SPDX-License-Identifier: MIT
"""
What traffic has to meet, class by class, and how often a trace has met it.

The classes are written by hand, not made from the model: what fell out of the
model would fall out of them too.
"""

from collections import Counter

from conformance.messages import Answer, Request
from conformance.scene import Scene
from vtpm_ref.page import STATE
from vtpm_ref.states import BACKEND, CANCEL, FINISH, FRONTEND, IDLE, SUBMIT, Role

#: Each store to ``state`` that is legal or can be a lawful race, by what it overwrites.
CELLS: dict[tuple[int, Role, int], str] = {
    (IDLE, FRONTEND, SUBMIT): "frontend: SUBMIT over IDLE",
    (FINISH, FRONTEND, SUBMIT): "frontend: SUBMIT over FINISH",
    (SUBMIT, FRONTEND, CANCEL): "frontend: CANCEL over SUBMIT",
    (CANCEL, FRONTEND, CANCEL): "frontend: CANCEL over CANCEL",
    (IDLE, FRONTEND, CANCEL): "frontend: CANCEL over IDLE, a race",
    (FINISH, FRONTEND, CANCEL): "frontend: CANCEL over FINISH, a race",
    (SUBMIT, BACKEND, IDLE): "backend: IDLE over SUBMIT",
    (SUBMIT, BACKEND, FINISH): "backend: FINISH over SUBMIT",
    (CANCEL, BACKEND, IDLE): "backend: IDLE over CANCEL",
    (CANCEL, BACKEND, FINISH): "backend: FINISH over CANCEL",
}

#: Bytes of a packet: the least and the most of each class.
LENGTHS = {
    "10": (10, 10),
    "11 to 63": (11, 63),
    "64 to 1023": (64, 1023),
    "1024 to 4087": (1024, 4087),
    "4088": (4088, 4088),
}

#: What becomes of a CANCEL: (what it overwrote, whether the backend had looked, its answer).
OUTCOMES: dict[tuple[int, bool, int], str] = {
    (SUBMIT, False, IDLE): "cancel: before the backend looked, IDLE",
    (SUBMIT, True, IDLE): "cancel: of a command, IDLE",
    (SUBMIT, True, FINISH): "cancel: of a command, FINISH",
    (IDLE, True, IDLE): "cancel: crossed IDLE, IDLE",
    (FINISH, True, IDLE): "cancel: crossed FINISH, IDLE",
}

#: What becomes of a CANCEL that was repeated before it was answered.
REPEATED: dict[int, str] = {IDLE: "cancel: repeated, IDLE", FINISH: "cancel: repeated, FINISH"}

#: Text of a state node that says Closing.
_CLOSING = "5"

#: Where the frontend begins to close: whether the page holds a request without an answer.
CLOSES = {False: "close: with no request under way", True: "close: with a request under way"}

#: Every class, in the order of the table.
CLASSES = (
    *CELLS.values(),
    *(f"request: {length}" for length in LENGTHS),
    *(f"response: {length}" for length in LENGTHS),
    *OUTCOMES.values(),
    *REPEATED.values(),
    *CLOSES.values(),
)


class Census:
    """
    Counts what the traces that it is shown have met.

    :ivar exchanges: requests that were submitted.
    :ivar hits: how often each class was met.
    """

    def __init__(self) -> None:
        self.exchanges = 0
        self.hits: Counter[str] = Counter()
        self._scene: Scene | None = None
        self._looked = False
        #: What CANCEL overwrote, and whether the backend had looked at the request by then.
        self._cancel: tuple[int, bool] | None = None
        self._repeated = False

    def attend(self, scene: Scene) -> None:
        """Count what ``scene`` tells from now on."""
        scene.listen("load", self._load)
        scene.listen("state", self._state)
        scene.listen("request", self._request)
        scene.listen("answer", self._answer)
        scene.listen("node", self._node)
        self._scene = scene

    def _load(self, by: Role, at: int, data: bytes) -> None:
        if by is BACKEND and at <= STATE.offset < at + len(data):
            self._looked = True

    def _state(self, by: Role, old: int, new: int) -> None:
        self._count(CELLS.get((old, by, new)))
        if new == SUBMIT:
            self._looked, self._cancel, self._repeated = False, None, False
        elif new == CANCEL and old == CANCEL:
            self._repeated = True
        elif new == CANCEL:
            self._cancel = (old, self._looked)
        elif by is BACKEND and self._cancel is not None:
            self._end_cancel(*self._cancel, new)

    def _end_cancel(self, over: int, looked: bool, answer: int) -> None:
        self._count(OUTCOMES.get((over, looked, answer)))
        if self._repeated:
            self._count(REPEATED.get(answer))
        self._cancel, self._repeated = None, False

    def _request(self, request: Request) -> None:
        self.exchanges += 1
        self._count_length("request", request.header.length)

    def _answer(self, request: Request, answer: Answer) -> None:
        if answer.state == FINISH:
            self._count_length("response", answer.length)

    def _node(self, role: Role, name: str, value: str | None, by: str) -> None:
        if role is FRONTEND and name == "state" and value == _CLOSING and self._scene is not None:
            self._count(CLOSES[self._scene.state in (SUBMIT, CANCEL)])

    def _count_length(self, packet: str, length: int) -> None:
        for name, (least, most) in LENGTHS.items():
            if least <= length <= most:
                self._count(f"{packet}: {name}")

    def _count(self, met: str | None) -> None:
        """``None`` is what no class is for; whether that is legal is for the judge to say."""
        if met is not None:
            self.hits[met] += 1
