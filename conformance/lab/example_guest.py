# SPDX-License-Identifier: MIT
"""
Packs a program into an initrd for Linux: a PV guest that is a vTPM backend or frontend.

``python -m conformance.lab.example_guest PROGRAM INITRD`` takes what else it needs,
busybox and the Xen modules, from the lab's packages.  The program speaks the lines of
the adapter page on its standard input and output, which are the guest's console.
"""

import argparse
import sys
from pathlib import Path

from conformance.errors import ConformanceError
from conformance.lab import build, cpio, images

#: In the order in which they are loaded.
MODULES = ("xen-privcmd", "xenfs", "xen-evtchn", "xen-gntdev", "xen-gntalloc")

#: The program is started again for each case: the judge's order to stop ends it.
_INIT = b"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in MODULES; do insmod "/modules/$module.ko"; done
exec </dev/hvc0 >/dev/hvc0
stty raw -echo opost onlcr
echo '{"msg": "agent"}'
while true; do
    /program || echo "the program has ended with status $?"
done
"""


def pack(root: images.Root, program: bytes) -> list[cpio.Entry]:
    """
    The files of the guest.

    :param program: the ELF file; its libraries come with it.
    :raises LabError: the packages lack something.
    """
    itself = cpio.file("program", program, executable=True)
    entries = [itself, *root.closure([r"bin/busybox"]), *root.libraries_of(itself)]
    entries += [cpio.folder(name) for name in ("proc", "sys", "dev", "tmp")]
    for module in MODULES:
        data = root.one(rf"lab/lib/modules/.*/{module}\.ko")
        entries.append(cpio.file(f"modules/{module}.ko", data))
    init = _INIT.replace(b"MODULES", " ".join(MODULES).encode())
    return [*entries, cpio.file("init", init, executable=True)]


def main() -> int:
    """Pack; return the exit code."""
    parser = argparse.ArgumentParser(description="pack a program into an initrd for a PV guest")
    parser.add_argument("program", type=Path)
    parser.add_argument("initrd", type=Path)
    options = parser.parse_args()
    try:
        entries = pack(images.Root(build.default().root), options.program.read_bytes())
        with options.initrd.open("wb") as out:
            cpio.write(out, entries)
    except (ConformanceError, OSError) as error:
        print(f"example_guest: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
