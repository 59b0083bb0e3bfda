# SPDX-License-Identifier: MIT
"""
Backends that break what the page says of connecting.
"""

from dataclasses import replace
from typing import Self

from tests.zoo.base import BackendAnimal, animal
from vtpm_ref.backend import Backend, Step
from vtpm_ref.states import State
from vtpm_ref.steps import Operation, parse_number
from vtpm_ref.xenbus import FEATURE_VALUE, XenbusState


@animal("connecting.feature-value")
class BackendFeatureTwo(BackendAnimal):
    """Writes 2 to its feature-protocol-v2."""

    def do_feature(self) -> Operation:
        return self._write("feature-protocol-v2", "2")


@animal("connecting.backend-feature")
class InitWaitBeforeFeature(BackendAnimal):
    """Becomes InitWait before it writes its feature node (mini-os tpmback)."""

    def do_feature(self) -> Operation:
        return self._become(XenbusState.INIT_WAIT)

    def do_init_wait(self) -> Operation:
        if self.memory:
            return self._become(XenbusState.INIT_WAIT)
        return self._write("feature-protocol-v2", FEATURE_VALUE)

    def then_init_wait(self, result: None) -> Backend:
        return replace(self.usual(result), memory=1)


@animal("connecting.backend-checks")
class BackendIgnoresFeature(BackendAnimal):
    """Connects whatever the frontend's feature node says."""

    def then_read_feature(self, text: str | None) -> Backend:
        return self.usual(FEATURE_VALUE)


@animal("connecting.backend-checks")
class TakesAnyFeature(BackendAnimal):
    """Connects when the frontend has a feature node, whatever is in it."""

    def then_read_feature(self, text: str | None) -> Backend:
        return self.usual(None if text is None else FEATURE_VALUE)


@animal("connecting.failed-closed")
class WaitsForSoundNodes(BackendAnimal):
    """Stays in InitWait when it cannot connect, until the frontend's state changes."""

    def then_read_feature(self, text: str | None) -> Backend:
        return self.usual(text) if text == FEATURE_VALUE else self._wait_frontend()

    def _fail(self) -> Self:
        return replace(self, gref=0, remote=0)._wait_frontend()

    def _unmapped(self) -> Self:
        return super()._unmapped() if self.port else self._fail()


@animal("connecting.init-wait")
class SkipsNextInitWait(BackendAnimal):
    """Goes to a frontend that has published anew without InitWait in between."""

    def _check(self, text: str | None, used: int, right: Step) -> Self:
        after = super()._check(text, used, right)
        return after if after.step is right else replace(after, memory=1)

    def then_unmap(self, result: None) -> Backend:
        after = self.usual(result)
        if not self.memory:
            return after
        return replace(after, step=Step.READ_FRONTEND, shown=XenbusState.INIT_WAIT, memory=0)


@animal("connecting.init-wait")
class SkipsInitWait(BackendAnimal):
    """Goes to Connected without InitWait."""

    def then_feature(self, result: None) -> Backend:
        return replace(self, step=Step.READ_FRONTEND, shown=XenbusState.INIT_WAIT)


def _connected_before(after: Backend) -> Backend:
    """``after``, but it has written Connected already."""
    return after._begin() if after.step is Step.CONNECTED else after


@animal(
    "connecting.map-before-connected",
    "closing.init-wait",
    "coming-back.looks-first",
    why="when it cannot take hold it goes from Connected to Closed, and the device is to stay;"
    " and before it has the page it cannot look",
)
class ConnectedBeforeMap(BackendAnimal):
    """Becomes Connected before it maps the page and binds the port."""

    def then_read_port(self, text: str | None) -> Backend:
        return replace(self.usual(text), step=Step.CONNECTED)

    def then_connected(self, result: None) -> Backend:
        return self._shows(XenbusState.CONNECTED)._go(Step.MAP)

    def then_bind(self, port: int | None) -> Backend:
        return _connected_before(self.usual(port))

    def then_look_first(self, raw: bytes) -> Backend:
        return _connected_before(self.usual(raw))


@animal(
    "connecting.map-before-connected",
    "closing.init-wait",
    "coming-back.looks-first",
    why="when it cannot take hold it goes from Connected to Closed, and the device is to stay;"
    " and it looks after it has bound",
)
class ConnectedBeforeBind(BackendAnimal):
    """Becomes Connected before it binds the port."""

    def then_map(self, possible: bool) -> Backend:
        return self._go(Step.CONNECTED) if possible else self.usual(possible)

    def then_connected(self, result: None) -> Backend:
        return self._shows(XenbusState.CONNECTED)._go(Step.BIND)

    def then_bind(self, port: int | None) -> Backend:
        return _connected_before(self.usual(port))

    def then_look_first(self, raw: bytes) -> Backend:
        return _connected_before(self.usual(raw))


@animal("connecting.backend-connects")
class OnlyToInitialised(BackendAnimal):
    """Connects only to a frontend that is Initialised."""

    def then_read_frontend(self, text: str | None) -> Backend:
        skipped = parse_number(text) == XenbusState.CONNECTED and not self.gref
        return self._wait_frontend() if skipped else self.usual(text)


@animal(
    "connecting.backend-connects",
    "connecting.feature-value",
    "connecting.backend-feature",
    "connecting.init-wait",
    "connecting.map-before-connected",
    "connecting.look-at-once",
    "connecting.failed-closed",
    "robust.nodes-recover",
    why="these are the clauses whose cases wait for Connected, or for Closed, in silence",
)
class OnlyToConnected(BackendAnimal):
    """Connects only to a frontend that is Connected."""

    def then_read_frontend(self, text: str | None) -> Backend:
        connected = parse_number(text) == XenbusState.CONNECTED
        return self.usual(text if connected else None)


@animal(
    "connecting.look-at-once",
    "exchange.answered",
    "connecting.serves-initialised",
    "coming-back.new-references",
    "coming-back.unknown-request",
    "coming-back.rings",
    why="whatever is in the page when it connects, it does not see",
)
class RestsWhenConnected(BackendAnimal):
    """Does not look at the page when it connects, and drops the event of the binding."""

    def then_connected(self, result: None) -> Backend:
        return replace(self.usual(result), step=Step.REST, unseen_event=False)


@animal(
    "connecting.serves-initialised",
    "exchange.answered",
    "coming-back.new-references",
    "robust.nonsense-state",
    why="the request that it leaves alone is well-formed; one is on a new page, and one comes"
    " while the frontend's state is no state, and so not Connected",
)
class ServesOnlyConnected(BackendAnimal):
    """Takes no request before the frontend is Connected."""

    def then_look(self, raw: bytes) -> Backend:
        if raw[0] == State.SUBMIT:
            return replace(self, step=Step.READ_FRONTEND, unseen_event=False, memory=1)
        return self.usual(raw)

    def then_read_frontend(self, text: str | None) -> Backend:
        state = parse_number(text)
        if self.memory and state == XenbusState.INITIALISED:
            return self._go(Step.REST)
        if self.memory and state == XenbusState.CONNECTED:
            return replace(self, step=Step.SAMPLE, memory=0)
        return replace(self, memory=0).usual(text)
