# SPDX-License-Identifier: MIT
"""
Takes the kernel out of a bzImage.

Xen can start a bzImage by itself, but unpacking it in an emulated machine
takes ten seconds, here less than one.
"""

import gzip
import lzma
import struct

_ELF = b"\x7fELF"


def vmlinux(image: bytes) -> bytes:
    """
    The ELF file in ``image``; ``image`` itself where it cannot be taken apart.
    """
    if image[0x202:0x206] != b"HdrS":
        return image
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    elf = _unpacked(image[start : start + length])
    return elf if elf.startswith(_ELF) else image


def _unpacked(payload: bytes) -> bytes:
    """The payload of a bzImage; behind it stands the size that it unpacks to."""
    try:
        if payload.startswith(b"\xfd7zXZ"):
            return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(payload)
        if payload.startswith(b"\x1f\x8b"):
            return gzip.decompress(payload[:-4])
    except (lzma.LZMAError, OSError, EOFError):
        return b""
    return payload
