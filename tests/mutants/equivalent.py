# SPDX-License-Identifier: MIT
"""
Mutants that make no difference to anybody, each with the reason.
"""

#: The reason by the mutant's name.
EQUIVALENT: dict[str, str] = {
    "program of the frontend: CLOSING: on to END_EARLIER": (
        "END_EARLIER and CLOSED are the same row: both write Closed and go on to READ_GONE"
    ),
    "program of the frontend: PUT_SUBMIT: on to RING_CANCEL": (
        "RING_CANCEL does what RING does, unless the frontend has given up; before"
        " SUBMIT it cannot have"
    ),
}
