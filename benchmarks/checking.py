# SPDX-License-Identifier: MIT
"""
Events checked per second: traces of legal exchanges, one or both roles judged.

Beside judging: decoding alone, and a loop that only dispatches on the type of
events that are in memory already.  Processor time, because others may use the
machine.  The long traces repeat what a reference frontend and a reference
backend did over the memory link.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.figures import Row, in_turns, rate, say
from conformance import trace
from conformance.judge import Judge
from conformance.links.joint import Joint
from conformance.links.memory import EVIDENCE
from conformance.recorder import Recorder
from conformance.run import header_of, judge_file
from conformance.targets import reference
from conformance.tester import get_random
from conformance.trace import TraceReader
from vtpm_ref.packet import Family
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

#: Events per second that judging should reach.
AIM = 200_000

#: How much more an event of a long trace may take than one of a short trace.
FLAT = 1.25

#: KiB that judging may add after the first tenth of the longest trace.
CONSTANT = 1024

#: Events of the three traces, and turns in which they are judged.
SHORT, MIDDLE, LONG, TURNS = 10**4, 10**5, 10**6, 5

#: Exchanges after which a trace repeats itself; each has a request of its own.
PERIOD = 32


def measure(folder: Path) -> list[Row]:
    """Rows for the rates, their yardsticks, the flatness and the memory."""
    say("writing the traces")
    both, one = list(Role), [Role.BACKEND]
    short = _trace(folder, SHORT, both)
    middle = _trace(folder, MIDDLE, both)
    middle_one = _trace(folder, MIDDLE, one)
    long = _trace(folder, LONG, both)
    say(f"judging up to {LONG} events, {TURNS} times")
    seconds = in_turns(
        TURNS,
        partial(_judge, middle),
        partial(_judge, middle_one),
        partial(_decode, middle),
        partial(_dispatch, list(TraceReader(middle))),
        lambda: sum(_judge(short) for _ in range(10)) / 10,
        partial(_judge, long),
    )
    per_both, per_one, decoding, empty = (taken / MIDDLE for taken in seconds[:4])
    per_short, per_long = seconds[4] / SHORT, seconds[5] / LONG
    growth = _growth(long, LONG // 10)
    rows = [
        Row(
            f"events checked, all rules, {who}",
            rate(1 / per_event),
            f"decoding alone {rate(1 / decoding)}",
            f"1/{per_event / decoding:.1f}",
            f"at least {rate(AIM)}",
            1 / per_event >= AIM,
        )
        for who, per_event in (("both roles", per_both), ("a backend", per_one))
    ]
    return [
        *rows,
        Row(
            "  the same, both roles",
            rate(1 / per_both),
            f"empty dispatch {rate(1 / empty)}",
            f"1/{per_both / empty:.0f}",
        ),
        Row(
            f"one event of {LONG}",
            f"{per_long * 1e6:.2f} us",
            f"one of {SHORT} {per_short * 1e6:.2f} us",
            f"{per_long / per_short:.2f}",
            f"flat: at most {FLAT:g}",
            per_long / per_short <= FLAT,
        ),
        Row(
            f"memory added after {LONG // 10} of {LONG}",
            f"{growth} KiB",
            aim=f"constant: below {CONSTANT} KiB",
            met=growth < CONSTANT,
        ),
    ]


def _trace(folder: Path, size: int, judged: list[Role]) -> Path:
    """A trace of just under ``size`` events."""
    path = folder / f"{size}-{len(judged)}.jsonl"
    write(path, size, judged)
    return path


def write(path: Path, size: int, judged: list[Role]) -> None:
    """
    Write a trace of just under ``size`` events: one period, over and over.

    Both ends connect, then run through the period twice; the second time it
    starts and ends with the same page, so it can be repeated.
    """
    header = header_of(judged, link="memory", target="reference, both", evidence=EVIDENCE)
    recorder = Recorder(path, header)
    link = Joint(Place(), recorder, reference.frontend, reference.backend)
    link.connect()
    requests = [get_random(Family.TPM20, count + 1) for count in range(PERIOD)]
    for request in requests:
        link.exchange(request)
    start = recorder.events
    for request in requests:
        link.exchange(request)
    link.stop()
    recorder.close()
    events = list(TraceReader(path))

    recorder = Recorder(path, header)
    for event in events:
        _step(recorder, event)()
    period = [_step(recorder, event) for event in events[start:]]
    while recorder.events + len(period) <= size:
        for step in period:
            step()
    recorder.close()


def _step(recorder: Recorder, event: trace.AnyEvent) -> Callable[[], None]:
    """What records ``event`` again."""
    if isinstance(event, trace.Load):
        return partial(recorder.load, event.by, event.at, bytes.fromhex(event.data))
    if isinstance(event, trace.Store):
        return partial(recorder.store, event.by, event.at, bytes.fromhex(event.data))
    if isinstance(event, trace.Notify):
        return partial(recorder.notify, event.by, event.count)
    kind = type(event).__struct_config__.tag
    names = set(event.__struct_fields__) - {"crc", "t", "c"}
    fields = {name: getattr(event, name) for name in names}
    return partial(recorder.event, str(kind), **fields)


def _judge(path: Path) -> float:
    begun = time.process_time()
    judgement = judge_file(path)
    seconds = time.process_time() - begun
    if judgement.broken:
        raise RuntimeError(f"the trace breaks {', '.join(sorted(judgement.broken))}")
    return seconds


def _decode(path: Path) -> float:
    begun = time.process_time()
    for _ in TraceReader(path):
        pass
    return time.process_time() - begun


def _dispatch(events: list[trace.AnyEvent]) -> float:
    def take(event: trace.AnyEvent) -> None:
        pass

    handlers = {type(event): take for event in events}
    begun = time.process_time()
    for event in events:
        handlers[type(event)](event)
    return time.process_time() - begun


def _growth(path: Path, first: int) -> int:
    """KiB by which the process grows from the ``first`` event to the last."""
    reader = TraceReader(path)
    judge = Judge(reader.header)
    before = 0
    for number, event in enumerate(reader):
        judge.feed(event)
        if number == first:
            before = _resident()
    judge.finish()
    return _resident() - before


def _resident() -> int:
    """KiB of memory that this process has."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])
