# SPDX-License-Identifier: MIT
"""
A real Xen host inside QEMU, for the xen link to live in.

Built from Debian's packages into a cache folder, booted once, and restored from
a snapshot for every run.  Nothing of the host is touched.
"""
