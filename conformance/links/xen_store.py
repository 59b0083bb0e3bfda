# SPDX-License-Identifier: MIT
"""
The host's xenstore as a link uses it, and what it lets one see of the target.

With xenstored's trace log every operation of both sides is seen, in the order in
which xenstored took them.  Without it, only the judge's own are, and what a watch
shows of the target's nodes: that they have changed, and what they say then.
"""

import os
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from conformance.errors import AdapterError
from conformance.links.xen_devices import StoreClient, StoreRefused
from conformance.links.xenstore import TOOLSTACK, StoreError, WatchEvent
from vtpm_ref.states import Role
from vtpm_ref.xenbus import Place

#: Told of each operation: whether the judge's own, operation, path, value, transaction, success.
Record = Callable[[bool, str, str, str | None, int, bool], None]

#: Seconds, before the multiplier, until the log has what xenstored has answered already.
_LOG_LIMIT = 0.5

_LINE = re.compile(r"(IN|OUT) (0x[0-9a-f]+) \d+ [\d:]+ ([A-Z_]+) \((.*)\)")


@dataclass
class _Entry:
    """An operation in the log; ``ok`` is ``None`` until its reply is there."""

    connection: str
    op: str
    words: str
    ok: bool | None = None
    said: str = ""


class StoreLog:
    """
    xenstored's trace log, from its present end on.

    A log line does not name its transaction; a write is put down to the one that its
    connection has open.

    :param path: the file that xenstored writes (``xenstore-control logfile``).
    :param places: the devices; operations elsewhere are left out.
    :param judged: domid of the target, whose relative paths start in its home.
    :param scale: multiplier of every limit, for slow machines.
    """

    def __init__(
        self, path: Path, places: list[Place], judged: int, record: Record, scale: float = 1.0
    ) -> None:
        self._path, self._limit = path, _LOG_LIMIT * scale
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.lseek(self._fd, 0, os.SEEK_END)
        self._places = places
        # A guest's relative path starts in its home; whoever is in dom0 names whole paths.
        self._home = f"/local/domain/{judged}/" if judged else "?"
        self._record = record
        self._rest = ""
        self._own = ""
        self._answered = 0
        self._entries: list[_Entry] = []
        self._open: dict[str, list[int]] = {}
        self._shown: set[tuple[str, int]] = set()

    def find_own(self, client: StoreClient) -> None:
        """
        Learn which connection is ``client``: the one that reads a node of this name.

        :raises AdapterError: the log does not show it.
        """
        marker = f"/tool/vtpm-conformance/{os.getpid()}"
        client.read(marker)
        deadline = time.monotonic() + self._limit
        while not self._own:
            self._entries += self._parse()
            for entry in self._entries:
                if entry.op == "READ" and entry.words.rstrip() == marker and entry.ok is not None:
                    self._own, self._answered = entry.connection, client.asked
            if not self._own:
                self._check(deadline)
        self._entries.clear()

    def drain(self, asked: int = 0) -> None:
        """
        Record what is new.

        :param asked: operations that the judge has asked for; all have been answered,
            so wait until the log has them, and whatever xenstored took before them.
        :raises AdapterError: the log does not show them; what it shows is recorded.
        """
        deadline = time.monotonic() + self._limit
        try:
            self._entries += self._parse()
            while not self._is_settled(asked):
                self._check(deadline)
                self._entries += self._parse()
        finally:
            while self._entries and self._entries[0].ok is not None:
                self._tell(self._entries.pop(0))

    def _check(self, deadline: float) -> None:
        """Let xenstored, which has to write its line, have the CPU; but not for ever."""
        if time.monotonic() > deadline:
            raise AdapterError(
                f"xenstored's log {self._path} does not show within {self._limit:g} s what it"
                " has answered; is it on (xenstore-control log on), and is the disk full?"
            )
        time.sleep(0.0001)

    def _is_settled(self, asked: int) -> bool:
        if not asked:
            return True
        mine = [i for i, entry in enumerate(self._entries) if entry.connection == self._own]
        before = self._entries[: mine[-1] + 1] if mine else []
        return self._answered >= asked and all(entry.ok is not None for entry in before)

    def close(self) -> None:
        """Let the file go."""
        os.close(self._fd)

    def _parse(self) -> list[_Entry]:
        """New operations; replies are noted at those that they answer."""
        found: list[_Entry] = []
        while data := os.read(self._fd, 1 << 16):
            *lines, self._rest = (self._rest + data.decode("latin-1")).split("\n")
            for line in lines:
                match = _LINE.fullmatch(line)
                if match is None or match[3] == "WATCH_EVENT":
                    continue
                way, connection, op, words = match.groups()
                if way == "IN":
                    found.append(_Entry(connection, op, words))
                    continue
                for entry in self._entries + found:
                    if entry.connection == connection and entry.ok is None:
                        entry.ok, entry.said = op != "ERROR", words.rstrip()
                        self._answered += connection == self._own
                        break
        return found

    def _tell(self, entry: _Entry) -> None:
        open_ = self._open.setdefault(entry.connection, [])
        own, ok = entry.connection == self._own, bool(entry.ok)
        if entry.op == "TRANSACTION_START" and ok:
            open_.append(int(entry.said))
        elif entry.op == "TRANSACTION_END" and open_:
            tx = open_.pop()
            if (entry.connection, tx) in self._shown:
                commits = ok and entry.words.startswith("T")
                self._record(own, "end", "", None, tx, commits)
        elif entry.op in ("WRITE", "RM"):
            path, _, value = entry.words.partition(" ")
            path = path if path.startswith("/") else self._home + path
            homes = [d + "/" for p in self._places for d in (p.frontend_dir, p.backend_dir)]
            if not path.startswith(tuple(homes)):
                return
            tx = open_[-1] if open_ else 0
            if tx and (entry.connection, tx) not in self._shown:
                self._shown.add((entry.connection, tx))
                self._record(own, "start", "", None, tx, True)
            op = "rm" if entry.op == "RM" else "write"
            self._record(own, op, path, value if op == "write" else None, tx, ok)


