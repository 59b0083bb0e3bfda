# SPDX-License-Identifier: MIT
"""
The page layout: the codec, the arithmetic, and Xen's own C header.
"""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtpm_ref import page
from vtpm_ref.page import Header

TPMIF = Path("/usr/include/xen/io/tpmif.h")

#: Offset and size of each field, by hand.
EXPECTED = {
    "length": (0, 4),
    "state": (4, 1),
    "locality": (5, 1),
    "pad": (6, 1),
    "nr_extra_pages": (7, 1),
}


def test_the_fields_lie_where_they_lie() -> None:
    """Five fields, eight bytes, no gap."""
    assert {f.name: (f.offset, f.size) for f in page.FIELDS} == EXPECTED
    assert page.HEADER_SIZE == 8


def test_the_fields_agree_with_the_c_header(tmp_path: Path) -> None:
    """What the compiler makes of tpmif.h is what the table says."""
    if not TPMIF.exists():
        pytest.skip("not run: apt-get install libxen-dev")
    checks = [
        f'_Static_assert(offsetof(struct tpmif_shared_page, {name}) == {offset}, "{name}");\n'
        f'_Static_assert(sizeof(((struct tpmif_shared_page *)0)->{name}) == {size}, "{name}");'
        for name, (offset, size) in EXPECTED.items()
    ]
    states = [
        f'_Static_assert(TPMIF_STATE_{name} == {value}, "{name}");'
        for name, value in (("IDLE", 0), ("SUBMIT", 1), ("FINISH", 2), ("CANCEL", 3))
    ]
    extra = "struct tpmif_shared_page"
    text = [
        "#include <stddef.h>",
        "#include <stdint.h>",
        "#include <xen/io/tpmif.h>",
        f'_Static_assert(sizeof({extra}) == 8, "size");',
        f'_Static_assert(offsetof({extra}, extra_pages) == 8, "extra_pages");',
        f'_Static_assert(sizeof((({extra} *)0)->extra_pages[0]) == 4, "grant reference");',
        *checks,
        *states,
    ]
    source = tmp_path / "layout.c"
    source.write_text("\n".join(text) + "\n")
    built = subprocess.run(
        ["gcc", "-std=gnu11", "-fsyntax-only", str(source)], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 255),
)
def test_a_header_survives_packing(length: int, state: int, loc: int, pad: int, n: int) -> None:
    """Unpack undoes pack, for any bytes a peer can write."""
    header = Header(length, state, loc, pad, n)
    assert Header.unpack(header.pack()) == header


def test_length_is_little_endian() -> None:
    """The first byte is the lowest."""
    assert Header(length=0x01020304).pack().hex() == "0403020100000000"


@pytest.mark.parametrize(
    ("header", "match"),
    [(Header(length=2**32), "length has 4 bytes"), (Header(state=256), "state has 1 bytes")],
)
def test_what_does_not_fit_is_refused(header: Header, match: str) -> None:
    """A field that is too large is the caller's error and says which."""
    with pytest.raises(ValueError, match=match):
        header.pack()


def test_a_short_header_is_refused() -> None:
    """Seven bytes are no header."""
    with pytest.raises(ValueError, match="8 bytes, got 7"):
        Header.unpack(bytes(7))


@pytest.mark.parametrize(
    ("count", "offset", "room"), [(0, 8, 4088), (1, 12, 4084), (3, 20, 4076), (255, 1028, 3068)]
)
def test_where_the_packet_starts(count: int, offset: int, room: int) -> None:
    """8 + 4·n, and what is left of 4096 bytes."""
    assert page.packet_offset(count) == offset
    assert page.capacity(count) == room


@pytest.mark.parametrize(("count", "room"), [(0, 4088), (1, 8180), (2, 12272), (255, 1047548)])
def test_extra_pages_would_follow_the_shared_one(count: int, room: int) -> None:
    """n + 1 pages, less the header and the list."""
    assert page.extended_capacity(count) == room
