"""Where the labels of a split lie, and the looks at names and first bytes by which formats are told apart."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from maskrcnn.data.dataset import SPLITS

_SNIFFED = 1 << 16
_JSON_KEYS = re.compile(rb'"(shapes|imagePath|imageData|images|annotations|categories)"\s*:')
_LVIS_KEYS = re.compile(rb'"(neg_category_ids|not_exhaustive_category_ids|synset)"\s*:')


class Location(NamedTuple):
    """The labels of one split.

    Attributes:
        path: the file or folder that the format's `read` takes.
        split: what the files themselves call the split; "" where they do not divide.
        root: the folder that holds all splits, for formats that list their classes once; None for `path` alone.
    """

    path: Path
    split: str = ""
    root: Path | None = None

    @classmethod
    def of(cls, place: Location | str | Path) -> Location:
        """A location, or a path as one."""
        return place if isinstance(place, Location) else cls(Path(place))


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted; none if there is no such folder. Files cost next to no time."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir())


def split_folders(folder: Path) -> dict[str, Path]:
    """Subfolders named as splits are (train, valid, Test, …), by their name in lower case, training first."""
    found = {place.name.lower(): place for place in subfolders(folder)}
    return {name: found[name] for aliases in SPLITS.values() for name in aliases if name in found}


def json_kind(file: Path) -> str:
    """ "lvis", "coco", "labelme" or "" (no way to tell), from the first and last bytes of a .json file."""
    start, end = _ends(file)
    first = _JSON_KEYS.search(start)
    if first is None:
        return ""
    if first[1] in (b"shapes", b"imagePath", b"imageData"):
        return "labelme"
    return "lvis" if _LVIS_KEYS.search(start) or _LVIS_KEYS.search(end) else "coco"


def is_cvat(file: Path) -> bool:
    """Whether an .xml file is CVAT's, from its first bytes."""
    return re.search(rb"<annotations[\s>/]", _ends(file)[0]) is not None


def _ends(file: Path) -> tuple[bytes, bytes]:
    try:
        with file.open("rb") as stream:
            start = stream.read(_SNIFFED)
            stream.seek(max(file.stat().st_size - _SNIFFED, 0))
            return start, stream.read(_SNIFFED)
    except OSError:
        return b"", b""
