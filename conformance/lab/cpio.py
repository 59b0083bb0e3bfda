# SPDX-License-Identifier: MIT
"""
Writes cpio archives of the "newc" kind, which is what a kernel unpacks as its initrd.

Archives can be put one behind the other; later files win.
"""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True)
class Entry:
    """
    One file, directory, link or device of an archive.

    :param name: path without a leading slash.
    :param mode: type and permissions, as ``st_mode``.
    :param data: content, or the target of a symbolic link.
    :param device: major and minor number of a device.
    """

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder(name: str) -> Entry:
    """A directory."""
    return Entry(name, stat.S_IFDIR | 0o755)


def file(name: str, data: bytes, *, executable: bool = False) -> Entry:
    """A regular file."""
    return Entry(name, stat.S_IFREG | (0o755 if executable else 0o644), data)


def link(name: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(name, stat.S_IFLNK | 0o777, target.encode())


def write(out: BinaryIO, entries: Iterator[Entry] | list[Entry]) -> None:
    """Write ``entries``, each after the folders that it lies in, and the end mark."""
    known: set[str] = set()
    number = 0
    for entry in entries:
        for each in [*_parents(entry.name, known), entry]:
            if each.name in known and stat.S_ISDIR(each.mode):
                continue
            known.add(each.name)
            number += 1
            _write(out, each, number)
    _write(out, Entry("TRAILER!!!", 0), 0)
    # A kernel looks for the next archive at a multiple of 4 bytes.
    out.write(bytes(-out.tell() % 512))


def _parents(name: str, known: set[str]) -> Iterator[Entry]:
    parts = name.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        parent = "/".join(parts[:count])
        if parent not in known:
            yield folder(parent)


def _write(out: BinaryIO, entry: Entry, number: int) -> None:
    name = entry.name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (
        number,
        entry.mode,
        *(0, 0, links, 0),
        len(entry.data),
        *(0, 0),
        *entry.device,
        len(name),
        0,
    )
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    out.write(header + name + bytes(-(len(header) + len(name)) % 4))
    out.write(entry.data + bytes(-len(entry.data) % 4))
