"""A YAML file that names data: which folders make up each split, and what their classes are called.

path: /data                # where relative paths start; the YAML's own folder unless given
train:                     # one place, or a list of places that are used together
  - coco                   # a folder of any known format; its own split of that name, if it has splits
  - {path: street, split: val, rename: {object: person}}
val: coco
classes: [person]          # keep these alone; the images of other objects stay, without them
names: [person]            # instead: other names for the classes, in the order of their ids, or {0: person, 7: dog}

Names are the text that stands in the file, such as no or 02146. Of YOLO's data.yaml kpt_shape and nc are read as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.combine import combined
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats.location import SPLITS
from maskrcnn.datasets.formats.reader_checks import doubled_names, whole
from maskrcnn.datasets.formats.reserved_names import NO_CLASS
from maskrcnn.datasets.source import exists, has_split, match_split, open_dataset, open_detected
from maskrcnn.documents import read_yaml, shown
from maskrcnn.errors import MaskRCNNError

_FIX = "write lines such as 'train: folder'"
_SPLIT_NAMES = tuple(name for names in SPLITS.values() for name in names)
_MAX_CLASSES = 100_000
_MAX_KEYPOINTS = 10_000


class _Place(NamedTuple):
    path: Path
    split: str | None
    rename: dict[str, str]


def splits_of(path: Path) -> list[str]:
    """The splits that a manifest names."""
    return _splits(path, _content(path))


def open_manifest(path: Path, split: str | None) -> Dataset:
    """One split of a manifest; None if there is but one.

    Raises:
        MaskRCNNError: not valid YAML, a name that is missing or unknown, or a place without data.
    """
    content = _content(path)
    key = match_split(_splits(path, content), split, path)
    names, keypoints = _names(content.get("names"), path), _keypoints(content.get("kpt_shape"), path)
    datasets = []
    for place in _places(_of_split(content, key), key, _root(content, path), path):
        try:
            datasets.append((_open(place, key, names, keypoints, path), place.rename))
        except RecursionError:
            raise MaskRCNNError(f"{key}: {place.path} leads back to this file", where=path, fix=_FIX) from None
        except MaskRCNNError as error:
            raise MaskRCNNError(f"{key}: {error}", where=path, fix="correct the place") from error
    problems = _count_fault(content.get("nc"), names, path)
    called = []
    for dataset, rename in datasets:
        given, more = _given(names, dataset, path)
        problems += more
        called.append([rename.get(name, name) for name in given])
    classes = _names(content.get("classes"), path)
    if len(datasets) == 1 and classes is None:
        labels = datasets[0][0].labels
        if len(set(called[0])) == len(called[0]):
            return Dataset(labels._replace(names=called[0], problems=[*labels.problems, *problems]))
    kept = None if classes is None else list(filter(None, classes))
    labels = combined([dataset for dataset, _ in datasets], called, kept).labels
    return Dataset(labels._replace(problems=[*labels.problems, *problems]))


def _given(names: list[str] | None, dataset: Dataset, path: Path) -> tuple[list[str], list[Problem]]:
    """What a manifest's names call the classes of a data set, and a problem if it calls two the same.

    Raises:
        MaskRCNNError: the data has its own names, and not as many.
    """
    own = list(dataset.names)
    listed = [name for name in names or () if name and name not in NO_CLASS]
    if names is None or own == list(dict.fromkeys(listed)):
        return own, []  # the reader of data that only numbers its classes has used them
    if len(listed) != len(own):
        raise MaskRCNNError(
            f"expected {len(own)} names for the classes {shown(own)}, found {shown(listed)}",
            where=path,
            fix="give one name a class, in the order of the class ids",
        )
    return listed, doubled_names(listed, path)


def _count_fault(count: Any, names: list[str] | None, path: Path) -> list[Problem]:
    """A problem if nc is not the number of the names."""
    if count is None or names is None or whole(count) in (len(names), len(list(filter(None, names)))):
        return []
    what = f"nc is {shown(count)}, there are {len(names):,} names: the names count"
    return [Problem("class-count", str(path), what, "correct nc or the names", "warning")]


def describes(file: Path) -> bool:
    """Whether a YAML in a folder names its classes and splits, as YOLO's data.yaml does; or should, and is broken."""
    try:
        content = read_yaml(file, as_written=("names",))
    except MaskRCNNError:
        return file.stem.lower() in ("data", "dataset")
    return isinstance(content, dict) and "names" in content and any(_of_split(content, name) for name in _SPLIT_NAMES)


def _root(content: dict[str, Any], path: Path) -> Path:
    """Where places start. YOLO files may name a folder of another machine; then it is the YAML's own."""
    written = str(content.get("path") or "")
    roots = (path.parent / spelling for spelling in (written, written.replace("\\", "/")))
    return next((root for root in roots if exists(root) and root.is_dir()), path.parent)


