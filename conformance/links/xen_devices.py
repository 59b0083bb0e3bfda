# SPDX-License-Identifier: MIT
"""
Xen's devices in a domain's user space: grants, event channels, xenstore.

``/dev/xen/gntdev`` maps what others grant, ``/dev/xen/gntalloc`` grants pages of
one's own, ``/dev/xen/evtchn`` has ports, and xenstored's socket or
``/dev/xen/xenbus`` is the store.  Standard library only: this also runs in a lab's
dom0.  What Xen refuses is an ``OSError``.
"""

import contextlib
import fcntl
import mmap
import os
import select
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

from conformance.errors import AdapterError
from conformance.links.xenstore_wire import Message, Op, take_messages

PAGE_SIZE = 4096

#: ioctl numbers of xen/gntdev.h, xen/gntalloc.h and xen/evtchn.h.
_MAP_GRANT, _UNMAP_GRANT = 0x00184700, 0x00104701
_ALLOC_GRANT, _FREE_GRANT = 0x00184705, 0x00104706
_BIND_INTERDOMAIN, _BIND_UNBOUND = 0x00084501, 0x00044502
_UNBIND, _NOTIFY = 0x00044503, 0x00044504

#: gntalloc: the peer may write too.
_WRITABLE = 1

_STORE_SOCKETS = ("/run/xenstored/socket", "/var/run/xenstored/socket")
_STORE_DEVICES = ("/dev/xen/xenbus", "/proc/xen/xenbus")


def missing() -> str:
    """Which of the devices is not there; empty if all are."""
    devices = ("gntdev", "gntalloc", "evtchn")
    gone = [path for name in devices if not os.path.exists(path := f"/dev/xen/{name}")]
    return ", ".join(gone)


class Grants:
    """
    Pages mapped from other domains, and pages granted to them.

    Each mapping is known by its (domid, grant reference), each page of one's own
    by its grant reference.
    """

    def __init__(self) -> None:
        self._mapper = os.open("/dev/xen/gntdev", os.O_RDWR | os.O_CLOEXEC)
        self._allocator = os.open("/dev/xen/gntalloc", os.O_RDWR | os.O_CLOEXEC)
        self._mapped: dict[tuple[int, int], tuple[mmap.mmap, int]] = {}
        self._granted: dict[int, tuple[mmap.mmap, int]] = {}

    def map(self, domid: int, gref: int) -> memoryview:
        """
        Map page ``gref`` of ``domid``, readable and writable.

        :raises OSError: it is not granted to this domain.
        """
        request = bytearray(struct.pack("<IIQII", 1, 0, 0, domid, gref))
        fcntl.ioctl(self._mapper, _MAP_GRANT, request)
        (index,) = struct.unpack_from("<Q", request, 8)
        try:
            page = mmap.mmap(self._mapper, PAGE_SIZE, mmap.MAP_SHARED, offset=index)
        except OSError:
            self._forget_mapping(index)
            raise
        self._mapped[domid, gref] = page, index
        return memoryview(page)

    def unmap(self, domid: int, gref: int) -> bool:
        """Give a mapping up; whether there was one.  Nobody may hold its bytes any more."""
        page, index = self._mapped.pop((domid, gref), (None, 0))
        if page is None:
            return False
        page.close()
        self._forget_mapping(index)
        return True

    def grant(self, domid: int) -> tuple[int, memoryview]:
        """
        A new page of zeroes that ``domid`` may map; its reference and its bytes.

        :raises OSError: no page or no reference is left.
        """
        request = bytearray(struct.pack("<HHIQII", domid, _WRITABLE, 1, 0, 0, 0))
        fcntl.ioctl(self._allocator, _ALLOC_GRANT, request)
        index, gref = struct.unpack_from("<QI", request, 8)
        page = mmap.mmap(self._allocator, PAGE_SIZE, mmap.MAP_SHARED, offset=index)
        page[:] = bytes(PAGE_SIZE)
        self._granted[gref] = page, index
        return gref, memoryview(page)

    def revoke(self, gref: int) -> bool:
        """Take a page back; whether there was one.  Xen waits until nobody maps it."""
        page, index = self._granted.pop(gref, (None, 0))
        if page is None:
            return False
        page.close()
        fcntl.ioctl(self._allocator, _FREE_GRANT, struct.pack("<QII", index, 1, 0))
        return True

    def close(self) -> None:
        """Give everything back; nobody may hold bytes of a page any more."""
        for domid, gref in list(self._mapped):
            self.unmap(domid, gref)
        for gref in list(self._granted):
            self.revoke(gref)
        os.close(self._mapper)
        os.close(self._allocator)

    def _forget_mapping(self, index: int) -> None:
        fcntl.ioctl(self._mapper, _UNMAP_GRANT, struct.pack("<QII", index, 1, 0))


