# SPDX-License-Identifier: MIT
"""Mutants of the model's tables: each has to be caught by an expectation written by hand."""
