# SPDX-License-Identifier: MIT
"""How a target is reached: in memory, as a process, or as a recorded trace."""
