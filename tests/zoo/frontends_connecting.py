# SPDX-License-Identifier: MIT
"""
Frontends that break what the page says of connecting.
"""

from dataclasses import replace
from typing import Self

from tests.zoo.base import FrontendAnimal, animal
from vtpm_ref.frontend import Frontend, Step
from vtpm_ref.states import Role
from vtpm_ref.steps import Operation, WriteNodes, parse_number
from vtpm_ref.xenbus import FEATURE_VALUE, PUBLISHED, XenbusState

_REF, _PORT, _FEATURE = PUBLISHED


def _write(frontend: Frontend, **changed: str) -> WriteNodes:
    """Write nodes in one transaction; ``_`` in a name stands for ``-``."""
    nodes = ((name.replace("_", "-"), text) for name, text in changed.items())
    return WriteNodes(tuple((frontend.place.path(Role.FRONTEND, n), text) for n, text in nodes))


def _publish(frontend: Frontend, **changed: str) -> WriteNodes:
    """Publish the three nodes, some of them with another text."""
    usual = {
        "ring_ref": str(frontend.gref),
        "event_channel": str(frontend.port),
        "feature_protocol_v2": FEATURE_VALUE,
    }
    return _write(frontend, **{**usual, **changed})


@animal("connecting.publish-first")
class InitialisedBeforeNodes(FrontendAnimal):
    """Becomes Initialised before it writes its nodes."""

    def do_publish(self) -> Operation:
        return self._become(XenbusState.INITIALISED)

    def do_initialised(self) -> Operation:
        return _publish(self)


@animal(
    "connecting.publish-first",
    "connecting.one-transaction",
    why="the node that is late cannot be in the transaction of the others",
)
class FeatureWhenInitialised(FrontendAnimal):
    """Writes its feature node after it has become Initialised."""

    def do_publish(self) -> Operation:
        return _write(self, ring_ref=str(self.gref), event_channel=str(self.port))

    def do_read_backend(self) -> Operation:
        if not self.memory:
            return _write(self, feature_protocol_v2=FEATURE_VALUE)
        return self._read_peer("state")

    def then_read_backend(self, text: str | None) -> Frontend:
        return self.usual(text) if self.memory else replace(self, memory=1)


@animal("connecting.one-transaction")
class FeatureBeforeTransaction(FrontendAnimal):
    """Writes its feature node before the transaction (mini-os tpmfront)."""

    def do_publish(self) -> Operation:
        if not self.memory:
            return _write(self, feature_protocol_v2=FEATURE_VALUE)
        return _write(self, ring_ref=str(self.gref), event_channel=str(self.port))

    def then_publish(self, result: None) -> Frontend:
        return self.usual() if self.memory else replace(self, memory=1)


@animal("connecting.one-transaction")
class NodesOneByOne(FrontendAnimal):
    """Writes its nodes one by one, without a transaction."""

    def do_publish(self) -> Operation:
        return WriteNodes(_publish(self).nodes[self.memory :][:1])

    def then_publish(self, result: None) -> Frontend:
        last = self.memory == len(PUBLISHED) - 1
        return replace(self.usual(), memory=0) if last else replace(self, memory=self.memory + 1)


@animal("connecting.decimal")
class ReferenceInHexadecimal(FrontendAnimal):
    """Writes ring-ref in hexadecimal."""

    def do_publish(self) -> Operation:
        return _publish(self, ring_ref=hex(self.gref))


@animal("connecting.decimal")
class PortWithSign(FrontendAnimal):
    """Writes event-channel with a sign."""

    def do_publish(self) -> Operation:
        return _publish(self, event_channel=f"+{self.port}")


@animal("connecting.valid-references")
class PublishesOtherPage(FrontendAnimal):
    """Publishes a page that it has not granted."""

    def do_publish(self) -> Operation:
        return _publish(self, ring_ref=str(self.gref + 1))


@animal("connecting.valid-references")
class PublishesOtherPort(FrontendAnimal):
    """Publishes a port that it has not allocated."""

    def do_publish(self) -> Operation:
        return _publish(self, event_channel=str(self.port + 1))


@animal(
    "connecting.initialised",
    "connecting.frontend-waits",
    "connecting.frontend-checks",
    why="what it does not do before Connected, it does after: wait, and look at the feature",
)
class ConnectedAtOnce(FrontendAnimal):
    """Becomes Connected instead of Initialised, then waits (mini-os tpmfront)."""

    def then_publish(self, result: None) -> Frontend:
        return self._go(Step.CONNECTED)

    def then_connected(self, result: None) -> Frontend:
        return self._go(Step.READ_BACKEND)

    def then_read_feature(self, text: str | None) -> Frontend:
        good = text == FEATURE_VALUE
        return replace(self, step=Step.READY, was_connected=True) if good else self.usual(text)


@animal("connecting.feature-value")
class FrontendFeatureTwo(FrontendAnimal):
    """Writes 2 to its feature-protocol-v2."""

    def do_publish(self) -> Operation:
        return _publish(self, feature_protocol_v2="2")


@animal("connecting.frontend-checks")
class FrontendIgnoresFeature(FrontendAnimal):
    """Connects whatever the backend's feature node says."""

    def then_read_feature(self, text: str | None) -> Frontend:
        return self.usual(FEATURE_VALUE)


@animal("connecting.frontend-waits")
class ConnectedAlone(FrontendAnimal):
    """Becomes Connected as soon as it has seen the backend's feature."""

    def then_initialised(self, result: None) -> Frontend:
        return self._go(Step.READ_FEATURE)

    def then_connected(self, result: None) -> Frontend:
        return self._go(Step.READ_BACKEND)

    def then_read_backend(self, text: str | None) -> Frontend:
        if self.was_connected or parse_number(text) != XenbusState.CONNECTED:
            return self.usual(text)
        return replace(self, step=Step.READY, was_connected=True)


@animal("connecting.submit-when-connected")
class SubmitsEarly(FrontendAnimal):
    """Submits requests before the backend is Connected (Linux)."""

    @property
    def ready(self) -> bool:
        return self.step in (Step.READY, Step.WAIT_BACKEND)

    def changed(self, path: str) -> Self:
        early = self.busy and not self.was_connected
        return self if early else super().changed(path)

    def then_deliver(self, result: None) -> Frontend:
        after = self.usual()
        return after if self.was_connected else after._go(Step.READ_BACKEND)
