"""The names of splits, and the folders and files that are named after them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

TRAIN = ("train", "training")
VAL = ("val", "valid", "validation")
TEST = "test"
SPLIT_NAMES = (*TRAIN, *VAL, TEST)
_YEAR = re.compile(r"[-_]?(19|20)\d\d$")


def aliases(split: str) -> tuple[str, ...]:
    """All names for the same split as a name in lower case."""
    return next((group for group in (TRAIN, VAL) if split in group), (split,))


def matching_split(names: Sequence[str], split: str) -> str | None:
    """The one of `names` that a requested split means; None if it is absent.

    Data without splits ("") count as training data. Where there is no val split, test is used for it.
    """
    wanted = aliases(split.lower())
    others = ("",) if wanted == TRAIN else (TEST,) if wanted == VAL else ()
    return next((name for name in (split.lower(), *wanted, *others) if name in names), None)


def split_of(stem: str) -> str:
    """The split that a file is named after, as instances_Val2017 is: its name in lower case; "" for none."""
    named = ""
    for word in re.split(r"[_\-. ]+", stem.lower()):
        named = max((name for name in SPLIT_NAMES if word.startswith(name)), key=len, default=named)
    return named


def other_splits(split: str) -> frozenset[str]:
    """Names of folders of other splits than this; none for data without splits."""
    return frozenset(SPLIT_NAMES) - {*aliases(split)} if split in SPLIT_NAMES else frozenset()


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted; none if it does not exist. Fast, even among many files."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir())


def subfolder(folder: Path, name: str) -> Path:
    """The subfolder of a name, in whatever case it is written; folder / name if there is none."""
    exact = folder / name
    return exact if exact.is_dir() else next((f for f in subfolders(folder) if f.name.lower() == name), exact)


def split_folders(folder: Path) -> dict[str, Path]:
    """Subfolders named as splits are (train, Test, val2017, …), by the split's name in lower case, training first."""
    found = {place.name.lower(): place for place in subfolders(folder)}
    dated = {undated(name): place for name, place in reversed(found.items())}
    return {name: place for name in SPLIT_NAMES if (place := found.get(name) or dated.get(name))}


def undated(name: str) -> str:
    """A folder's name in lower case without the year that COCO's have."""
    return _YEAR.sub("", name.lower())
