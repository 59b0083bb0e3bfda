# SPDX-License-Identifier: MIT
"""Long random walks: moves, legal and hostile, that shrink to a short exchange when one breaks."""
