# SPDX-License-Identifier: MIT
"""
The Xen vTPM shared-page protocol, version 2, as a model.

Pure Python: no I/O, no clock, no thread, standard library only.  The pages in
``spec/`` take every number and table from here; the judge in ``conformance/``
drives and compares against it.  This package knows nothing of either.
"""

from vtpm_ref.errors import ProtocolViolation
from vtpm_ref.states import Role, State

__all__ = ["ProtocolViolation", "Role", "State"]
