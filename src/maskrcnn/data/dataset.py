"""Labelled images of one split, whatever format they came in, and how a folder's format is recognised.

Boxes are (x1, y1, x2, y2) in continuous pixels of the image; labels are 0..C-1 into `names`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml

from maskrcnn.data.image_io import find_images, read_image
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop

_SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "test")}
_EXPECTED = (
    "expected COCO (train.json beside train/, or annotations/instances_train.json beside train/), "
    "id masks (train/images and train/masks, or images and masks), a .json file or a .yaml naming such folders"
)


@dataclass(frozen=True)
class Objects:
    """The N labelled objects of one image.

    Attributes:
        boxes: float32 [N, 4], image pixels.
        labels: int64 [N], into the dataset's names.
        crowd: bool [N], True where a group is marked as one region.
        crops: N masks.
        ids: int64 [N], annotation ids, or the values of an id map.
        areas: float64 [N], pixels by which metrics tell small from large; None means those of the masks.
    """

    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    crops: list[Crop]
    ids: np.ndarray
    areas: np.ndarray | None = None


@dataclass(frozen=True)
class ImageRecord:
    """One image: its id, file and size in pixels after EXIF orientation."""

    id: int
    path: Path
    height: int
    width: int


class ObjectReader(Protocol):
    """What a format gives: the objects of the i-th record, a line for each object dropped, and other notes."""

    def __call__(self, index: int, record: ImageRecord) -> tuple[Objects, list[str], list[str]]: ...


class Dataset:
    """The images of one split with their objects, read when asked for.

    Attributes:
        names: class names.
        records: the images that can be used.
        problems: one line for each image or object dropped or changed: file, annotation id, fix.
        skipped: number of images dropped.
        dropped: number of objects dropped, so far: an unusable mask may only show when it is drawn.
    """

    def __init__(
        self,
        names: Sequence[str],
        records: Sequence[ImageRecord],
        read_objects: ObjectReader,
        problems: Sequence[str] = (),
        skipped: int = 0,
        dropped: int = 0,
    ) -> None:
        self.names, self.records, self.problems = tuple(names), list(records), list(problems)
        self.skipped, self.dropped = skipped, dropped
        self._read_objects = read_objects
        self._told: set[int] = set()

    def __len__(self) -> int:
        return len(self.records)

    def pixels(self, index: int) -> np.ndarray:
        """uint8 [H, W, 3] RGB.

        Raises:
            MaskRCNNError: the file cannot be read, or its size is not the one the labels were made for.
        """
        record = self.records[index]
        pixels = read_image(record.path).pixels
        if pixels.shape[:2] != (record.height, record.width):
            raise MaskRCNNError(
                f"the labels are for {record.height} x {record.width} (height x width), "
                f"the image has {pixels.shape[0]} x {pixels.shape[1]}",
                where=record.path,
                fix="scale or turn the image or its labels so that they agree",
            )
        return pixels

    def objects(self, index: int) -> Objects:
        """The objects of one image; what turns out unusable is left out and told in `problems`, once."""
        objects, dropped, notes = self._read_objects(index, self.records[index])
        if index not in self._told:
            self._told.add(index)
            self.problems += dropped + notes
            self.dropped += len(dropped)
        return objects


def open_dataset(path: str | Path, split: str | None = None) -> Dataset:
    """Open a labelled data set; its format is recognised from the folder alone.

    Args:
        path: folder, COCO .json file, or .yaml naming folders (train: …, val: …, names: optional).
        split: "train" or "val" (also found under valid, validation, test); None for data without splits or with one.

    Raises:
        MaskRCNNError: nothing known is there, or not that split; says what was expected and found.
    """
    path = Path(path)
    splits, names = _find_splits(path)
    if not splits:
        raise MaskRCNNError(f"{_EXPECTED}; found {_contents(path)}", where=path, fix="arrange the files like that")
    if split is None and len(splits) > 1:
        raise MaskRCNNError(
            f"the data has the splits {', '.join(map(str, splits))}", where=path, fix="say which one to use"
        )
    key = next(iter(splits)) if split is None else _match(splits, split)
    if key is None:
        raise MaskRCNNError(
            f"expected a split named {split!r}, found {', '.join(s or 'one set without splits' for s in splits)}",
            where=path,
            fix=f"add a {split} folder, or use a split that is there",
        )
    dataset = _read(splits[key])
    if names is not None:
        if len(names) != len(dataset.names):
            raise MaskRCNNError(
                f"expected {len(dataset.names)} names for the classes {list(dataset.names)}, found {list(names)}",
                where=path,
                fix="give one name a class, in the order of the class ids",
            )
        dataset.names = names
    return dataset


def has_split(path: str | Path, split: str) -> bool:
    """Whether `open_dataset(path, split)` would find that split."""
    return _match(_find_splits(Path(path))[0], split) is not None


def _match(splits: dict[str, Path], split: str) -> str | None:
    """The key of `splits` that a user's split means; data without splits counts as train."""
    wanted = split.lower()
    group = next((aliases for aliases in _SPLITS.values() if wanted in aliases), ())
    keys = (wanted, *group, *(("",) if wanted in _SPLITS["train"] else ()))
    return next((key for key in keys if key in splits), None)


