# SPDX-License-Identifier: MIT
"""What came of a run: collected, weighed, and said to people and programs."""
