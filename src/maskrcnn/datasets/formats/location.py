"""Where the labels of a split are, and which format a label file has, from its first bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from maskrcnn.datasets.formats.split_names import split_folders

_SNIFFED = 1 << 16
_JSON_KEYS = re.compile(rb'"(shapes|imagePath|imageData|images|annotations|categories)"\s*:')
_LVIS_KEYS = re.compile(rb'"(neg_category_ids|not_exhaustive_category_ids|synset)"\s*:')


class Location(NamedTuple):
    """The labels of one split.

    Attributes:
        path: the file or folder that the format's `read` takes.
        split: the split's name inside the files; "" where they have none.
        root: the folder that holds all splits, for formats that list their classes once; None for `path` alone.
        siblings: the paths of all splits there, for formats whose classes are those that any split uses.
        names: of the classes, for formats that only number them; "" for a number without a class, None if unknown.
        keypoints: of pose labels, how many follow each box and how many numbers each has; None for other labels.
    """

    path: Path
    split: str = ""
    root: Path | None = None
    siblings: tuple[Path, ...] = ()
    names: Sequence[str] | None = None
    keypoints: tuple[int, int] | None = None


def locations(paths: Mapping[str, Path], root: Path) -> dict[str, Location]:
    """The locations of the splits in one root."""
    return {name: Location(path, "", root, tuple(paths.values())) for name, path in paths.items()}


def split_folders_that(fits: Callable[[Path], bool], path: Path, *inside: str) -> dict[str, Location]:
    """The folders of splits that fit a format; else the folder itself, or the first of those `inside` that fits."""
    if found := {name: place for name, place in split_folders(path).items() if fits(place)}:
        return locations(found, path)
    whole = next((place for place in (path, *(path / name for name in inside)) if fits(place)), None)
    return {} if whole is None else {"": Location(whole)}


def json_files(folder: Path) -> list[Path]:
    """The .json files of a folder, sorted; none if it does not exist."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() == ".json") if folder.is_dir() else []


def json_kind(file: Path) -> str:
    """ "lvis", "coco", "labelme" or "" (unknown), from the first and last bytes of a .json file."""
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
