# SPDX-License-Identifier: MIT
"""
Backends that break what the page says of long packets.
"""
