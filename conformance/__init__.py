# SPDX-License-Identifier: MIT
"""
The judge: checks frontends and backends against the sentences of the pages.

``cases`` provoke, ``links`` reach a target and record a trace, ``rules`` judge
traces and nothing else, ``report`` says what came of it.
"""

__version__ = "0.1.0"
