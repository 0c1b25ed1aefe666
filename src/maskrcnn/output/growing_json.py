"""A JSON file that grows by rows, complete after each save and continued from any save that is known.

Plain or compressed with gzip. A compressed file is a series of gzip members, which every reader takes for one stream:
each save ends a member, so that a file that was cut back to a save and continued has the same bytes as one that was
written without a break.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import Any

MEMBER_BYTES = 2**22  # of text, compressed at a time


class GrowingJson:
    """Rows between a head and a tail, written to a file that no other process writes.

        with GrowingJson(path, "[", "]\\n") as file:
            file.add(['{"id": 1}', '{"id": 2}'])
            place = file.save()
        with GrowingJson(path, "[", "]\\n", place=place) as file: ...   # goes on there

    Args:
        path: made if it is not there.
        head, tail: before the first row and after the last.
        compressed: with gzip.
        place: the bytes to keep, as `save` told them; what follows is cut off. None: a new file.

    Raises:
        OSError: the file cannot be written; for a place, it is missing or shorter.
    """

    def __init__(self, path: Path, head: str, tail: str, *, compressed: bool = False, place: int | None = None) -> None:
        self.path, self.compressed = path, compressed
        self._tail = tail.encode()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        # Unbuffered: what was saved is in the file when `save` returns.
        self._file = FileIO(path, "wb" if place is None else "rb+")
        self._end = 0 if place is None else place
        self._rows = place is not None and place > 0
        self._head = head.encode()
        if self._end > path.stat().st_size:
            self._file.close()
            raise OSError(None, f"expected at least {self._end:,} bytes, found {path.stat().st_size:,}")

    def __enter__(self) -> GrowingJson:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, rows: Iterable[str]) -> None:
        """Append rows; they are in the file after the next `save`, compressed ones every 4 MB earlier."""
        for row in rows:
            text = (self._head if not self._rows else b",\n") + row.encode()
            self._rows = True
            self._waiting.append(text)
            self._waiting_bytes += len(text)
            if self.compressed and self._waiting_bytes >= MEMBER_BYTES:
                self._append()

    def save(self, durable: bool = False) -> int:
        """Complete the file, and return the place from which it can be continued.

        Args:
            durable: return only when it is on the disk.
        """
        self._append()
        # Needs no space where an earlier save left its tail.
        self._write(self._packed((b"\n" if self._rows else self._head) + self._tail))
        self._file.truncate()
        if durable:
            os.fsync(self._file.fileno())
        return self._end

    def _append(self) -> None:
        """Write the rows that wait, over the tail that an earlier save left; dropped if they cannot be written."""
        if self._waiting:
            packed = self._packed(b"".join(self._waiting))
            self._waiting, self._waiting_bytes = [], 0
            try:
                self._write(packed)
            except BaseException:
                self._rows = self._end > 0
                raise
            self._end += len(packed)

    def _write(self, content: Any) -> None:
        self._file.seek(self._end)
        while content:
            content = content[self._file.write(content) or 0 :]

    def _packed(self, content: bytes) -> bytes:
        return gzip.compress(content, 6, mtime=0) if self.compressed else content
