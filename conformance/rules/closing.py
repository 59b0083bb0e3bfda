# SPDX-License-Identifier: MIT
"""Rules of the page on closing and coming back."""