class EventChannels:
    """
    Ports of this domain.

    :ivar fd: readable when an event is pending on any of them.
    """

    def __init__(self) -> None:
        self.fd = os.open("/dev/xen/evtchn", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)

    def bind(self, domid: int, remote: int) -> int:
        """
        Bind a port to ``remote`` of ``domid``; one event is pending on it at once.

        :raises OSError: there is no such port for this domain.
        """
        return self._port(_BIND_INTERDOMAIN, struct.pack("<II", domid, remote))

    def allocate(self, domid: int) -> int:
        """
        A port that ``domid`` can bind.

        :raises OSError: none is left.
        """
        return self._port(_BIND_UNBOUND, struct.pack("<I", domid))

    def _port(self, request: int, argument: bytes) -> int:
        # Of a buffer that can be changed, ioctl returns the call's result: the port.
        port: int = fcntl.ioctl(self.fd, request, bytearray(argument))
        return port

    def unbind(self, port: int) -> None:
        """
        Close ``port``.

        :raises OSError: it is not open.
        """
        fcntl.ioctl(self.fd, _UNBIND, struct.pack("<I", port))

    def notify(self, port: int) -> None:
        """
        Send an event.

        :raises OSError: ``port`` is not open.
        """
        fcntl.ioctl(self.fd, _NOTIFY, struct.pack("<I", port))

    def take(self) -> list[int]:
        """Ports on which an event was pending; they can have the next one now."""
        ports: list[int] = []
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.fd, 4096):
                os.write(self.fd, data)
                ports += [port for (port,) in struct.iter_unpack("<I", data)]
        return ports

    def close(self) -> None:
        """Close all ports."""
        os.close(self.fd)


def connect_store() -> int:
    """
    A descriptor that speaks xenstore's wire protocol; the caller's to close.

    :raises AdapterError: there is no xenstore to be reached.
    """
    for path in filter(os.path.exists, _STORE_SOCKETS):
        with socket.socket(socket.AF_UNIX) as store:
            try:
                store.connect(path)
            except OSError as error:
                raise AdapterError(f"xenstored at {path}: {error.strerror}") from error
            return store.detach()
    for path in filter(os.path.exists, _STORE_DEVICES):
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    raise AdapterError(
        f"there is no xenstore here: neither {_STORE_SOCKETS[0]} nor {_STORE_DEVICES[0]}"
    )


_CLOSED = "xenstored has closed its connection"


