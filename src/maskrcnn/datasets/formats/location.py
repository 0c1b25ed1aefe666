"""Where the labels of a split lie, and the looks at names and first bytes by which formats are told apart."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

# The splits, and what they are called; val data may be called test.
SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "test")}
_SNIFFED = 1 << 16
SPLIT_NAMES = tuple(name for aliases in SPLITS.values() for name in aliases)
_YEAR = re.compile(r"[-_]?(19|20)\d\d$")
_JSON_KEYS = re.compile(rb'"(shapes|imagePath|imageData|images|annotations|categories)"\s*:')
_LVIS_KEYS = re.compile(rb'"(neg_category_ids|not_exhaustive_category_ids|synset)"\s*:')


class Location(NamedTuple):
    """The labels of one split.

    Attributes:
        path: the file or folder that the format's `read` takes.
        split: what the files themselves call the split; "" where they do not divide.
        root: the folder that holds all splits, for formats that list their classes once; None for `path` alone.
        keypoints: of pose labels, how many follow each box and how many numbers each has; None for other labels.
    """

    path: Path
    split: str = ""
    root: Path | None = None
    keypoints: tuple[int, int] | None = None

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
    """Subfolders named as splits are (train, Test, val2017, …), by the split's name in lower case, training first."""
    found = {place.name.lower(): place for place in subfolders(folder)}
    dated = {undated(name): place for name, place in reversed(found.items())}
    return {name: place for name in SPLIT_NAMES if (place := found.get(name) or dated.get(name))}


def undated(name: str) -> str:
    """A folder's name in lower case without the year that COCO's have."""
    return _YEAR.sub("", name.lower())


def split_of(stem: str) -> str:
    """The split that a file is named after, as instances_Val2017 is: its name in lower case; "" for none."""
    named = ""
    for word in re.split(r"[_\-. ]+", stem.lower()):
        named = max((name for name in SPLIT_NAMES if word.startswith(name)), key=len, default=named)
    return named


def other_splits(split: str) -> frozenset[str]:
    """Names of folders that hold other splits than this; none for data that does not divide."""
    if split not in SPLIT_NAMES:
        return frozenset()
    group = next(aliases for aliases in SPLITS.values() if split in aliases)
    same = {split} if split == "test" else {*group} - {"test"}
    return frozenset({*SPLIT_NAMES} - same)


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
