# SPDX-License-Identifier: MIT
"""
A real Xen in QEMU: judging the Linux driver, beside the bare boot of the same Xen.

Needs ``make lab``; without it there is nothing to measure.
"""

import time
from pathlib import Path

from benchmarks.figures import Row, rate, say
from conformance import engine
from conformance.errors import LabError
from conformance.lab import between, build, machine, tools
from conformance.lab.session import Session
from conformance.lab.targets import subject
from conformance.select import select
from conformance.tester import get_random
from vtpm_ref.packet import Family
from vtpm_ref.states import Role

#: TPM commands of one measurement through the guest's driver.
COMMANDS = 200


def measure(folder: Path) -> list[Row]:
    """The whole way, and its parts."""
    lab = build.default()
    try:
        lab.facts()
    except LabError as error:
        say(f"not measured: {error}")
        return []
    building, boot, restore = _build(folder), _boot(folder), _restore(folder)
    judging, cases = _judge(folder)
    return [
        Row(
            "the lab, from nothing but Debian's packages",
            f"{building:.0f} s",
            f"bare boot of Xen, dom0 and guest {boot:.1f} s",
            f"{building / boot:.1f}",
            "at most 180 s",
            building <= 180,
        ),
        Row(
            "restore to the first answer of dom0",
            f"{restore:.2f} s",
            f"bare boot {boot:.1f} s",
            f"{restore / boot:.2f}",
        ),
        Row(
            f"judging the Linux driver, {cases} cases, from the snapshot",
            f"{judging:.1f} s",
            f"bare boot {boot:.1f} s",
            f"{judging / boot:.1f}",
            "at most 25 s",
            judging <= 25,
        ),
        Row(
            "the same with the boot before it",
            f"{boot + judging:.1f} s",
            f"bare boot {boot:.1f} s",
            f"{(boot + judging) / boot:.1f}",
            "at most 60 s",
            boot + judging <= 60,
        ),
        *_round_trips(folder),
    ]


def _build(folder: Path) -> float:
    start = time.monotonic()
    build.build(build.Lab(folder / "lab"), say)
    return time.monotonic() - start


def _boot(folder: Path) -> float:
    start = time.monotonic()
    running = machine.boot(build.default().images, folder / "boot.log")
    try:
        said, _ = running.receive(build.BOOT_LIMIT, "stage boot")
        if not said["ok"]:
            raise LabError(f"stage {said['stage']}: {said['why']}; see {folder}/boot.log")
        return time.monotonic() - start
    finally:
        running.end()


def _restore(folder: Path) -> float:
    start = time.monotonic()
    Session(build.default(), folder / "restore.log").close()
    return time.monotonic() - start


def _judge(folder: Path) -> tuple[float, int]:
    start = time.monotonic()
    target = subject(Role.FRONTEND, "linux", folder / "linux")
    done = engine.run(target, select([Role.FRONTEND]), folder / "linux")
    return time.monotonic() - start, sum(1 for entry in done.cases if not entry.skipped)


def _round_trips(folder: Path) -> list[Row]:
    """
    Through the guest's driver and the reference backend with its TPM.

    Without recording the two are connected; with it the judge stands between them, hands
    on what they do, and writes down both halves.
    """
    packet = get_random(Family.TPM20).hex()
    question = {"msg": "repeat", "packet": packet, "count": COMMANDS}
    (alone,) = tools.run([question])
    (recorded,) = between.run(folder / "between", [question])
    bare, watched = COMMANDS / alone["seconds"], COMMANDS / recorded["seconds"]
    return [
        Row("TPM round trips through the guest's driver", rate(bare)),
        Row(
            "the same with the judge between, recording",
            rate(watched),
            f"without {rate(bare)}",
            f"{watched / bare:.2f}",
        ),
    ]
