# SPDX-License-Identifier: MIT
"""
Runs a command, and ends it and all that it started when whoever asked for it has gone.

``supervise.py COMMAND...`` has to lead a process group of its own.  Whoever asked holds
the other end of its standard input: when that is closed, as it is by any death, the
group is told to end, may clean up for a while, and is killed.  Standard library only.
"""

import os
import select
import signal
import subprocess
import sys

#: Seconds in which the command may clean up.
GRACE = 10.0


def main(command: list[str]) -> int:
    """Run; return the exit status of the command, as a shell has it."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ended = os.pidfd_open(child.pid)
    if ended not in select.select([ended, 0], [], [])[0]:
        try:
            os.killpg(0, signal.SIGTERM)
            child.wait(GRACE)
        finally:
            os.killpg(0, signal.SIGKILL)  # this process, too
    status = child.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
