# SPDX-License-Identifier: MIT
"""
Frontends that break what the page says of locality.
"""

from dataclasses import replace
from typing import Self

from tests.zoo.base import FrontendAnimal, animal


@animal("locality.with-request")
class NeverSetsLocality(FrontendAnimal):
    """Sends every request at locality 0, whatever was ordered."""

    def submit(self, packet: bytes, locality: int = 0) -> Self:
        return replace(super().submit(packet, locality), locality=0)


@animal("locality.with-request")
class KeepsLocality(FrontendAnimal):
    """Stays at the highest locality that was ever ordered (mini-os tpmfront keeps the last)."""

    def submit(self, packet: bytes, locality: int = 0) -> Self:
        highest = max(self.memory, locality)
        return replace(self, memory=highest)._submit(packet, highest)

    def _submit(self, packet: bytes, locality: int) -> Self:
        return super().submit(packet, locality)


@animal("locality.range")
class PassesEveryLocality(FrontendAnimal):
    """Sends a request at any locality that is ordered."""

    def submit(self, packet: bytes, locality: int = 0) -> Self:
        return replace(super().submit(packet, 0), locality=locality)
