# SPDX-License-Identifier: MIT
"""
What is measured, each beside a yardstick that is measured in the same run.

Figures, not tests: nothing fails because a machine is slow or busy.  Each
module measures one thing and has a ``measure`` that returns its rows.
"""
