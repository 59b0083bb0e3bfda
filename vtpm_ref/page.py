# SPDX-License-Identifier: MIT
"""
The shared page: where each field lies, who owns it, and what fits.

``FIELDS`` is the only place that knows an offset.  The codec below, the
pictures in the pages and the comparison with Xen's C header all read it.
"""

from dataclasses import dataclass
from struct import Struct

#: Bytes in the shared page, whatever the page size of either side's CPU.
PAGE_SIZE = 4096

#: Bytes of one grant reference in the list.
GRANT_SIZE = 4

#: The highest locality that a TPM knows.
MOST_LOCALITY = 4

#: The most grant references that ``nr_extra_pages`` can count.
MAX_EXTRA_PAGES = 255


@dataclass(frozen=True)
class Field:
    """
    One field of the page header.

    :param offset: bytes from the start of the page.
    :param size: bytes; integers wider than one byte are little-endian.
    :param writers: who stores it, for the layout table.
    :param meaning: a few words for the layout table.
    """

    name: str
    offset: int
    size: int
    writers: str
    meaning: str

    @property
    def end(self) -> int:
        """Offset of the first byte after the field."""
        return self.offset + self.size


FIELDS = (
    Field("length", 0, 4, "frontend, backend", "bytes of request or response"),
    Field("state", 4, 1, "frontend, backend", "whose turn it is"),
    Field("locality", 5, 1, "frontend", "locality of this request"),
    Field("pad", 6, 1, "nobody", "zero"),
    Field("nr_extra_pages", 7, 1, "frontend", "grant references that follow"),
)

LENGTH, STATE, LOCALITY, PAD, NR_EXTRA_PAGES = FIELDS

#: Bytes of the fixed header; the grant list, then the packet, follow it.
HEADER_SIZE = NR_EXTRA_PAGES.end

#: The header for the struct module; the fields follow one another without gaps.
_LAYOUT = Struct("<" + "".join({1: "B", 4: "I"}[field.size] for field in FIELDS))


@dataclass(frozen=True)
class Header:
    """
    The eight header bytes, sampled once.

    Field meanings and sizes: ``FIELDS``.  ``state`` is kept as the number
    found, because the peer can put any number there.
    """

    length: int = 0
    state: int = 0
    locality: int = 0
    pad: int = 0
    nr_extra_pages: int = 0

    @classmethod
    def unpack(cls, raw: bytes) -> "Header":
        """
        Read a header from the first 8 bytes of ``raw``.

        :raises ValueError: ``raw`` is shorter than 8 bytes (the caller's fault).
        """
        if len(raw) < HEADER_SIZE:
            raise ValueError(f"a page header has {HEADER_SIZE} bytes, got {len(raw)}")
        return cls(*_LAYOUT.unpack_from(raw))

    def pack(self) -> bytes:
        """
        Return the 8 bytes of this header.

        :raises ValueError: a field does not fit its size (the caller's fault).
        """
        values = [getattr(self, field.name) for field in FIELDS]
        for field, value in zip(FIELDS, values, strict=True):
            if not 0 <= value < 1 << (8 * field.size):
                raise ValueError(f"{field.name} has {field.size} bytes, {value} does not fit")
        return _LAYOUT.pack(*values)


def packet_offset(nr_extra_pages: int) -> int:
    """
    Offset of the packet's first byte: 8 + 4 * ``nr_extra_pages``.

    Clause ``page.packet-offset``; Xen's header comment says 16, no code does.
    """
    return HEADER_SIZE + GRANT_SIZE * nr_extra_pages


def capacity(nr_extra_pages: int = 0) -> int:
    """
    Bytes of packet that fit between the grant list and the end of the page.
    """
    return PAGE_SIZE - packet_offset(nr_extra_pages)


def extended_capacity(nr_extra_pages: int) -> int:
    """
    Bytes of packet that fit when the extra pages follow the shared page.

    Nobody has extra pages today; the appendix of the document proposes them.
    """
    return capacity(nr_extra_pages) + PAGE_SIZE * nr_extra_pages
