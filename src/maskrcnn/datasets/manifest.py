"""A YAML file that describes data: which folders make up each split, and the names of their classes.

path: /data                # where relative paths start; the YAML's own folder unless given
train:                     # one place, or a list of places that are used together
  - coco                   # a folder of any known format; its split of the same name, if it has splits
  - {path: street, split: val, rename: {object: person}}
val: coco
classes: [person]          # keep these alone; the images of other objects stay, without them
names: [person]            # instead: other names for the classes, in the order of their ids, or {0: person, 7: dog}

Names are read as text, so that no stays no and 02146 keeps its zero. YOLO's kpt_shape and nc are read too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn.annotations.problem import Problem
from maskrcnn.argument_checks import exists
from maskrcnn.datasets.combine import combined
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats.reader_checks import doubled_names, whole
from maskrcnn.datasets.formats.reserved_names import NO_CLASS
from maskrcnn.datasets.formats.split_names import SPLIT_NAMES
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import read_yaml, shown

_FIX = "write lines such as 'train: folder'"
_SUFFIXES = (".yaml", ".yml")
_AS_WRITTEN = ("names", "classes")  # YAML would take no for False
_MAX_CLASSES = 100_000
_MAX_KEYPOINTS = 10_000


class Place(NamedTuple):
    """A folder or label file, the split to use of it (None if not given), and new names for some of its classes."""

    path: Path
    split: str | None
    rename: dict[str, str]


class Manifest:
    """A parsed YAML file.

    Attributes:
        file: its path.
        splits: the names of the splits that it has places for.
        names: of the classes by number, "" for a number without a class; None if it lists none.
        classes: those to keep; None for all.
        keypoints: how many follow each box of pose labels, and the numbers of each; None for other labels.

    Raises:
        MaskRCNNError: it names no split, or its names or keypoints are invalid.
    """

    def __init__(self, file: Path, content: dict[Any, Any]) -> None:
        self.file, self._content = file, {str(key): value for key, value in content.items()}
        self.splits = [name for name in SPLIT_NAMES if _of_split(self._content, name) is not None]
        if not self.splits:
            keys = ", ".join(key[:40] for key in list(self._content)[:20]) or "nothing"
            raise MaskRCNNError(f"expected a split such as train or val, found {keys}", where=file, fix=_FIX)
        self.names = _names(self._content.get("names"), file)
        self.classes = _names(self._content.get("classes"), file)
        self.keypoints = _keypoints(self._content.get("kpt_shape"), file)

    def places(self, split: str) -> list[Place]:
        """The places of a split. Raises `MaskRCNNError` if an entry is invalid."""
        return _places(_of_split(self._content, split), split, _root(self._content, self.file), self.file)

    def united(self, datasets: Sequence[tuple[Dataset, Mapping[str, str]]]) -> Dataset:
        """The data sets of all places of a split as one, with the classes of the manifest.

        Args:
            datasets: each with the new names that its place gives to classes.

        Raises:
            MaskRCNNError: a data set has more or fewer classes than there are names, or none has one of `classes`.
        """
        problems, called = self._count_fault(), []
        for dataset, rename in datasets:
            given, doubled = self._names_for(dataset)
            problems += doubled
            called.append([rename.get(name, name) for name in given])
        if len(datasets) == 1 and self.classes is None and len(set(called[0])) == len(called[0]):
            return Dataset(datasets[0][0].labels._replace(names=called[0])).with_problems(problems)
        kept = None if self.classes is None else list(filter(None, self.classes))
        return combined([dataset for dataset, _ in datasets], called, kept).with_problems(problems)

    def _names_for(self, dataset: Dataset) -> tuple[list[str], list[Problem]]:
        """The names for the classes of a data set, and a problem if two are equal."""
        own = list(dataset.names)
        named = [name for name in self.names or () if name and name not in NO_CLASS]
        if self.names is None or own == list(dict.fromkeys(named)):
            return own, []  # the reader of data that only numbers its classes has used them
        if len(named) != len(own):
            what = f"expected {len(own)} names for the classes {shown(own)}, found {shown(named)}"
            raise MaskRCNNError(what, where=self.file, fix="give one name a class, in the order of the class ids")
        return named, doubled_names(named, self.file)

    def _count_fault(self) -> list[Problem]:
        """A problem if nc is not the number of the names."""
        count, names = self._content.get("nc"), self.names
        if count is None or names is None or whole(count) in (len(names), len(list(filter(None, names)))):
            return []
        what = f"nc is {shown(count)}, there are {len(names):,} names: the names count"
        return [Problem("class-count", str(self.file), what, "correct nc or the names", "warning")]


def manifest_at(path: Path) -> Manifest | None:
    """The YAML at a path: the file itself, or one in the folder that names classes and splits, as YOLO's data.yaml.

    Raises:
        MaskRCNNError: it is not valid YAML, or not a manifest although the path names it.
    """
    if path.is_file():
        if path.suffix.lower() not in _SUFFIXES:
            return None
        content = read_yaml(path, as_written=_AS_WRITTEN)
        if not isinstance(content, dict):
            raise MaskRCNNError(f"expected a list of names, found {type(content).__name__}", where=path, fix=_FIX)
        return Manifest(path, content)
    files = sorted(file for file in path.glob("*") if file.suffix.lower() in _SUFFIXES) if path.is_dir() else []
    for file in sorted(files, key=lambda file: file.stem.lower() != "data"):
        try:
            content = read_yaml(file, as_written=_AS_WRITTEN)
        except MaskRCNNError:
            if file.stem.lower() in ("data", "dataset"):
                raise
            continue
        splits = isinstance(content, dict) and any(_of_split(content, name) for name in SPLIT_NAMES)
        if splits and "names" in content:
            return Manifest(file, content)
    return None


def _root(content: dict[str, Any], path: Path) -> Path:
    """The folder that relative paths start from: the YAML's own if `path` is of another machine, as in YOLO files."""
    written = str(content.get("path") or "")
    roots = (path.parent / spelling for spelling in (written, written.replace("\\", "/")))
    return next((root for root in roots if exists(root) and root.is_dir()), path.parent)


