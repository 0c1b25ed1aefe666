"""A YAML file that names data: which folders make up each split, and what their classes are called.

path: /data                # where relative paths start; the YAML's own folder unless given
train:                     # one place, or a list of places that are used together
  - coco                   # a folder of any known format; its own split of that name, if it has splits
  - {path: street, split: val, rename: {object: person}}
val: coco
classes: [person]          # keep these alone; the images of other objects stay, without them
names: [person]            # instead: other names for the classes, in the order of their ids
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from maskrcnn.data.combine import combined
from maskrcnn.data.dataset import SPLITS, Dataset, has_split, match_split, open_dataset, open_detected
from maskrcnn.errors import MaskRCNNError

_FIX = "write lines such as 'train: folder'"
_MAX_BYTES = 2**20


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
    names = _names(content.get("names"), path)
    datasets = []
    for place in _places(content[key], key, _root(content, path), path):
        try:
            datasets.append((_open(place, key, names, path), place.rename))
        except RecursionError:
            raise MaskRCNNError(f"{key}: {place.path} leads back to this file", where=path, fix=_FIX) from None
        except MaskRCNNError as error:
            raise MaskRCNNError(f"{key}: {error}", where=path, fix="correct the place") from error
    if names is not None:
        for dataset, _ in datasets:
            if len(names) != len(dataset.names):
                raise MaskRCNNError(
                    f"expected {len(dataset.names)} names for the classes {list(dataset.names)}, found {names}",
                    where=path,
                    fix="give one name a class, in the order of the class ids",
                )
    called = [[rename.get(name, name) for name in names or dataset.names] for dataset, rename in datasets]
    classes = _names(content.get("classes"), path)
    if len(datasets) == 1 and classes is None:
        dataset = datasets[0][0]
        dataset.names = tuple(dict.fromkeys(called[0]))
        if len(dataset.names) == len(called[0]):
            return dataset
    return combined([dataset for dataset, _ in datasets], called, classes)


def describes(file: Path) -> bool:
    """Whether a YAML in a folder names its classes and splits, as YOLO's data.yaml does."""
    try:
        content = _content(file) if file.stat().st_size < _MAX_BYTES else {}
    except (MaskRCNNError, OSError):
        return False
    return "names" in content and any(content.get(name) is not None for names in SPLITS.values() for name in names)


def _root(content: dict[str, Any], path: Path) -> Path:
    """Where places start. YOLO files may name a folder of another machine; then it is the YAML's own."""
    root = path.parent / str(content.get("path") or "")
    return root if root.is_dir() else path.parent


def _open(place: _Place, key: str, names: list[str] | None, manifest: Path) -> Dataset:
    path = place.path
    if path.is_dir() and path.samefile(manifest.parent):
        try:
            return open_detected(path, place.split or key, names)
        except MaskRCNNError:
            return open_detected(path, place.split, names)
    if place.split is not None or path.is_file():
        return open_dataset(path, place.split, names)
    if path.is_dir() and has_split(path, key):
        return open_dataset(path, key, names)
    try:
        return open_dataset(path, names=names)
    except MaskRCNNError:
        # "data/first" may stand for data/first.json, or for a split of data.
        if (beside := path.with_name(f"{path.name}.json")).is_file():
            return open_dataset(beside)
        if path.parent.is_dir() and has_split(path.parent, path.name):
            return open_dataset(path.parent, path.name)
        raise


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise MaskRCNNError(f"not valid YAML: {error}", where=path, fix="correct the file") from error
    if not isinstance(content, dict):
        raise MaskRCNNError(f"expected a list of names, found {type(content).__name__}", where=path, fix=_FIX)
    return {str(key): value for key, value in content.items()}


def _splits(path: Path, content: dict[str, Any]) -> list[str]:
    found = [name for aliases in SPLITS.values() for name in aliases if content.get(name) is not None]
    if not found:
        keys = ", ".join(content) or "nothing"
        raise MaskRCNNError(f"expected a split such as train or val, found {keys}", where=path, fix=_FIX)
    return found


def _places(value: Any, key: str, root: Path, path: Path) -> list[_Place]:
    places = []
    for entry in value if isinstance(value, list) else [value]:
        entry = {"path": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict) or not isinstance(entry.get("path"), str) or entry.keys() - set(_Place._fields):
            raise MaskRCNNError(
                f"{key}: expected a folder, or its path with split and rename, found {entry!r}", where=path, fix=_FIX
            )
        rename = entry.get("rename") or {}
        if not isinstance(rename, dict):
            raise MaskRCNNError(f"{key}: expected rename as {{old: new}}, found {rename!r}", where=path, fix=_FIX)
        names = {str(old): str(new) for old, new in rename.items()}
        where = root / entry["path"]
        if not where.exists() and entry["path"].startswith("../"):
            where = root / entry["path"][3:]  # Roboflow counts from a folder of the splits
        places.append(_Place(where, entry.get("split"), names))
    return places


def _names(value: Any, path: Path) -> list[str] | None:
    if value is None:
        return None
    listed = [value.get(number) for number in range(len(value))] if isinstance(value, dict) else value
    if not isinstance(listed, list) or not listed or not all(isinstance(name, str) for name in listed):
        what = f"expected names as a list of words, or numbered from 0, found {str(value)[:60]}"
        raise MaskRCNNError(what, where=path, fix="names: [cat, dog]")
    return listed
