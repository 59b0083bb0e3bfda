# SPDX-License-Identifier: MIT
"""
A xenstore in memory: nodes, transactions, watches, and who may write where.

As much of it as two vTPM peers and a toolstack can tell from the real one.
Whoever owns a directory may write below it; everybody may read.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

#: Called with (domid, operation, path, value, transaction, ok) for each operation.
Observer = Callable[[int, str, str, str | None, int, bool], None]

#: Called with (watched path, token, changed path).
WatchEvent = Callable[[str, str, str], None]

#: Domid that may write everywhere, as dom0's toolstack may.
TOOLSTACK = -1

#: The most transactions, watches or nodes that one domain may have.
QUOTA = 1000

#: Characters of the longest path (XENSTORE_ABS_PATH_MAX).
PATH_MAX = 3072

#: A path that xenstored takes: no empty name, none of the letters that it refuses.
_PATH = re.compile(r"(/[A-Za-z0-9_@-]+)+|/")


class StoreError(Exception):
    """A refused operation; its text is the error name that xenstore sends."""


@dataclass
class _Transaction:
    started: int
    writes: dict[str, str | None] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)


@dataclass
class _Watch:
    domid: int
    path: str
    token: str
    fire: WatchEvent


class XenStore:
    """
    The store that all domains of one link share.

    :param observe: told of every operation of every domain.
    """

    def __init__(self, observe: Observer) -> None:
        self._observe = observe
        self._nodes: dict[str, str] = {}
        self._changed: dict[str, int] = {}
        self._clock = 0
        self._owners: dict[str, int] = {}
        self._transactions: dict[tuple[int, int], _Transaction] = {}
        self._next_transaction = 1
        self._watches: list[_Watch] = []

    def own(self, path: str, domid: int) -> None:
        """Give the directory ``path`` to ``domid``, as the toolstack does."""
        self._owners[path] = domid

    def read(self, domid: int, path: str, tx: int = 0) -> str | None:
        """
        Text of the node ``path``; ``None`` if there is none.

        :raises StoreError: ``ENOENT`` for an unknown transaction, ``EINVAL`` for
            what is no path.
        """
        _check(path)
        value = self._look(self._transaction(domid, tx), path)
        self._observe(domid, "read", path, value, tx, value is not None)
        return value

    def directory(self, domid: int, path: str, tx: int = 0) -> list[str] | None:
        """
        Names of the nodes right below ``path``; ``None`` if there are none.

        :raises StoreError: as ``read``.
        """
        _check(path)
        transaction = self._transaction(domid, tx)
        names = set(self._nodes) | set(transaction.writes if transaction else ())
        prefix = path.rstrip("/") + "/"
        found = {
            name[len(prefix) :].split("/")[0]
            for name in names
            if name.startswith(prefix) and self._look(transaction, name) is not None
        }
        return sorted(found) or ([] if self._look(transaction, path) is not None else None)

    def write(self, domid: int, path: str, value: str, tx: int = 0) -> None:
        """
        Write ``value`` to the node ``path``.

        :raises StoreError: ``EACCES``, the domain does not own the directory;
            ``ENOSPC``, it has too many nodes; or as ``read``.
        """
        self._change(domid, "write", path, value, tx)

    def remove(self, domid: int, path: str, tx: int = 0) -> None:
        """
        Remove the node ``path`` and all below it.

        :raises StoreError: ``EACCES``, ``ENOENT``, or as ``read``.
        """
        _check(path)
        transaction = self._transaction(domid, tx)
        names = dict.fromkeys([*self._nodes, *(transaction.writes if transaction else ())])
        below = [name for name in names if name == path or name.startswith(path + "/")]
        there = [name for name in below if self._look(transaction, name) is not None]
        if not there:
            raise StoreError("ENOENT")
        for name in there:
            self._change(domid, "rm", name, None, tx)

    def start(self, domid: int) -> int:
        """
        Start a transaction; return its number.

        :raises StoreError: ``ENOSPC``, the domain has too many open.
        """
        if sum(1 for owner, _ in self._transactions if owner == domid) >= QUOTA:
            raise StoreError("ENOSPC")
        tx = self._next_transaction
        self._next_transaction += 1
        self._transactions[domid, tx] = _Transaction(self._clock)
        self._observe(domid, "start", "", None, tx, True)
        return tx

    def end(self, domid: int, tx: int, commit: bool) -> bool:
        """
        End a transaction; return whether it took effect.

        :raises StoreError: ``EAGAIN``, something it touched has changed since.
        """
        transaction = self._transaction(domid, tx)
        if transaction is None:
            raise StoreError("ENOENT")
        del self._transactions[domid, tx]
        stale = any(self._changed.get(p, 0) > transaction.started for p in transaction.touched)
        self._observe(domid, "end", "", None, tx, commit and not stale)
        if commit and stale:
            raise StoreError("EAGAIN")
        if commit:
            for path, value in transaction.writes.items():
                self._set(path, value)
            for path in transaction.writes:
                self._fire(path)
        return commit

    def watch(self, domid: int, path: str, token: str, fire: WatchEvent) -> None:
        """
        Call ``fire`` now and whenever ``path`` or something below it changes.

        :raises StoreError: ``ENOSPC``, the domain has too many watches;
            ``EEXIST``, it has this one; ``EINVAL`` for what is no path.
        """
        _check(path)
        if any((w.domid, w.path, w.token) == (domid, path, token) for w in self._watches):
            raise StoreError("EEXIST")
        if sum(1 for watch in self._watches if watch.domid == domid) >= QUOTA:
            raise StoreError("ENOSPC")
        self._observe(domid, "watch", path, None, 0, True)
        self._watches.append(_Watch(domid, path, token, fire))
        fire(path, token, path)

    def unwatch(self, domid: int, path: str, token: str) -> None:
        """
        Take a watch back.

        :raises StoreError: ``ENOENT``, there is no such watch.
        """
        gone = (domid, path, token)
        left = [w for w in self._watches if (w.domid, w.path, w.token) != gone]
        if len(left) == len(self._watches):
            raise StoreError("ENOENT")
        self._watches = left

    def _transaction(self, domid: int, tx: int) -> _Transaction | None:
        if tx == 0:
            return None
        if (domid, tx) not in self._transactions:
            raise StoreError("ENOENT")
        return self._transactions[domid, tx]

    def _look(self, transaction: _Transaction | None, path: str) -> str | None:
        if transaction is not None:
            transaction.touched.add(path)
            if path in transaction.writes:
                return transaction.writes[path]
        return self._nodes.get(path)

    def _may_write(self, domid: int, path: str) -> bool:
        return domid == TOOLSTACK or self._owner(path) == domid

    def _owner(self, path: str) -> int | None:
        owners = self._owners.items()
        return next((o for d, o in owners if path == d or path.startswith(d + "/")), None)

    def _change(self, domid: int, op: str, path: str, value: str | None, tx: int) -> None:
        _check(path)
        transaction = self._transaction(domid, tx)
        refusal = "" if self._may_write(domid, path) else "EACCES"
        if not refusal and value is not None and not self._room(domid, path, transaction):
            refusal = "ENOSPC"
        self._observe(domid, op, path, value, tx, not refusal)
        if refusal:
            raise StoreError(refusal)
        if transaction is not None:
            transaction.touched.add(path)
            transaction.writes[path] = value
            return
        self._set(path, value)
        self._fire(path)

    def _room(self, domid: int, path: str, transaction: _Transaction | None) -> bool:
        """Whether ``domid`` may have the node ``path``, with those that it has."""
        names = self._nodes.keys() | (transaction.writes.keys() if transaction else set())
        if path in names or len(names) < QUOTA:
            return True
        return sum(1 for name in names if self._owner(name) == domid) < QUOTA

    def _set(self, path: str, value: str | None) -> None:
        self._clock += 1
        self._changed[path] = self._clock
        if value is None:
            self._nodes.pop(path, None)
        else:
            self._nodes[path] = value

    def _fire(self, changed: str) -> None:
        for watch in list(self._watches):
            if changed == watch.path or changed.startswith(watch.path.rstrip("/") + "/"):
                watch.fire(watch.path, watch.token, changed)


def _check(path: str) -> None:
    if len(path) > PATH_MAX or not _PATH.fullmatch(path):
        raise StoreError("EINVAL")
