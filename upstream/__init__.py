# SPDX-License-Identifier: MIT
"""
What Xen can take of this tree: a patch series, and the document in its formats.

``extract`` is a Sphinx builder that makes one tree of the pages, ``blocks`` turns it
into pandoc's, ``document`` has pandoc write it in each format.  ``requirements``
gives each clause an OpenFastTrace tag.  ``series`` holds the patches as data,
``mail`` writes them, ``tree`` applies them to a real xen.git.
"""


class UpstreamError(Exception):
    """
    Something of the series cannot be made; the message says what to do.
    """
