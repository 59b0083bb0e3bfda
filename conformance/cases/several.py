# SPDX-License-Identifier: MIT
"""Cases of the page on several frontends."""
