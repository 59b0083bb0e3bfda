# SPDX-License-Identifier: MIT
"""
Other spellings, for the search: a page is found by words that it spells apart.
"""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

#: Words that people search for, and how the pages spell them.
SPELLINGS = {"timeout": r"\btime-?\s?outs?\b|\btimes? out\b|\btimed[- ]out\b|\btime limits?\b"}


class AddSpellings(SphinxTransform):
    """
    Give a page the keywords whose other spelling it uses.
    """

    default_priority = 900

    def apply(self, **kwargs: Any) -> None:
        text = self.document.astext()
        words = [word for word, spelt in SPELLINGS.items() if re.search(spelt, text, re.I)]
        if words:
            self.document.insert(0, nodes.meta("", name="keywords", content=" ".join(words)))


def setup(app: Sphinx) -> None:
    """Called by the package's ``setup``."""
    app.add_transform(AddSpellings)
