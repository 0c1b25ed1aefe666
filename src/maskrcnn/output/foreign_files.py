"""Files of other programs: where one has a name that is to be written, the output folder is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from maskrcnn.errors import MaskRCNNError
from maskrcnn.output.atomic_file import cannot_write

_HEAD = 2**16


def check_replaceable(folder: str | Path, names: Sequence[str], keys: Sequence[str]) -> None:
    """Check that the files of these names in a folder are of an earlier run, which may be replaced.

    Args:
        names: of files that are written together. The first is JSON, by which a folder is recognised.
        keys: that stand at its beginning.

    Raises:
        MaskRCNNError: there are such files, and the first is missing or not ours.
    """
    there = [path for name in names if (path := Path(folder) / name).exists()]
    record = Path(folder) / names[0]
    try:
        ours = record.is_file() and has_keys(beginning(record), keys)
    except OSError as error:
        raise cannot_write(error, record) from error
    if there and not ours:
        fix = "choose another output folder, or move the file away"
        raise MaskRCNNError("not overwritten: not written by maskrcnn", where=there[0], fix=fix)


def beginning(path: Path) -> str:
    """The first 64 kB of a file as text: the whole may take gigabytes."""
    with path.open("rb") as file:
        return file.read(_HEAD).decode(errors="replace")


def has_keys(text: str, keys: Sequence[str]) -> bool:
    """Whether the beginning of a JSON file has all of these keys."""
    return all(re.search(rf'"{re.escape(key)}"\s*:', text) for key in keys)
