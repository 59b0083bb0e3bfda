# SPDX-License-Identifier: MIT
"""Rules of the page on long packets."""
