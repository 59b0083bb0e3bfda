# SPDX-License-Identifier: MIT
"""
Every planted defect, found and shrunk: ``make walks`` runs this.
"""

from pathlib import Path

import pytest

from tests.planted import PLANTED
from tests.test_walks import planted

#: A shrinker can stop a move too long, where only a step up would lead further down.
SEEDS = (1, 3)


@pytest.mark.parametrize("name", PLANTED)
def test_every_planted_defect_shrinks_to_its_shortest_walk(name: str, tmp_path: Path) -> None:
    """Its length was counted by hand; a round, or another from a second seed, gets there."""
    lengths = []
    for seed in SEEDS:
        found = planted(name, tmp_path / str(seed), seed).found[-1]
        assert (found.again, found.shrunk) == (None, True)
        lengths.append(len(found.moves))
        if lengths[-1] == len(PLANTED[name].walk):
            break
    assert min(lengths) == len(PLANTED[name].walk), found.moves
