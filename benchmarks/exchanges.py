# SPDX-License-Identifier: MIT
"""
TPM exchanges per second over the memory link, with and without judging.

The whole way: an order, the reference frontend, the page, the reference
backend, the stand-in for a TPM, and back.  Beside it the stand-in alone.
"""

import time
from pathlib import Path

from benchmarks.figures import Row, in_turns, rate
from conformance.links.joint import Joint
from conformance.links.memory import EVIDENCE
from conformance.recorder import Recorder
from conformance.run import header_of, judge_file
from conformance.targets import reference
from conformance.targets.standin import StandIn
from conformance.tester import get_random
from vtpm_ref.packet import Family
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

#: Exchanges in one turn, and turns.
COUNT, TURNS = 1000, 9

_REQUEST = get_random(Family.TPM20)


def measure(folder: Path) -> list[Row]:
    """Rows for recorded exchanges, and for those that are judged as well."""
    path = folder / "exchanges.jsonl"

    def judge() -> float:
        begun = time.process_time()
        judge_file(path)
        return time.process_time() - begun

    recording, judging, alone = in_turns(TURNS, lambda: _record(path), judge, _stand_in)
    yardstick = f"the stand-in alone {rate(COUNT / alone)}"
    return [
        Row(
            f"exchanges, memory link, {how}",
            rate(COUNT / seconds),
            yardstick,
            f"1/{seconds / alone:.0f}",
        )
        for how, seconds in (("recorded", recording), ("and judged", recording + judging))
    ]


def _record(path: Path) -> float:
    header = header_of(Role, link="memory", target="reference, both", evidence=EVIDENCE)
    recorder = Recorder(path, header)
    link = Joint(Place(), recorder, reference.frontend, reference.backend)
    link.connect()
    begun = time.process_time()
    for _ in range(COUNT):
        link.exchange(_REQUEST)
    seconds = time.process_time() - begun
    link.stop()
    recorder.close()
    return seconds


def _stand_in() -> float:
    tpm = StandIn()
    begun = time.process_time()
    for _ in range(COUNT):
        tpm.start(_REQUEST, 0)
        tpm.finished(0)
        tpm.result()
    return time.process_time() - begun