class RealStore:
    """
    The host's store, with the interface of ``conformance.links.xenstore.XenStore``.

    The domid that each operation names is not used: it is always this domain.

    :param judged: domid of the target.
    :param log: xenstored's trace log, if it writes one.
    :param scale: multiplier of every limit, for slow machines.

    :ivar places: the devices whose nodes are recorded.
    :ivar toolstack: whether what is written now is the toolstack's part.
    :raises AdapterError: there is no xenstore here, or its log shows nothing.
    """

    def __init__(self, judged: int, record: Record, log: Path | None, scale: float = 1.0) -> None:
        self.places: list[Place] = []
        self.toolstack = False
        self._record = record
        self._fires: dict[str, tuple[str, str, WatchEvent]] = {}
        self._tokens = 0
        self._homes: list[str] = []
        self._own: Counter[str] = Counter()
        self._stale: list[str] = []
        self.client = StoreClient(self._changed)
        self.fd = self.client.fd
        self._log: StoreLog | None = None
        if log is not None:
            self._log = StoreLog(log, self.places, judged, record, scale)
            self._log.find_own(self.client)

    def follow(self, place: Place, judged: Role) -> None:
        """
        From now on record what happens to the nodes of ``place``.

        Without a log, a watch tells that a node of the target has changed, and a look
        what it says then.
        """
        self.places.append(place)
        if self._log is None:
            home = place.path(judged, "state").rpartition("/")[0]
            self._homes.append(home)
            self.watch(0, home, home, lambda *event: self._stale.append(event[2]))

    def _sample(self) -> None:
        """
        Record what nodes that have changed say now.

        Not while an event is taken in: what is read then brings the next events, and
        those would be recorded first.
        """
        while self._stale:
            path = self._stale.pop(0)
            if self._own[path]:
                self._own[path] -= 1  # what the judge itself did is recorded already
            elif path not in self._homes:
                value = self.client.read(path)
                self._record(False, "write" if value is not None else "rm", path, value, 0, True)

    def read(self, domid: int, path: str, tx: int = 0) -> str | None:
        """Text of a node; ``None`` if there is none."""
        value = self.client.read(path, tx)
        self.drain(own=True)
        self._record(True, "read", path, value, tx, value is not None)
        return value

    def write(self, domid: int, path: str, value: str, tx: int = 0) -> None:
        """
        Write a node.

        :raises StoreError: the store refuses it.
        :raises StoreRefused: so it does to the toolstack.
        """
        if domid == TOOLSTACK and not self.toolstack:
            self.toolstack = True
            try:
                self.write(domid, path, value, tx)
            finally:
                self.toolstack = False
            return
        if self._log is None:
            self._own[path] += 1
            self._record(True, "write", path, value, tx, True)
        try:
            self.client.write(path, value, tx)
        except StoreRefused as error:
            if self.toolstack:
                raise
            self._own[path] -= self._log is None
            raise StoreError(error.error) from error
        finally:
            self.drain(own=True)

    def write_all(self, values: dict[str, str], tx: int) -> None:
        """
        Write all these nodes in a transaction; the end of that records them.

        :raises StoreRefused: the store refuses one of them.
        """
        for path, value in values.items() if self._log is None else ():
            self._own[path] += 1
            self._record(True, "write", path, value, tx, True)
        self.client.write_all(values, tx)

    def remove(self, domid: int, path: str, tx: int = 0) -> None:
        """Remove a node and all below it."""
        if self._log is None:
            self._own[path] += self.client.read(path) is not None
            self._record(True, "rm", path, None, tx, True)
        self.client.remove(path)
        self.drain(own=True)

    def start(self, domid: int) -> int:
        """Start a transaction; return its number."""
        tx = self.client.start()
        if self._log is None:
            self._record(True, "start", "", None, tx, True)
        return tx

    def end(self, domid: int, tx: int, commit: bool) -> bool:
        """End a transaction; whether it took effect."""
        done = self.client.end(tx, commit)
        if self._log is None:
            self._record(True, "end", "", None, tx, done)
        self.drain(own=True)
        return done

    def watch(self, domid: int, path: str, token: str, fire: WatchEvent) -> None:
        """Call ``fire`` now and whenever ``path`` or something below it changes."""
        self._tokens += 1
        own = str(self._tokens)
        self._fires[own] = path, token, fire
        self.client.watch(path, own)

    def unwatch(self, domid: int, path: str, token: str) -> None:
        """Take a watch back."""
        for own, (watched, its, _) in list(self._fires.items()):
            if (watched, its) == (path, token):
                del self._fires[own]
                self.client.unwatch(path, own)

    def drain(self, *, own: bool = False) -> None:
        """Record what is new; with ``own``, all of the judge's own that the log has."""
        if self._log is not None:
            self._log.drain(self.client.asked if own else 0)
        else:
            self._sample()

    def pump(self) -> None:
        """Take in what has come, without waiting."""
        self.client.pump()
        self.drain()

    def close(self) -> None:
        """End the connection."""
        self.client.close()
        if self._log is not None:
            self._log.close()

    def _changed(self, path: str, token: str) -> None:
        entry = self._fires.get(token)
        if entry is not None:
            if self._log is not None:
                self._log.drain()
            watched, its, fire = entry
            fire(watched, its, path)
