# SPDX-License-Identifier: MIT
"""
A round trip over the process link, both ends on one CPU, recorded.

One exchange is ``submit`` and ``wait_answer`` of a GetRandom with the backend
in C.  Beside it, in turns: a bare ping-pong of two Python processes over
blocking eventfds, and the same exchange with a recorder that keeps the image
of the page, which the tester needs, but records nothing.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import Row, percentile
from benchmarks.whole_run import EXAMPLES
from conformance.links.process import EVIDENCE
from conformance.recorder import Recorder
from conformance.run import header_of, started
from conformance.subjects import program
from conformance.tester import FrontendTester, get_random
from vtpm_ref.states import Role

#: Blocks of each kind, and round trips in a block.
BLOCKS, IN_BLOCK = 50, 200

#: At most so many times a bare ping-pong.
AIM = 4.0

_PEER = """
import os, sys
ping, pong = map(int, sys.argv[1:])
while True:
    os.eventfd_read(ping)
    os.eventfd_write(pong, 1)
"""


class Unrecorded(Recorder):
    """Writes its header, and of what happens in the page nothing."""

    def load(self, by: str, at: int, data: bytes, connection: int = 0) -> None:
        self.image(connection)[at : at + len(data)] = data

    store = load

    def sample(self, page: bytes, connection: int = 0) -> None:
        self.image(connection)[:] = page

    def notify(self, by: str, count: int = 1, connection: int = 0) -> None:
        pass


def measure(folder: Path) -> list[Row]:
    """Rows for the median, the slowest hundredth, and the recorder's share."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})  # children inherit it
    try:
        with (
            _ping_pong() as bare,
            _exchange(Recorder, folder) as recorded,
            _exchange(Unrecorded, folder) as unrecorded,
        ):
            times = _in_turns(bare, recorded, unrecorded)
    finally:
        os.sched_setaffinity(0, before)
    bare_50, full_50, silent_50 = (percentile(taken, 50) for taken in times)
    bare_99, full_99, _ = (percentile(taken, 99) for taken in times)
    ratio = full_50 / bare_50
    share = (full_50 - silent_50) / full_50
    return [
        Row(
            "round trip, process link, p50",
            f"{full_50:.1f} us",
            f"bare eventfd ping-pong {bare_50:.1f} us",
            f"{ratio:.1f}",
            f"at most {AIM:g}",
            ratio <= AIM,
        ),
        Row(
            "round trip, process link, p99",
            f"{full_99:.1f} us",
            f"bare eventfd ping-pong {bare_99:.1f} us",
            f"{full_99 / bare_99:.1f}",
        ),
        Row(
            "  of it, recording",
            f"{full_50 - silent_50:.1f} us",
            f"not recorded {silent_50:.1f} us",
            f"{share:.0%} of it",
        ),
    ]


def _in_turns(*round_trips: Callable[[], object]) -> list[list[float]]:
    """Microseconds of each round trip, kind by kind; the first blocks warm up."""
    clock = time.perf_counter_ns
    times: list[list[float]] = [[] for _ in round_trips]
    for block in range(BLOCKS + 1):
        for round_trip, taken in zip(round_trips, times, strict=True):
            for _ in range(IN_BLOCK):
                begun = clock()
                round_trip()
                ended = clock()
                if block:
                    taken.append((ended - begun) / 1000)
    return times


@contextmanager
def _ping_pong() -> Iterator[Callable[[], object]]:
    """A ping that waits for its pong, and the process that answers it."""
    ping, pong = os.eventfd(0, os.EFD_CLOEXEC), os.eventfd(0, os.EFD_CLOEXEC)
    peer = subprocess.Popen(
        [sys.executable, "-c", _PEER, str(ping), str(pong)], pass_fds=(ping, pong)
    )

    def round_trip() -> None:
        os.eventfd_write(ping, 1)
        os.eventfd_read(pong)

    try:
        round_trip()
        yield round_trip
    finally:
        peer.kill()
        peer.wait()
        os.close(ping)
        os.close(pong)


@contextmanager
def _exchange(kind: type[Recorder], folder: Path) -> Iterator[Callable[[], object]]:
    """One exchange with a backend in C that is connected already."""
    subject = program(Role.BACKEND, str(EXAMPLES / "backend"))
    header = header_of([Role.BACKEND], link="process", target=subject.name, evidence=EVIDENCE)
    with started(subject, kind(folder / f"{kind.__name__}.jsonl", header)) as link:
        tester = FrontendTester(link.first)
        tester.prepare()
        request = get_random(link.family)

        def round_trip() -> None:
            tester.submit(request)
            tester.wait_answer()

        yield round_trip
