# SPDX-License-Identifier: MIT
"""
Sphinx builds the pages: ``sphinx-build -n -W -c . spec build/html``.
"""

import sys
from pathlib import Path

from sphinx.ext.doctest import DocTestBuilder

_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE), str(_HERE / "spec" / "_ext")]

project = "Xen vTPM protocol"
author = "the authors of this document"
copyright = f"{author}, CC-BY-4.0"
language = "en"

extensions = ["myst_parser", "sphinx.ext.doctest", "vtpm_spec"]
exclude_patterns = ["_ext", "_static"]
nitpicky = True

# Every example stands in a {doctest} fence, where pytest finds it too.
doctest_test_doctest_blocks = ""

html_theme = "furo"
html_title = project
html_static_path = [str(_HERE / "spec" / "_static")]
html_css_files = ["vtpm.css"]
html_favicon = str(_HERE / "spec" / "_static" / "favicon.svg")
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None

text_sectionchars = "=-~"
text_add_secnumbers = False

# MyST gives a fence its own line; Sphinx takes one off, as reStructuredText needs it.
DocTestBuilder.get_line_number = staticmethod(lambda node: node.line)
