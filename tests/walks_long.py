# SPDX-License-Identifier: MIT
"""
Every planted defect, found and shrunk: ``make walks`` runs this.
"""

from pathlib import Path

import pytest

from tests.planted import PLANTED
from tests.test_walks import planted


@pytest.mark.parametrize("name", PLANTED)
def test_every_planted_defect_shrinks_to_its_shortest_walk(name: str, tmp_path: Path) -> None:
    """Its length was counted by hand; one round finds it and gets there."""
    found = planted(name, tmp_path, 1).found[-1]
    assert (found.again, found.shrunk) == (None, True)
    defect = PLANTED[name]
    late = defect.late and found.sought == "cancel.acknowledged-when-idle"
    assert len(found.moves) == len(defect.late if late else defect.walk), found.moves
