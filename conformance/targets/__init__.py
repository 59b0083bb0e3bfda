# SPDX-License-Identifier: MIT
"""
The targets that ship with the judge, and what a target in Python is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from conformance.driver import Tpm
from vtpm_ref.packet import Family
from vtpm_ref.xenbus import Place


@dataclass
class Target:
    """
    A frontend or backend as a Python object.

    What ``--object package.module:factory`` names is called with the
    ``vtpm_ref.xenbus.Place`` of the device and returns one of these.

    :param name: shown in reports.
    :param machine: has the interface of the reference machines.
    :param tpm: the TPM behind a backend; a frontend has none.
    :param family: which TPM it speaks; taken from ``tpm`` if there is one.
    :param can: capabilities, the words of the adapter page.
    :param another: makes what serves a further frontend; only one that can ``many`` has it.
    """

    name: str
    machine: Any
    tpm: Tpm | None = None
    family: Family = Family.TPM20
    can: frozenset[str] = frozenset()
    another: "Callable[[Place], Target] | None" = None
