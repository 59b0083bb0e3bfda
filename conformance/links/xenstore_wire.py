# SPDX-License-Identifier: MIT
"""
xenstore's wire protocol (xs_wire.h): messages to and from bytes, and a server.

The codec serves the process link's socket and, on a real host, xenstored's.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from conformance.errors import AdapterError
from conformance.links.xenstore import StoreError, XenStore

#: type, request id, transaction id, payload length; native order is little-endian.
HEADER = struct.Struct("<IIII")

#: The most payload bytes of one message (XENSTORE_PAYLOAD_MAX).
PAYLOAD_MAX = 4096


class Op(IntEnum):
    """Message types, as ``xs_wire.h`` numbers them."""

    DIRECTORY = 1
    READ = 2
    GET_PERMS = 3
    WATCH = 4
    UNWATCH = 5
    TRANSACTION_START = 6
    TRANSACTION_END = 7
    WRITE = 11
    MKDIR = 12
    RM = 13
    SET_PERMS = 14
    WATCH_EVENT = 15
    ERROR = 16


@dataclass(frozen=True)
class Message:
    """One message; ``payload`` without its header."""

    op: int
    request: int
    tx: int
    payload: bytes

    def pack(self) -> bytes:
        """The bytes on the wire."""
        return HEADER.pack(self.op, self.request, self.tx, len(self.payload)) + self.payload


def take_messages(buffer: bytearray) -> Iterator[Message]:
    """
    Take all whole messages from the front of ``buffer``, one by one.

    :raises AdapterError: the sender announces more than a message can hold.
    """
    while len(buffer) >= HEADER.size:
        op, request, tx, length = HEADER.unpack_from(buffer)
        if length > PAYLOAD_MAX:
            raise AdapterError(
                f"the target sent {bytes(buffer[:16]).hex(' ')} to xenstore: a payload of"
                f" {length} bytes; a message has at most {PAYLOAD_MAX}"
            )
        if len(buffer) < HEADER.size + length:
            break
        payload = bytes(buffer[HEADER.size : HEADER.size + length])
        del buffer[: HEADER.size + length]
        yield Message(op, request, tx, payload)


def _strings(payload: bytes, count: int) -> list[str]:
    """The ``count`` strings of a payload, each of which ends with a NUL."""
    strings = payload.decode("latin-1").split("\0")
    if len(strings) <= count or (count == 1 and strings[1:] != [""]):
        raise StoreError("EINVAL")
    return strings[:count]


class StoreServer:
    """
    Answers one domain's messages from a store.

    :param home: relative paths start here, ``/local/domain/<domid>``.
    :param send: sends bytes to the domain.
    """

    def __init__(self, store: XenStore, domid: int, send: Callable[[bytes], None]) -> None:
        self._store = store
        self._domid = domid
        self._send = send

    def handle(self, message: Message) -> None:
        """Answer ``message``, with an error message where it is refused."""
        later: list[Message] = []
        try:
            payload = self._answer(message, later)
            op = message.op
        except StoreError as error:
            payload, op = str(error).encode() + b"\0", Op.ERROR
        if len(payload) > PAYLOAD_MAX:
            payload, op = b"E2BIG\0", Op.ERROR
        self._send(Message(op, message.request, message.tx, payload).pack())
        for event in later:
            self._send(event.pack())

    def _answer(self, message: Message, later: list[Message]) -> bytes:
        store, domid, tx = self._store, self._domid, message.tx

        def path() -> str:
            return self._absolute(_strings(message.payload, 1)[0])

        match message.op:
            case Op.READ:
                return self._found(store.read(domid, path(), tx)).encode("latin-1")
            case Op.DIRECTORY:
                names = store.directory(domid, path(), tx)
                if names is None:
                    raise StoreError("ENOENT")
                return b"".join(name.encode("latin-1") + b"\0" for name in names)
            case Op.WRITE:
                name, nul, value = message.payload.decode("latin-1").partition("\0")
                if not nul:
                    raise StoreError("EINVAL")
                store.write(domid, self._absolute(name), value, tx)
            case Op.MKDIR:
                if store.read(domid, path(), tx) is None:
                    store.write(domid, path(), "", tx)
            case Op.RM:
                store.remove(domid, path(), tx)
            case Op.WATCH:
                watched, token = _strings(message.payload, 2)
                self._watch(self._absolute(watched), token, later)
            case Op.UNWATCH:
                watched, token = _strings(message.payload, 2)
                store.unwatch(domid, self._absolute(watched), token)
            case Op.TRANSACTION_START:
                return str(store.start(domid)).encode() + b"\0"
            case Op.TRANSACTION_END:
                commits = {"T": True, "F": False}.get(_strings(message.payload, 1)[0])
                if commits is None:
                    raise StoreError("EINVAL")
                store.end(domid, tx, commits)
            case Op.GET_PERMS:
                return f"n{domid}".encode() + b"\0"
            case Op.SET_PERMS:
                pass
            case _:
                raise StoreError("ENOSYS")
        return b"OK\0"

    def _watch(self, path: str, token: str, later: list[Message]) -> None:
        """The first event follows the answer; the others are sent as they come."""
        registering = [True]

        def fire(_: str, token: str, changed: str) -> None:
            payload = f"{changed}\0{token}\0".encode("latin-1")
            event = Message(Op.WATCH_EVENT, 0, 0, payload)
            if len(payload) > PAYLOAD_MAX:
                return  # xenstored drops it as well
            if registering:
                later.append(event)
            else:
                self._send(event.pack())

        self._store.watch(self._domid, path, token, fire)
        registering.clear()

    def _absolute(self, path: str) -> str:
        return path if path.startswith("/") else f"/local/domain/{self._domid}/{path}"

    @staticmethod
    def _found(value: str | None) -> str:
        if value is None:
            raise StoreError("ENOENT")
        return value
