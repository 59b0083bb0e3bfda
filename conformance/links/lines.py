# SPDX-License-Identifier: MIT
"""
The JSON lines of the adapter page: taken apart, and checked before anything is done.

Whatever is wrong with a line is the adapter's fault, never the target's.
"""

import json
from typing import Any

from conformance.errors import AdapterError
from conformance.links.base import Outcome
from vtpm_ref.packet import Family

#: Version of the adapter page.
PROTOCOL = 1

#: What the judge can be asked for.
REQUESTS = ("grant", "revoke", "map", "unmap", "bind", "unbind")

_OUTCOMES = ("response", "cancelled", "refused", "failed", "timed-out", "closed", "connected")


def is_message(line: bytes) -> bool:
    """Whether a line among free text is meant as one of the adapter page, well formed or not."""
    return line.startswith(b"{") and b'"msg"' in line


def is_agent(line: bytes) -> bool:
    """Whether a line says that there is an agent."""
    text = line.strip()
    try:
        return is_message(text) and parse_line(text)["msg"] == "agent"
    except AdapterError:
        return False


def parse_line(line: bytes) -> dict[str, Any]:
    """
    One line of the target as a flat JSON object with a ``msg``.

    :raises AdapterError: it is none; the error shows the line.
    """
    try:
        message = json.loads(line.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise AdapterError(
            f"the target printed what is not JSON on its stdout: {cut(line)}"
        ) from error
    if not isinstance(message, dict) or not isinstance(message.get("msg"), str):
        raise AdapterError(f"the target printed a line without a msg: {cut(line)}")
    nested = [key for key, value in message.items() if isinstance(value, list | dict)]
    if nested:
        raise AdapterError(f"{nested[0]!r} of a line of the target is not flat: {cut(line)}")
    return message


def number(message: dict[str, Any], key: str) -> int:
    """
    A number of 32 bits in a line.

    :raises AdapterError: it is missing, or something else.
    """
    value = message.get(key)
    # In Python a bool is an int.
    if type(value) is not int or not 0 <= value < 1 << 32:
        raise AdapterError(
            f"{key} of the target's {message['msg']} is {json.dumps(value)};"
            " it has to be a number of 32 bits"
        )
    return value


def cut(line: bytes) -> str:
    """A line as it can be shown: readable, and not too long."""
    text = line.decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= 120 else text[:117] + "...")


def parse_ready(message: dict[str, Any]) -> tuple[Family, frozenset[str]]:
    """
    The TPM and the capabilities that a ``ready`` declares.

    :raises AdapterError: another version of the adapter page, or an unknown TPM.
    """
    protocol = number(message, "protocol")
    if protocol != PROTOCOL:
        raise AdapterError(
            f"the target speaks version {protocol} of the adapter page;"
            f" this judge speaks {PROTOCOL}"
        )
    tpm = message.get("tpm", "none")
    if tpm not in tuple(Family):
        raise AdapterError(f"the target's tpm is {tpm!r}; it can be 1.2, 2.0 or none")
    return Family(tpm), frozenset(filter(None, str(message.get("can", "")).split(",")))


def parse_result(message: dict[str, Any]) -> Outcome:
    """
    What a ``result`` says of an order.

    :raises AdapterError: an unknown outcome, or a packet that is not hexadecimal.
    """
    outcome = message.get("is")
    if outcome not in _OUTCOMES:
        raise AdapterError(f"a result is {outcome!r}; it can be {', '.join(_OUTCOMES)}")
    try:
        packet = bytes.fromhex(str(message.get("packet", "")))
    except ValueError as error:
        raise AdapterError("the packet of a result is not in hexadecimal digits") from error
    return Outcome(str(outcome), packet, str(message.get("why", "")))
