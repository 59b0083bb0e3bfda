# SPDX-License-Identifier: MIT
"""Cases of the page on closing and coming back."""
