# SPDX-License-Identifier: MIT
"""
What a program asks of its hypervisor, asked of a link: pages and ports.

The requests of the adapter page, carried out or refused; who asks for nonsense
is refused as Xen would refuse it.
"""

from collections.abc import Callable
from typing import Any

from conformance.links.base import Link
from conformance.links.connection import Connection
from conformance.links.lines import number

_Message = dict[str, Any]

#: What a request is refused with.
_REFUSALS = {
    "grant": "no page for that domain",
    "map": "no such grant",
    "bind": "no such port",
    "unbind": "no such port",
    "revoke": "no such page, or it is mapped",
    "unmap": "no such page",
}


class Requests:
    """
    The target's requests to ``link``.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._carry_out: dict[str, Callable[[Connection, _Message], _Message | None]] = {
            "grant": self._grant,
            "map": self._map,
            "bind": self._bind,
            "unbind": self._unbind,
            "revoke": self._revoke,
            "unmap": self._unmap,
        }

    def answer(self, message: _Message) -> _Message:
        """
        Carry out a request; return the reply.

        :raises AdapterError: a key is missing or holds something else.
        """
        kind = message["msg"]
        connection = self._link.connection_of(*self._meant(message))
        got = self._carry_out[kind](connection, message)
        reply = {"msg": "done", "id": number(message, "id")}
        if got is None:
            return reply | {"msg": "refused", "why": _REFUSALS[kind]}
        return reply | got

    @staticmethod
    def _meant(message: _Message) -> tuple[str, int]:
        """By what a request names the connection that it is about."""
        named = next((key for key in ("domid", "gref", "port") if key in message), "domid")
        return named, number(message, named)

    def _grant(self, connection: Connection, message: _Message) -> _Message | None:
        role = self._link.judged
        if number(message, "domid") != connection.domid_of(role.peer):
            return None
        gref = self._link.grant(connection, role)
        return None if gref is None else {"gref": gref}

    def _map(self, connection: Connection, message: _Message) -> _Message | None:
        gref, domid = number(message, "gref"), number(message, "domid")
        return _done(self._link.map(connection, self._link.judged, gref, domid))

    def _bind(self, connection: Connection, message: _Message) -> _Message | None:
        remote = number(message, "port") if "port" in message else None
        domid = number(message, "domid")
        port = self._link.bind(connection, self._link.judged, domid, remote)
        return None if port is None else {"port": port}

    def _unbind(self, connection: Connection, message: _Message) -> _Message | None:
        return _done(self._link.unbind(connection, self._link.judged, number(message, "port")))

    def _revoke(self, connection: Connection, message: _Message) -> _Message | None:
        return _done(self._link.revoke(connection, self._link.judged, number(message, "gref")))

    def _unmap(self, connection: Connection, message: _Message) -> _Message | None:
        return _done(self._link.unmap(connection, self._link.judged, number(message, "gref")))


def _done(possible: bool) -> _Message | None:
    """What a request gets that brings nothing but that it was carried out."""
    return {} if possible else None
