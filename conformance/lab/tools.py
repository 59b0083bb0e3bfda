# SPDX-License-Identifier: MIT
"""
The main job on real Xen: a Linux guest's TPM tools, its driver, and the reference backend.

``python -m conformance.lab.tools`` prints what they print, as a shell session.
"""

import sys
from collections.abc import Callable
from typing import Any

from conformance.errors import ConformanceError
from conformance.lab import build
from conformance.lab.session import opened
from conformance.lab.targets import REFERENCE
from conformance.report.results import Exit

_SERVE = "conformance.lab.inside.serve:run"

TOOLS = (
    "tpm2_getrandom -T device:/dev/tpm0 --hex 16",
    "tpm2_pcrread -T device:/dev/tpm0 sha256:0,1,2",
)

#: Seconds for all of it.
LIMIT = 300.0


def run(questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Have the guest do something while the reference backend serves it.

    :param questions: messages for the guest's agent.
    :return: what it told of each.
    :raises LabError: there is no lab, or they do not connect.
    """
    lab = build.default()
    with opened(lab, lab.folder / "tools.log") as session:
        told, _ = session.call(
            _SERVE, LIMIT, domid=session.guest, command=REFERENCE, programs=questions
        )
        return list(told)


def show(name: str, run: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> int:
    """
    Have the guest run the tools, and print what they print; return the exit code.

    :param name: what an error begins with.
    :param run: as ``run`` above.
    """
    try:
        done = run([{"msg": "run", "argv": tool} for tool in TOOLS])
    except ConformanceError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return Exit.INTERRUPTED
    for tool, told in zip(TOOLS, done, strict=True):
        print(f"guest$ {tool}")
        print((told["stdout"] + told["stderr"]).rstrip())
    return int(any(told["status"] for told in done))


def main() -> int:
    """Run the tools; return the exit code."""
    return show("tools", run)


if __name__ == "__main__":
    sys.exit(main())
