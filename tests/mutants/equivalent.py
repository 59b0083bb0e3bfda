# SPDX-License-Identifier: MIT
"""
Mutants that make no difference to anybody, each with the reason.
"""

#: The reason by the mutant's name.
EQUIVALENT: dict[str, str] = {}
