# SPDX-License-Identifier: MIT
"""
Sphinx builds the pages: ``sphinx-build -n -W -c . spec build/html``.
"""

import sys
from pathlib import Path

from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.ext.doctest import DocTestBuilder

_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE), str(_HERE / "spec" / "_ext")]

project = "Xen vTPM protocol"
author = "the authors of this document"
copyright = f"{author}, CC-BY-4.0"
language = "en"

extensions = ["myst_parser", "sphinx.ext.doctest", "vtpm_spec", "upstream.extract"]
exclude_patterns = ["_ext", "_static"]
nitpicky = True

# Every example stands in a {doctest} fence, where pytest finds it too.
doctest_test_doctest_blocks = ""

html_theme = "furo"
html_title = project
html_static_path = [str(_HERE / "spec" / "_static")]
html_css_files = ["vtpm.css"]
html_js_files = [("wide-tables.js", {"defer": "defer"})]
html_favicon = str(_HERE / "spec" / "_static" / "favicon.svg")
html_show_sphinx = False
# A search would fetch each page that it found, which a browser refuses for files.
html_show_search_summary = False
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None

text_sectionchars = "=-~"
text_add_secnumbers = False


class PageDocTestBuilder(DocTestBuilder):
    """
    The doctest builder, with the line numbers of the pages.

    MyST gives a fence its own line; Sphinx takes one off, as reStructuredText
    needs it.
    """

    @staticmethod
    def get_line_number(node: Node) -> int | None:
        """The line of the fence."""
        return node.line


def setup(app: Sphinx) -> None:
    """Put the builder above in the place of Sphinx's own."""
    app.add_builder(PageDocTestBuilder, override=True)
