# SPDX-License-Identifier: MIT
"""
Frontends that break what the page says of time.
"""

from typing import Self

from tests.zoo.base import FrontendAnimal, animal
from vtpm_ref.frontend import Step
from vtpm_ref.steps import Answer


@animal("time.cancels")
class GivesUpSilently(FrontendAnimal):
    """Gives a request up, and leaves it to the backend."""

    def expired(self) -> Self:
        waits = self.step is Step.WAIT_ANSWER
        return self._finish(Answer("timed-out")) if waits else super().expired()