def _of_split(content: dict[Any, Any], name: str) -> Any:
    """The value of a split's key, in any case; the key in lower case comes first."""
    values = {key: value for key, value in content.items() if str(key).lower() == name and value is not None}
    return values.get(name, next(iter(values.values()), None))


def _places(value: Any, key: str, root: Path, path: Path) -> list[Place]:
    places = []
    for entry in value if isinstance(value, list) else [value]:
        entry = {"path": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict) or not isinstance(entry.get("path"), str) or entry.keys() - set(Place._fields):
            what = f"{key}: expected a folder, or its path with split and rename, found {shown(entry)}"
            raise MaskRCNNError(what, where=path, fix=_FIX)
        split, rename = entry.get("split"), entry.get("rename") or {}
        if not isinstance(split, str | None):
            raise MaskRCNNError(f"{key}: expected split as a name, found {shown(split)}", where=path, fix=_FIX)
        if not isinstance(rename, dict):
            raise MaskRCNNError(f"{key}: expected rename as {{old: new}}, found {shown(rename)}", where=path, fix=_FIX)
        changed = next((name for pair in rename.items() for name in pair if not isinstance(name, str)), None)
        if changed is not None:
            what = f"{key}: YAML takes a name in rename for {shown(changed)}, a {type(changed).__name__}"
            raise MaskRCNNError(what, where=path, fix="put it in quotation marks")
        places.append(Place(_located(entry["path"], root), split, rename))
    return places


def _located(written: str, root: Path) -> Path:
    """The path that an entry means; leading folders of another machine are dropped until the rest exists."""
    where = root / written
    forward = written.replace("\\", "/")
    if exists(where) or (exists((root / forward).parent) and not forward.startswith("../")):
        return where if exists(where) else root / forward
    parts = [part for part in forward.split("/") if part not in ("", ".", "..") and not part.endswith(":")]
    shorter = (root.joinpath(*parts[start:]) for start in range(len(parts)))
    return next(filter(exists, shorter), where)


def _names(value: Any, path: Path) -> list[str] | None:
    """Class names by number, "" for a number without a class; None if the key is absent."""
    if value is None:
        return None
    if isinstance(value, dict):
        names = _by_number(value)
    else:
        written = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        names = written if all(isinstance(name, str) and name.strip() for name in written) else []
    if not names:
        what = f"expected names as a list of words, or numbered from 0, found {shown(value)}"
        raise MaskRCNNError(what, where=path, fix="names: [cat, dog]")
    return names


def _by_number(value: dict[Any, Any]) -> list[Any]:
    """The names in a dictionary {0: cat, 7: dog}; empty if its keys or values are invalid."""
    numbers = {number: name for key, name in value.items() if (number := whole(key)) is not None}
    last = max(numbers, default=-1)
    if len(numbers) < len(value) or not 0 <= min(numbers, default=-1) <= last < _MAX_CLASSES:
        return []
    if not all(isinstance(name, str) and name.strip() for name in numbers.values()):
        return []
    return [numbers.get(number, "") for number in range(last + 1)]


def _keypoints(value: Any, path: Path) -> tuple[int, int] | None:
    """YOLO's kpt_shape: how many keypoints follow each box, and the numbers of each."""
    if value is None:
        return None
    match [whole(side) for side in value] if isinstance(value, list) else []:
        case [int(count), 2 | 3 as numbers] if 0 < count <= _MAX_KEYPOINTS:
            return count, numbers
    what = f"expected kpt_shape as [keypoints, 2 or 3], found {shown(value)}"
    raise MaskRCNNError(what, where=path, fix="correct it, or remove it if lines have no keypoints")