def _open(
    place: _Place, key: str, names: list[str] | None, keypoints: tuple[int, int] | None, manifest: Path
) -> Dataset:
    path = place.path
    folder = exists(path) and path.is_dir()
    if folder and path.samefile(manifest.parent):
        try:
            return open_detected(path, place.split or key, names, keypoints)
        except MaskRCNNError:
            return open_detected(path, place.split, names, keypoints)
    if place.split is not None or (exists(path) and not folder):
        return open_dataset(path, place.split, names, keypoints)
    if folder and has_split(path, key):
        return open_dataset(path, key, names, keypoints)
    try:
        return open_dataset(path, names=names, keypoints=keypoints)
    except MaskRCNNError:
        # "data/first" may stand for data/first.json, or for a split of data.
        if exists(beside := path.with_name(f"{path.name}.json")):
            return open_dataset(beside)
        if exists(path.parent) and has_split(path.parent, path.name):
            return open_dataset(path.parent, path.name)
        raise


def _content(path: Path) -> dict[str, Any]:
    content = read_yaml(path, as_written=("names", "classes"))
    if not isinstance(content, dict):
        raise MaskRCNNError(f"expected a list of names, found {type(content).__name__}", where=path, fix=_FIX)
    return {str(key): value for key, value in content.items()}


def _of_split(content: dict[Any, Any], name: str) -> Any:
    """The value of a split's key, in any case."""
    if content.get(name) is not None:
        return content[name]
    return next((value for key, value in content.items() if str(key).lower() == name and value is not None), None)


def _splits(path: Path, content: dict[str, Any]) -> list[str]:
    found = [name for name in _SPLIT_NAMES if _of_split(content, name) is not None]
    if not found:
        keys = ", ".join(key[:40] for key in list(content)[:20]) or "nothing"
        raise MaskRCNNError(f"expected a split such as train or val, found {keys}", where=path, fix=_FIX)
    return found


def _places(value: Any, key: str, root: Path, path: Path) -> list[_Place]:
    places = []
    for entry in value if isinstance(value, list) else [value]:
        entry = {"path": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict) or not isinstance(entry.get("path"), str) or entry.keys() - set(_Place._fields):
            raise MaskRCNNError(
                f"{key}: expected a folder, or its path with split and rename, found {shown(entry)}",
                where=path,
                fix=_FIX,
            )
        split, rename = entry.get("split"), entry.get("rename") or {}
        if not isinstance(split, str | None):
            raise MaskRCNNError(f"{key}: expected split as a name, found {shown(split)}", where=path, fix=_FIX)
        if not isinstance(rename, dict):
            raise MaskRCNNError(f"{key}: expected rename as {{old: new}}, found {shown(rename)}", where=path, fix=_FIX)
        changed = next((name for pair in rename.items() for name in pair if not isinstance(name, str)), None)
        if changed is not None:
            what = f"{key}: YAML takes a name in rename for {shown(changed)}, a {type(changed).__name__}"
            raise MaskRCNNError(what, where=path, fix="put it in quotation marks")
        places.append(_Place(_located(entry["path"], root), split, rename))
    return places


def _located(written: str, root: Path) -> Path:
    """A written place; if its folders are of another machine, without as many of them as it takes."""
    where = root / written
    forward = written.replace("\\", "/")
    if exists(where) or (exists((root / forward).parent) and not forward.startswith("../")):
        return where if exists(where) else root / forward
    parts = [part for part in forward.split("/") if part not in ("", ".", "..") and not part.endswith(":")]
    shorter = (root.joinpath(*parts[start:]) for start in range(len(parts)))
    return next(filter(exists, shorter), where)


def _names(value: Any, path: Path) -> list[str] | None:
    """Class names by their number, "" for a number without one; None if there are none."""
    if value is None:
        return None
    listed = _by_number(value) if isinstance(value, dict) else [value] if isinstance(value, str) else value
    if (
        not isinstance(listed, list)
        or not listed
        or not all(isinstance(name, str) for name in listed)
        or (not isinstance(value, dict) and not all(name.strip() for name in listed))
    ):
        what = f"expected names as a list of words, or numbered from 0, found {shown(value)}"
        raise MaskRCNNError(what, where=path, fix="names: [cat, dog]")
    return listed


def _by_number(value: dict[Any, Any]) -> list[Any]:
    """The names of a dictionary {0: cat, 7: dog}; empty if it is none."""
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
    sides = [whole(side) for side in value] if isinstance(value, list) else []
    match sides:
        case [int(count), 2 | 3 as numbers] if 0 < count <= _MAX_KEYPOINTS:
            return count, numbers
    what = f"expected kpt_shape as [keypoints, 2 or 3], found {shown(value)}"
    raise MaskRCNNError(what, where=path, fix="correct it, or remove it if lines have no keypoints")
