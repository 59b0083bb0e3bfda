# SPDX-License-Identifier: MIT
"""
Proof of no false alarm: random legal traffic, and the judge that has nothing to say of it.

The reference frontend meets a backend; who moves next, when events arrive,
when the TPM ends, when the user cancels is all drawn by lot, from a seed.
Everything is recorded and judged as any trace is, and counted by class, so
that it shows what was met.
"""