class StoreClient:
    """
    A connection to the host's xenstore.

    :param changed: told of each watch event: the path that changed, and the token.
    :raises AdapterError: there is no xenstore to be reached.

    :ivar asked: how many operations it has asked for.
    """

    def __init__(self, changed: Callable[[str, str], None]) -> None:
        self._changed = changed
        self._buffer = bytearray()
        self._replies: dict[int, Message] = {}
        self.asked = 0
        self.fd = connect_store()

    def call(self, op: Op, *words: str, tx: int = 0, end: str = "\0") -> str:
        """
        Send one message and return what its reply carries.

        :param words: joined by NUL, with ``end`` behind them.
        :raises StoreRefused: xenstored's error.
        """
        return self._reply(self._ask(op, *words, tx=tx, end=end), f"{op.name} {words[0]}".rstrip())

    def _ask(self, op: Op, *words: str, tx: int, end: str) -> int:
        """Send one message; return its number."""
        self.asked += 1
        payload = ("\0".join(words) + end).encode("latin-1")
        message = Message(op, self.asked, tx, payload).pack()
        try:
            while message:
                message = message[os.write(self.fd, message) :]
        except BrokenPipeError:
            raise AdapterError(_CLOSED) from None
        return self.asked

    def _reply(self, request: int, operation: str) -> str:
        """Wait for the reply to a message; meanwhile who is told of a change may ask, too."""
        while request not in self._replies:
            self._receive()
            self._take()
        reply = self._replies.pop(request)
        said = reply.payload.decode("latin-1")
        if reply.op == Op.ERROR:
            raise StoreRefused(operation, said.rstrip("\0"))
        return said

    def pump(self) -> None:
        """Take in what has come, without waiting; watch events are passed on."""
        while select.select([self.fd], [], [], 0)[0]:
            self._receive()
            self._take()

    def _receive(self) -> None:
        try:
            data = os.read(self.fd, 65536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise AdapterError(_CLOSED)
        self._buffer += data

    def _take(self) -> None:
        for message in take_messages(self._buffer):
            if message.op == Op.WATCH_EVENT:
                path, token = message.payload.decode("latin-1").split("\0")[:2]
                self._changed(path, token)
            else:
                self._replies[message.request] = message

    # The store's operations.

    def read(self, path: str, tx: int = 0) -> str | None:
        """Text of a node; ``None`` if there is none, or it is not this domain's to read."""
        try:
            return self.call(Op.READ, path, tx=tx)
        except StoreRefused:
            return None

    def directory(self, path: str) -> list[str]:
        """Names right below ``path``; none if there is no such node."""
        try:
            return [name for name in self.call(Op.DIRECTORY, path).split("\0") if name]
        except StoreRefused:
            return []

    def write(self, path: str, value: str, tx: int = 0) -> None:
        """
        Write a node.

        :raises StoreRefused: it is not this domain's to write.
        """
        self.call(Op.WRITE, path, value, tx=tx, end="")

    def write_all(self, values: Mapping[str, str], tx: int) -> None:
        """
        Write nodes one after the other, and only then see what became of them.

        :raises StoreRefused: one of them is not this domain's to write.
        """
        asked = {
            self._ask(Op.WRITE, path, text, tx=tx, end=""): path for path, text in values.items()
        }
        for request, path in asked.items():
            self._reply(request, f"WRITE {path}")

    def make_directory(self, path: str, tx: int = 0) -> None:
        """Make a node without a text, unless it is there."""
        self.call(Op.MKDIR, path, tx=tx)

    def remove(self, path: str) -> None:
        """Remove a node and all below it; nothing if there is none."""
        with contextlib.suppress(StoreRefused):
            self.call(Op.RM, path)

    def permit(self, path: str, *permissions: str, tx: int = 0) -> None:
        """Set owner and readers of a node, such as ``n1``, ``r0``."""
        self.call(Op.SET_PERMS, path, *permissions, tx=tx)

    def start(self) -> int:
        """Start a transaction; return its number."""
        return int(self.call(Op.TRANSACTION_START, "").rstrip("\0"))

    def end(self, tx: int, commit: bool) -> bool:
        """End a transaction; whether it took effect."""
        try:
            self.call(Op.TRANSACTION_END, "T" if commit else "F", tx=tx)
        except StoreRefused:
            return False
        return commit

    def watch(self, path: str, token: str) -> None:
        """Have ``changed`` called now and whenever something at or below ``path`` changes."""
        self.call(Op.WATCH, path, token)

    def unwatch(self, path: str, token: str) -> None:
        """Take a watch back."""
        self.call(Op.UNWATCH, path, token)

    def close(self) -> None:
        """End the connection; its watches and transactions end with it."""
        os.close(self.fd)


class StoreRefused(AdapterError):
    """
    xenstored refused an operation.

    :ivar error: its name of the error, such as ``EACCES``.
    """

    def __init__(self, operation: str, error: str) -> None:
        super().__init__(f"xenstored refuses {operation}: {error}")
        self.error = error


def own_domid() -> int:
    """The domid of this domain, as xenstore knows it; 0 where there is none or it says nothing."""
    try:
        store = StoreClient(lambda path, token: None)
    except AdapterError:
        return 0
    try:
        return int(store.read("domid") or 0)
    finally:
        store.close()


def xen_version() -> str:
    """Version of the hypervisor; empty outside of Xen."""
    parts = Path("/sys/hypervisor/version")
    if not parts.is_dir():
        return ""
    major, minor, extra = ((parts / n).read_text().strip() for n in ("major", "minor", "extra"))
    return f"{major}.{minor}{extra}"
