# SPDX-License-Identifier: MIT
"""
From the packages' files to what boots: hypervisor, kernel, and two initrds.

``root.tar`` is what mmdebstrap made, with the hypervisor and kernel under ``lab/``.
"""

import gzip
import io
import re
import stat
import tarfile
from collections.abc import Iterable
from pathlib import Path

from conformance.errors import LabError
from conformance.lab import cpio, kernel

#: Programs of dom0; the libraries that they name come with them.
DOM0_PROGRAMS = (
    r"bin/busybox",
    r"usr/lib/xen-[0-9.]+/bin/(xenstored|xenconsoled|xen-init-dom0|xl|libxl-save-helper"
    r"|xenstore-control)",
    r"usr/bin/python3\.\d+",
    r"usr/bin/swtpm",
)

#: Programs of the Linux guest.
GUEST_PROGRAMS = (r"bin/busybox", r"usr/bin/python3\.\d+", r"usr/bin/tpm2(_getrandom|_pcrread)?")

#: Loaded when they are needed, so nobody names them.
_LIBRARIES = r"(usr/)?lib/x86_64-linux-gnu/(libgcc_s|libtss2-tcti-device)\.so\.\d"

_LOADER = r"lib(64|/x86_64-linux-gnu)/ld-linux-.*"

_STDLIB = (
    r"usr/lib/python3\.\d+/(?!lib-dynload/(_codecs_|_test|_decimal|_ssl|_sqlite|_dbm|_hashlib|_curses"
    r"|readline|nis|_crypt|_uuid)).*\.(pyc|so)"
)

#: In the order in which they are loaded.
DOM0_MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_console",
    "xen-privcmd",
    "xenfs",
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
)

GUEST_MODULES = ("xen-tpmfront",)

#: What of this project is part of the images; everything else is sent for each run.
INSIDE = ("dom0_init.sh", "dom0.py", "guest_init.sh", "guest.py")

_INSIDE = Path(__file__).parent / "inside"


class Root:
    """
    The files of ``root.tar``, by path.

    :raises LabError: it cannot be read, or lacks something.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, cpio.Entry] = {}
        try:
            with tarfile.open(path) as tar:
                for member in tar:
                    self._take(tar, member)
        except (OSError, tarfile.TarError) as error:
            raise LabError(f"{path}: cannot be read: {error}") from error
        self._libraries = {name.rpartition("/")[2]: name for name in self._entries if ".so" in name}

    def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        name = member.name.removeprefix("./")
        if member.issym():
            self._entries[name] = cpio.link(name, member.linkname)
        elif member.islnk():
            first = self._entries[member.linkname.removeprefix("./")]
            self._entries[name] = cpio.Entry(name, first.mode, first.data)
        elif member.isfile():
            content = tar.extractfile(member)
            data = content.read() if content else b""
            self._entries[name] = cpio.file(name, data, executable=bool(member.mode & 0o100))

    def one(self, pattern: str) -> bytes:
        """
        Content of the one file whose path fits.

        :raises LabError: there is none.
        """
        found = self.matching(pattern)
        if not found:
            raise LabError(f"{self._path}: holds no {pattern}; remove it and build again")
        return found[-1].data

    def matching(self, pattern: str) -> list[cpio.Entry]:
        """All files whose path fits, in the order of their names."""
        return [self._entries[n] for n in sorted(self._entries) if re.fullmatch(pattern, n)]

    def closure(self, patterns: Iterable[str]) -> list[cpio.Entry]:
        """What fits, and every library that something of it names."""
        return self._with_libraries([e for pattern in patterns for e in self.matching(pattern)])

    def libraries_of(self, program: cpio.Entry) -> list[cpio.Entry]:
        """The libraries that a program from elsewhere names, and the loader."""
        found = self._with_libraries([program, *self.matching(_LOADER)])
        return [entry for entry in found if entry is not program]

    def _with_libraries(self, todo: list[cpio.Entry]) -> list[cpio.Entry]:
        found: dict[str, cpio.Entry] = {}
        while todo:
            entry = todo.pop()
            if entry.name in found:
                continue
            found[entry.name] = entry
            for name in _named(entry):
                path = self._libraries.get(name)
                if path is not None and path not in found:
                    todo.append(self._entries[path])
        return [found[name] for name in sorted(found)]


def _named(entry: cpio.Entry) -> list[str]:
    """A link's target, and the libraries in an ELF file's table of strings."""
    if stat.S_ISLNK(entry.mode):
        return [entry.data.decode().rpartition("/")[2]]
    if not entry.data.startswith(b"\x7fELF"):
        return []
    # Overlapping, because a name can be stored as the tail of a longer one.
    names = re.findall(rb"(?=(lib[\w.+-]{1,60}\.so[\w.]*)\0)", entry.data)
    return [name.decode() for name in names]


def make(root: Root, folder: Path) -> None:
    """Write ``xen``, ``vmlinux`` and ``dom0.cpio`` into ``folder``."""
    linux = kernel.vmlinux(root.one(r"lab/boot/vmlinuz.*"))
    guest = io.BytesIO()
    cpio.write(guest, _image(root, GUEST_PROGRAMS, GUEST_MODULES, "guest"))
    dom0 = _image(root, DOM0_PROGRAMS, DOM0_MODULES, "dom0")
    dom0 += [cpio.file("guest/vmlinux", linux), cpio.file("guest/initrd", guest.getvalue())]
    (folder / "xen").write_bytes(gzip.decompress(root.one(r"lab/boot/xen-.*\.gz")))
    (folder / "vmlinux").write_bytes(linux)
    with (folder / "dom0.cpio").open("wb") as out:
        cpio.write(out, dom0)


def versions(root: Root) -> dict[str, str]:
    """Version of each package that the images are made of."""
    found: dict[str, str] = {}
    for source in (r"lab/versions", r"var/lib/dpkg/status"):
        for entry in root.matching(source):
            text = entry.data.decode()
            found.update(re.findall(r"^Package: (.+)\n(?:.+\n)*?Version: (.+)", text, re.M))
    return found


def _image(
    root: Root, programs: Iterable[str], modules: Iterable[str], name: str
) -> list[cpio.Entry]:
    entries = root.closure([*programs, _LIBRARIES, _STDLIB])
    for module in modules:
        data = root.one(rf"lab/lib/modules/.*/{module}\.ko")
        entries.append(cpio.file(f"modules/{module}.ko", data))
    entries.append(cpio.file("modules/order", "\n".join(modules).encode() + b"\n"))
    entries += root.matching(_LOADER)
    init = (_INSIDE / f"{name}_init.sh").read_bytes()
    program = (_INSIDE / f"{name}.py").read_bytes()
    entries.append(cpio.file("init", init, executable=True))
    entries.append(cpio.file(f"lab/{name}.py", program))
    return entries
