# SPDX-License-Identifier: MIT
"""
Frontends that break what the page says of robustness.
"""
