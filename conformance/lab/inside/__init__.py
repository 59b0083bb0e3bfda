# SPDX-License-Identifier: MIT
"""What runs inside the lab: in dom0, and in the Linux guest."""
