# SPDX-License-Identifier: MIT
"""
The one exception that the model raises for a step the protocol forbids.
"""


class ProtocolViolation(Exception):
    """
    The caller asked for a step that a clause forbids; nothing has changed.

    :param clause: id of the clause, as written in the pages.
    :param role: who asked, ``frontend`` or ``backend``.
    :param old: what was there before (a state, a length), as text.
    :param new: what the caller wanted there, as text.
    """

    def __init__(self, clause: str, role: str, old: str, new: str) -> None:
        super().__init__(f"{clause}: the {role} may not go from {old} to {new}")
        self.clause = clause
        self.role = role
        self.old = old
        self.new = new