def _find_splits(path: Path) -> tuple[dict[str, Path], tuple[str, ...] | None]:
    """Split name ("" if undivided) → a .json file or a folder of id masks; and class names if a YAML gives them."""
    if not path.exists():
        raise MaskRCNNError("no such file or folder", where=path, fix="check the path")
    if path.suffix.lower() in (".yaml", ".yml"):
        return _yaml_splits(path)
    if path.is_file():
        return ({"": path} if path.suffix.lower() == ".json" else {}), None
    found = {}
    for name in (alias for aliases in _SPLITS.values() for alias in aliases):
        source = _split_source(path, name)
        if source is not None:
            found[name] = source
    whole = None if found else _source(path)
    return ({"": whole} if whole is not None else found), None


def _split_source(root: Path, name: str) -> Path | None:
    if (root / f"{name}.json").is_file():
        return root / f"{name}.json"
    for pattern in (f"instances_{name}*.json", f"{name}*.json", f"*_{name}*.json"):
        matches = sorted((root / "annotations").glob(pattern))
        if matches:
            return matches[0]
    if (root / name).is_dir():
        return _source(root / name)
    return None


def _source(folder: Path) -> Path | None:
    """The one .json of a folder, or the folder itself if it has images and masks."""
    if (folder / "images").is_dir() and (folder / "masks").is_dir():
        return folder
    for place in (folder, folder / "annotations"):
        jsons = sorted(place.glob("*.json")) if place.is_dir() else []
        if len(jsons) == 1:
            return jsons[0]
    return None


def _yaml_splits(path: Path) -> tuple[dict[str, Path], tuple[str, ...] | None]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MaskRCNNError(f"not valid YAML: {error}", where=path, fix="correct the file") from error
    if not isinstance(content, dict):
        raise MaskRCNNError(
            f"expected lines such as 'train: folder', found {type(content).__name__}",
            where=path,
            fix="name the folders",
        )
    root = path.parent / str(content.get("path", ""))
    splits: dict[str, Path] = {}
    for name in (alias for aliases in _SPLITS.values() for alias in aliases):
        if content.get(name) is None:
            continue
        place = root / str(content[name])
        source = place if place.suffix == ".json" and place.is_file() else _source(place) if place.is_dir() else None
        if source is None:
            source = _split_source(place.parent, place.name) if place.parent.is_dir() else None
        if source is None:
            raise MaskRCNNError(
                f"{name}: {_EXPECTED}; found {_contents(place)} in {place}", where=path, fix="correct the folder"
            )
        splits[name] = source
    return splits, _names(content.get("names"), path)


def _names(value: Any, path: Path) -> tuple[str, ...] | None:
    if value is None:
        return None
    listed = [value[key] for key in sorted(value)] if isinstance(value, dict) else value
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise MaskRCNNError(f"expected names as a list of words, found {value!r}", where=path, fix="names: [cat, dog]")
    return tuple(listed)


def _read(source: Path) -> Dataset:
    from maskrcnn.data.formats import coco, idmask

    return coco.read(source) if source.is_file() else idmask.read(source)


def _contents(path: Path) -> str:
    if not path.is_dir():
        return f"the file {path.name}" if path.exists() else "nothing"
    names = sorted(p.name + "/" * p.is_dir() for p in path.iterdir() if not p.name.startswith("."))
    images = len(find_images(path))
    shown = ", ".join(names[:8]) + (f", … ({len(names)} in all)" if len(names) > 8 else "")
    return (shown or "an empty folder") + (f" with {images} images" if images else "")
