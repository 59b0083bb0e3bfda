# SPDX-License-Identifier: MIT
"""
What the pages, ports and nodes of a target in Python are made of.

Under the process link: a memfd, eventfds and a socket, for which the judge is asked.
On a Xen host: the domain's own devices.  The line that starts a target says which.
"""

import contextlib
import mmap
import os
from collections.abc import Callable
from typing import Any, Protocol

from conformance.links.xen_devices import EventChannels, Grants, connect_store
from vtpm_ref.page import PAGE_SIZE

#: Sends a request to the judge and returns its reply.
Ask = Callable[..., dict[str, Any]]


class Ground(Protocol):
    """
    Pages and ports.

    :ivar store_fd: speaks xenstore's wire protocol.
    """

    store_fd: int

    def grant(self, domid: int) -> tuple[int, memoryview]:
        """A page that ``domid`` may map: its reference and its bytes."""

    def map(self, domid: int, gref: int) -> memoryview | None:
        """The bytes of a page of ``domid``; ``None`` if that was refused."""

    def bind(self, domid: int, remote: int | None) -> int | None:
        """A port of one's own, bound to ``remote`` or left to be bound; ``None`` if refused."""

    def unmap(self, gref: int) -> None:
        """Give a mapping up."""

    def unbind(self, port: int) -> None:
        """Close a port."""

    def revoke(self, gref: int) -> bool:
        """Take a page back; whether that was possible."""

    def notify(self, port: int) -> None:
        """Send an event."""

    def fds(self) -> list[int]:
        """Descriptors that are readable when an event is pending."""

    def take(self, fd: int) -> list[int]:
        """The ports on which an event was pending, now that ``fd`` is readable."""


class Given:
    """
    What the judge has given to a program.

    :param start: the first line.
    """

    def __init__(self, start: dict[str, Any], ask: Ask) -> None:
        self._ask = ask
        self._memory = memoryview(mmap.mmap(start["memory_fd"], start["pages"] * PAGE_SIZE))
        self._wait_fds = [int(fd) for fd in start["wait_fds"].split(",")]
        self._signal_fds = [int(fd) for fd in start["signal_fds"].split(",")]
        self._ports: set[int] = set()
        self.store_fd: int = start["store_fd"]

    def grant(self, domid: int) -> tuple[int, memoryview]:
        """See ``Ground``."""
        gref = int(self._ask("grant", domid=domid)["gref"])
        return gref, self._page(gref)

    def map(self, domid: int, gref: int) -> memoryview | None:
        """See ``Ground``."""
        done = self._ask("map", domid=domid, gref=gref)["msg"] == "done"
        return self._page(gref) if done else None

    def bind(self, domid: int, remote: int | None) -> int | None:
        """See ``Ground``."""
        fields = {"domid": domid} | ({} if remote is None else {"port": remote})
        port: int | None = self._ask("bind", **fields).get("port")
        if port is not None:
            self._ports.add(port)
        return port

    def unmap(self, gref: int) -> None:
        """See ``Ground``."""
        self._ask("unmap", gref=gref)

    def unbind(self, port: int) -> None:
        """See ``Ground``."""
        self._ports.discard(port)
        self._ask("unbind", port=port)

    def revoke(self, gref: int) -> bool:
        """See ``Ground``."""
        return bool(self._ask("revoke", gref=gref)["msg"] == "done")

    def notify(self, port: int) -> None:
        """See ``Ground``."""
        os.eventfd_write(self._signal_fds[port], 1)

    def fds(self) -> list[int]:
        """See ``Ground``."""
        return [self._wait_fds[port] for port in self._ports]

    def take(self, fd: int) -> list[int]:
        """See ``Ground``."""
        os.eventfd_read(fd)
        return [self._wait_fds.index(fd)]

    def _page(self, gref: int) -> memoryview:
        return self._memory[gref * PAGE_SIZE : (gref + 1) * PAGE_SIZE]


class Devices:
    """
    A Xen domain's own devices.

    :raises OSError: this is no Xen domain, or its modules are not loaded.
    """

    def __init__(self) -> None:
        self._grants, self._channels = Grants(), EventChannels()
        self._mapped: dict[int, tuple[int, memoryview]] = {}
        self.store_fd = connect_store()

    def grant(self, domid: int) -> tuple[int, memoryview]:
        """See ``Ground``."""
        gref, view = self._grants.grant(domid)
        self._mapped[gref] = domid, view
        return gref, view

    def map(self, domid: int, gref: int) -> memoryview | None:
        """See ``Ground``."""
        with contextlib.suppress(OSError):
            view = self._grants.map(domid, gref)
            self._mapped[gref] = domid, view
            return view
        return None

    def bind(self, domid: int, remote: int | None) -> int | None:
        """See ``Ground``."""
        with contextlib.suppress(OSError):
            if remote is None:
                return self._channels.allocate(domid)
            return self._channels.bind(domid, remote)
        return None

    def unmap(self, gref: int) -> None:
        """See ``Ground``."""
        domid, view = self._mapped.pop(gref)
        view.release()
        self._grants.unmap(domid, gref)

    def unbind(self, port: int) -> None:
        """See ``Ground``."""
        with contextlib.suppress(OSError):
            self._channels.unbind(port)

    def revoke(self, gref: int) -> bool:
        """See ``Ground``; Xen keeps a page that is still mapped, and forgets it later."""
        _, view = self._mapped.pop(gref)
        view.release()
        return self._grants.revoke(gref)

    def notify(self, port: int) -> None:
        """See ``Ground``."""
        with contextlib.suppress(OSError):  # the peer may have closed its end
            self._channels.notify(port)

    def fds(self) -> list[int]:
        """See ``Ground``."""
        return [self._channels.fd]

    def take(self, fd: int) -> list[int]:
        """See ``Ground``."""
        return self._channels.take()


def ground_of(start: dict[str, Any], ask: Ask) -> Ground:
    """The ground that the first line of a judge speaks of."""
    return Given(start, ask) if "memory_fd" in start else Devices()
