# SPDX-License-Identifier: MIT
"""
How the pages' few other characters are written in ASCII.
"""

#: Xen's documents are ASCII, down to the names of their authors.
ASCII = str.maketrans(
    {
        "\u00b7": "*",
        "\u00d7": "x",
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2014": "-",
        "\u2026": "...",
        "\u2190": "<-",
        "\u2192": "->",
        "\u2212": "-",
        "\u2264": "<=",
        "\u2265": ">=",
        "\u00a0": " ",
    }
)
