# SPDX-License-Identifier: MIT
"""
Backends that break what the page says of locality.
"""

from dataclasses import replace

from tests.zoo.base import BackendAnimal, animal
from vtpm_ref.backend import Backend
from vtpm_ref.packet import CODES, error_response


@animal("locality.refused")
class TakesUnknownForZero(BackendAnimal):
    """Carries out a request at a locality above 4 as if it were at 0."""

    def then_fetch(self, raw: bytes) -> Backend:
        if self.header.locality > 4:
            return replace(self, header=replace(self.header, locality=0)).usual(raw)
        return self.usual(raw)


@animal("locality.default-zero")
class GrantsEveryLocality(BackendAnimal):
    """Grants the localities 0 to 4 to everybody."""

    def then_fetch(self, raw: bytes) -> Backend:
        return replace(self, localities=frozenset(range(5))).usual(raw)


@animal(
    "locality.default-zero",
    "locality.refused",
    why="all numbers are granted, those that a TPM has and those that it has not",
)
class GrantsEveryNumber(BackendAnimal):
    """Passes every locality on (vtpm-stubdom without a locality argument)."""

    def then_fetch(self, raw: bytes) -> Backend:
        return replace(self, localities=frozenset(range(256))).usual(raw)


@animal("locality.refusal-code")
class RefusesWithFailure(BackendAnimal):
    """Refuses a locality with a general failure (vtpm-stubdom)."""

    def then_fetch(self, raw: bytes) -> Backend:
        if self.header.locality:
            return self._reply(error_response(self.family, CODES[self.family].failure))
        return self.usual(raw)
