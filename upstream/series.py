# SPDX-License-Identifier: MIT
"""
The series as data: what each patch says, and what it changes.

The document is given; all else that goes into Xen stands here.
"""

from collections.abc import Mapping

from .document import FORMATS
from .mail import Change, File, Patch

COVER = """
The protocol between a vTPM frontend and its backend has been in use since
Xen 4.3, and is described by a header and a few commit messages only. They
leave much open, and in one place the header is wrong.

This series corrects that place, and adds a description from which a
frontend or a backend can be written. Nothing changes for those that exist:
each rule says whether a public text states it, deployed code practises it,
or the document decides it, and names the drivers that do otherwise.

Patch 1 stands alone. Patch 4 repeats the document of patch 2 as plain text,
for those who read it without pandoc; it can be left out.
"""

HEADER = Patch(
    subject="xen/public: correct the offsets in the comment of io/tpmif.h",
    body="""
The comment above struct tpmif_shared_page puts the list of grant IDs at
offset 16 and the packet at 16+4*nr_extra_pages. The structure below it is
8 bytes long and ends in that list, so the list is at 8 and the packet at
8+4*nr_extra_pages.

That is also where the implementations look for them: Linux's xen-tpmfront
and mini-os's tpmback have the packet at 8+4*nr_extra_pages, and mini-os's
tpmfront, which knows no extra pages, at 8. A driver written from the
comment would work with none of them.

No functional change.
""",
    fixes='f494d9f3c375 ("mini-os/tpm{back, front}: Change shared page ABI")',
    files=(
        File(
            "xen/include/public/io/tpmif.h",
            "MIT",
            changes=(
                Change(
                    """\
 *  Offset               Contents
 *  =================================================
 *  0                    struct tpmif_shared_page
 *  16                   [optional] List of grant IDs
 *  16+4*nr_extra_pages  TPM packet data
 *
 * If the TPM packet data extends beyond the end of a single page, the grant IDs
 * defined in extra_pages are used as if they were mapped immediately following
""",
                    """\
 *  Offset               Contents
 *  =================================================
 *  0                    struct tpmif_shared_page
 *  8                    [optional] List of grant IDs
 *  8+4*nr_extra_pages   TPM packet data
 *
 * If the TPM packet data extends beyond the end of a single page, the grant IDs
 * defined in extra_pages are used as if they were mapped immediately following
""",
                    91,
                ),
            ),
        ),
    ),
)

PATHS = Patch(
    subject="docs: name the vtpm directories in xenstore-paths",
    body="""
Frontend and backend of a vTPM have their nodes where all PV devices have
theirs, but the list of paths names neither directory.

Add both, with a pointer to the protocol.
""",
    files=(
        File(
            "docs/misc/xenstore-paths.pandoc",
            "GPL-2.0",
            changes=(
                Change(
                    "\n#### ~/device/pvcalls/$DEVID/* []\n",
                    """
#### ~/device/vtpm/$DEVID/* []

A virtual TPM frontend. Described by
[docs/misc/vtpm-protocol.pandoc](vtpm-protocol.html)

#### ~/device/pvcalls/$DEVID/* []
""",
                    313,
                ),
                Change(
                    "\n#### ~/backend/pvcalls/$DOMID/$DEVID/* []\n",
                    """
#### ~/backend/vtpm/$DOMID/$DEVID/* []

A virtual TPM backend. Described by
[docs/misc/vtpm-protocol.pandoc](vtpm-protocol.html)

#### ~/backend/pvcalls/$DOMID/$DEVID/* []
""",
                    397,
                ),
            ),
        ),
    ),
)

INDEX = File(
    "docs/INDEX",
    "GPL-2.0",
    changes=(
        Change(
            "misc/vtd\t\t\tVT-d HOWTO\nmisc/xen-error-handling\t\tXen Error Handling\n",
            "misc/vtd\t\t\tVT-d HOWTO\nmisc/vtpm-protocol\t\tXen vTPM protocol\n"
            "misc/xen-error-handling\t\tXen Error Handling\n",
            19,
        ),
    ),
)


def series(texts: Mapping[str, str]) -> tuple[Patch, ...]:
    """
    Return the patches in their order.

    :param texts: the document in the formats ``pandoc`` and ``plain``.
    """
    return (
        HEADER,
        Patch(
            subject="docs: describe the vTPM protocol",
            body="""
xen-vtpm(7) says how to set a vTPM up, and no document says what its
frontend and backend say to each other. Whoever writes a driver has the
comments in io/tpmif.h, which leave out xenstore, byte order and what
becomes of a malformed request, and the deployed drivers, which do not
agree everywhere.

Describe the protocol as 9pfs and pvcalls are described: what is in the
shared page and in xenstore, who may write it and when, and what follows.
Each rule has a name, so that a review can refer to it, and says where it
comes from. Where the texts are silent the document decides, and gives
reasons, alternatives and what deployed drivers do.
""",
            files=(
                File(f"docs/misc/{FORMATS['pandoc'].file}", "CC-BY-4.0", texts["pandoc"]),
                INDEX,
            ),
            note="""
The document is licensed CC-BY-4.0, as Xen's Sphinx documents are, and not
GPL-2.0, which is the default in docs/misc/; its first line says so.
""",
        ),
        PATHS,
        Patch(
            subject="docs: add the vTPM protocol as plain text",
            body="""
The same document as misc/vtpm-protocol, wrapped for a terminal.

The name is an old one. Until Xen 4.9 docs/misc/vtpm.txt said how to set a
vTPM up, which is now in xen-vtpm(7), and Linux's documentation still sends
its readers there.
""",
            files=(File(f"docs/misc/{FORMATS['plain'].file}", "CC-BY-4.0", texts["plain"]),),
            note="""
Made from the same source as misc/vtpm-protocol.pandoc; CC-BY-4.0 like it.
""",
        ),
    )
