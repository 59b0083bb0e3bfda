# SPDX-License-Identifier: MIT
"""
Writes a trace, so that nothing recorded is lost on a crash, a kill or a full disk.

Standard library only: this also runs in a lab's dom0.  The file is mapped
shared, so what was recorded outlives a killed process without a system call
for each event; its space is reserved ahead, so a full disk is an error in
``RecordingError``, not a signal.  Each line carries a checksum of itself and
of all lines before it.
"""

import json
import mmap
import os
from pathlib import Path
from time import monotonic_ns
from zlib import crc32

from conformance.errors import RecordingError

#: Bytes by which the file is extended at a time.
CHUNK = 1 << 18

#: Version of the trace format.
FORMAT = 1

#: A line without its closing brace, and its seal.
_SEALED = b'%b,"crc":"%08x"}\n'


class Recorder:
    """
    Appends events to one trace file; ``close`` adds the footer.

    It also keeps, for each connection, ``images``: the page as the trace
    implies it, so that a look at the page records only what is new.

    :raises RecordingError: the file cannot be made or extended.
    """

    def __init__(self, path: Path, header: dict[str, object]) -> None:
        self.path = path
        self.events = 0
        self.images: dict[int, bytearray] = {}
        self._crc = 0
        self._size = 0
        self._end = 0
        self._start = monotonic_ns()
        self._failure: RecordingError | None = None
        self._map = mmap.mmap(-1, 1)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Never a file that exists: whoever still has it mapped would die of its end.
            path.unlink(missing_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        except OSError as error:
            raise RecordingError(f"{path}: cannot be written: {error.strerror}") from error
        try:
            self._grow(CHUNK)
            self._append(_text({"e": "header", "format": FORMAT, **header})[:-1])
        except RecordingError:
            self.close()
            raise

    def image(self, connection: int) -> bytearray:
        """The page of ``connection`` as the trace implies it; zero at first."""
        if connection not in self.images:
            self.images[connection] = bytearray(4096)
        return self.images[connection]

    def load(self, by: str, at: int, data: bytes, connection: int = 0) -> None:
        """Record that ``by`` loaded ``data`` at offset ``at``."""
        self._access("load", by, at, data, connection)

    def store(self, by: str, at: int, data: bytes, connection: int = 0) -> None:
        """Record that ``by`` stored ``data`` at offset ``at``."""
        self._access("store", by, at, data, connection)

    def sample(self, page: bytes, connection: int = 0) -> None:
        """Record a look at the whole page from outside: what is new in it."""
        image = self.image(connection)
        low, data = difference(image, page)
        image[low : low + len(data)] = data
        self._line(f'"e":"sample","size":{len(page)},"at":{low},"data":"{data.hex()}"', connection)

    def notify(self, by: str, count: int = 1, connection: int = 0) -> None:
        """Record that ``by`` notified its peer ``count`` times."""
        self._line(f'"e":"notify","by":"{by}","count":{count}', connection)

    def event(self, kind: str, connection: int = 0, **fields: object) -> None:
        """Record any other event of the format (see ``conformance.trace``)."""
        self._line(_text({"e": kind, **fields})[1:-1].decode(), connection)

    def close(self) -> None:
        """
        Add the footer and cut the file to its length; safe to call twice.

        A trace that could not be written to its end gets no footer.
        """
        if self._fd < 0:
            return
        try:
            if self._failure is None:
                self._append(b'{"e":"footer","events":%d' % self.events)
        finally:
            self._map.close()
            os.ftruncate(self._fd, self._end)
            os.close(self._fd)
            self._fd = -1

    def _access(self, kind: str, by: str, at: int, data: bytes, connection: int) -> None:
        """An access of no bytes is none; it may lie behind the page's last byte."""
        if not data:
            return
        self.image(connection)[at : at + len(data)] = data
        self._line(f'"e":"{kind}","by":"{by}","at":{at},"data":"{data.hex()}"', connection)

    def _line(self, fields: str, connection: int) -> None:
        self.events += 1
        elapsed = monotonic_ns() - self._start
        where = f',"c":{connection}' if connection else ""
        self._append(f'{{{fields},"t":{elapsed}{where}'.encode())

    def _append(self, line: bytes) -> None:
        """Seal and write a line; ``line`` lacks the brace that closes it."""
        crc = crc32(line, self._crc)
        sealed = _SEALED % (line, crc)
        start = self._end
        end = start + len(sealed)
        if end > self._size:
            self._grow(max(CHUNK, len(sealed)))
        self._map[start:end] = sealed
        self._end = end
        self._crc = crc

    def _grow(self, by: int) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            os.posix_fallocate(self._fd, self._size, by)
            if self._size:
                self._map.resize(self._size + by)
            else:
                self._map = mmap.mmap(self._fd, by)
        except OSError as error:
            self._failure = RecordingError(
                f"{self.path}: {error.strerror}; what was recorded up to here is kept"
            )
            # The line is lost, so no later one may be written, even if it fits.
            self._size = self._end
            raise self._failure from error
        self._size += by


def _text(line: dict[str, object]) -> bytes:
    """JSON; what is no text (half a surrogate pair) becomes a question mark."""
    return json.dumps(line, ensure_ascii=False).encode("utf-8", "replace")


def renamed(trace: bytes, case: str) -> bytes:
    """A trace as that of ``case``, sealed anew; from where its seals are broken, as it was."""
    out: list[bytes] = []
    lines = trace.splitlines(keepends=True)
    before = now = 0
    for index, line in enumerate(lines):
        body = line.rpartition(b',"crc":')[0]
        before = crc32(body, before)
        if line != _SEALED % (body, before):
            return b"".join(out + lines[index:])
        if index == 0:
            body = _text(json.loads(body + b"}") | {"case": case})[:-1]
        now = crc32(body, now)
        out.append(_SEALED % (body, now))
    return b"".join(out)


def difference(old: bytes | bytearray, new: bytes) -> tuple[int, bytes]:
    """
    The shortest run of ``new`` that covers all differences from ``old``.

    :return: its offset and bytes; ``(0, b"")`` when both are equal.
    """
    if old == new:
        return 0, b""
    # Most differences lie at the front; numbers, unlike bytes, are compared in C.
    size = 64
    while old[size:] != new[size:]:
        size *= 8
    bits = int.from_bytes(old[:size], "little") ^ int.from_bytes(new[:size], "little")
    low = ((bits & -bits).bit_length() - 1) // 8
    return low, new[low : (bits.bit_length() + 7) // 8]
