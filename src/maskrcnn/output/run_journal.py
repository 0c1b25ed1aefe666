"""The journal of a long run: how far it came, so that the same run, started again, goes on there.

One small file in the output folder, replaced as a whole at each save and removed when the run is done. It holds a line
of JSON and the bytes of what was still open; nothing in it is executed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn.errors import MaskRCNNError
from maskrcnn.output.atomic_file import cannot_write, write_bytes

JOURNAL = ".maskrcnn.journal"
_FIRST = b"maskrcnn journal 1\n"
_LARGEST = 2**30  # bytes


class Progress(NamedTuple):
    """How far a run came.

    Attributes:
        done: units of work that are finished.
        places: of each output file, the bytes that belong to them.
        counts: figures that the run goes on counting.
        state: what is open, as the run wrote it.
    """

    done: int
    places: dict[str, int]
    counts: dict[str, int]
    state: bytes


class RunJournal:
    """The journal in a folder, for a run that is described by what was asked for.

    Args:
        folder: the output folder, which the run has claimed.
        asked: names and JSON values of all that decides what the run writes.
    """

    def __init__(self, folder: Path, asked: Mapping[str, Any]) -> None:
        self.path = folder / JOURNAL
        self.asked = json.loads(json.dumps(dict(asked)))

    def read(self) -> Progress | None:
        """How far an earlier run of the same description came; None if there was none, or it finished.

        Raises:
            MaskRCNNError: the unfinished run was asked for something else, or the journal is damaged.
        """
        fix = f"to begin anew, delete {self.path.name} there or choose another output folder"
        try:
            if not self.path.is_file():
                return None
            if self.path.stat().st_size > _LARGEST:
                raise MaskRCNNError("expected a journal of at most 1 GiB", where=self.path, fix=fix)
            content = self.path.read_bytes()
        except OSError as error:
            raise MaskRCNNError(f"cannot be read: {error.strerror or error}", where=self.path, fix=fix) from error
        try:
            entry, progress = _parse(content)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            what = "expected the journal of an unfinished run, found a damaged file"
            raise MaskRCNNError(what, where=self.path, fix=fix) from error
        names = [name for name in {**entry, **self.asked} if entry.get(name) != self.asked.get(name)]
        if names:
            changes = ", ".join(
                f"{n} {json.dumps(entry.get(n))} (now {json.dumps(self.asked.get(n))})" for n in names[:3]
            )
            what = f"an unfinished run is in this folder, of other settings: {changes}"
            raise MaskRCNNError(what, where=self.path.parent, fix=f"finish it with its own settings; {fix}")
        return progress

    def save(self, progress: Progress) -> None:
        """Record how far the run came, on the disk. Raises `MaskRCNNError` if it cannot be written."""
        entry = {"asked": self.asked, "done": progress.done, "places": progress.places, "counts": progress.counts}
        body = json.dumps(entry).encode() + b"\n" + progress.state
        write_bytes(self.path, _FIRST + hashlib.sha256(body).hexdigest().encode() + b"\n" + body, durable=True)

    def remove(self) -> None:
        """The run is done. Raises `MaskRCNNError` if the file stays."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(error, self.path) from error


def _parse(content: bytes) -> tuple[dict[str, Any], Progress]:
    """What was asked for, and how far it came. Raises `ValueError` and the like for anything else than a journal."""
    checksum, _, body = content.removeprefix(_FIRST).partition(b"\n")
    if not content.startswith(_FIRST) or hashlib.sha256(body).hexdigest().encode() != checksum:
        raise ValueError("no journal, or cut short")
    line, _, state = body.partition(b"\n")
    entry = json.loads(line)
    numbers = [entry["done"], *entry["places"].values(), *entry["counts"].values()]
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("expected counts")
    return dict(entry["asked"]), Progress(entry["done"], dict(entry["places"]), dict(entry["counts"]), state)
