"""Labelled images of one split, whatever format they came in, and how a folder's format is recognised.

Boxes are (x1, y1, x2, y2) in continuous pixels of the image; labels are 0..C-1 into `names`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from maskrcnn.data.image_io import find_images, read_image
from maskrcnn.data.objects import Annotation, Objects, draw_all
from maskrcnn.data.problem import Problem
from maskrcnn.errors import MaskRCNNError

_MANIFESTS = (".yaml", ".yml")
SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "test")}
_EXPECTED = (
    "expected COCO (train.json beside train/, or annotations/instances_train.json beside train/), "
    "id masks (train/images and train/masks, or images and masks), a .json file or a .yaml naming such folders"
)


@dataclass(frozen=True)
class ImageRecord:
    """One image: its id, file and size in pixels after EXIF orientation, and the file its labels come from."""

    id: int
    path: Path
    height: int
    width: int
    labels: Path | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.height, self.width


class AnnotationReader(Protocol):
    """What a format gives: the annotations of the i-th record, and a problem for each that it had to leave out."""

    def __call__(self, index: int, record: ImageRecord) -> tuple[Sequence[Annotation], Sequence[Problem]]: ...


class StoredAnnotations:
    """The annotations of formats that are read at once; a class, so that worker processes can be sent it."""

    def __init__(self, annotations: Sequence[Sequence[Annotation]]) -> None:
        self.annotations = annotations

    def __call__(self, index: int, record: ImageRecord) -> tuple[Sequence[Annotation], Sequence[Problem]]:
        return self.annotations[index], ()


class Dataset:
    """The images of one split with their objects, read when asked for.

    Attributes:
        names: class names.
        records: the images that can be used.
        problems: what was dropped or changed, so far: an unusable mask may only show when it is drawn.
    """

    def __init__(
        self,
        names: Sequence[str],
        records: Sequence[ImageRecord],
        read_annotations: AnnotationReader,
        problems: Sequence[Problem] = (),
    ) -> None:
        self.names, self.records, self.problems = tuple(names), list(records), list(problems)
        self._read_annotations = read_annotations
        self._told: set[Problem] = set()

    def __len__(self) -> int:
        return len(self.records)

    @property
    def skipped(self) -> int:
        """Number of images dropped."""
        return sum(problem.images_lost for problem in self.problems)

    @property
    def dropped(self) -> int:
        """Number of objects dropped."""
        return sum(problem.objects_lost for problem in self.problems)

    def pixels(self, index: int) -> np.ndarray:
        """uint8 [H, W, 3] RGB.

        Raises:
            MaskRCNNError: the file cannot be read, or its size is not the one the labels were made for.
        """
        record = self.records[index]
        pixels = read_image(record.path).pixels
        if pixels.shape[:2] != record.size:
            raise MaskRCNNError(
                f"the labels are for {record.height} x {record.width} (height x width), "
                f"the image has {pixels.shape[0]} x {pixels.shape[1]}",
                where=record.path,
                fix="scale or turn the image or its labels so that they agree",
            )
        return pixels

    def annotations(self, index: int) -> list[Annotation]:
        """The annotations of one image as written; those that make no sense are left out and told in `problems`."""
        annotations, problems = self._read_annotations(index, self.records[index])
        self._tell(problems)
        return list(annotations)

    def objects(self, index: int) -> Objects:
        """The objects of one image, drawn; what turns out unusable is left out and told in `problems`, once."""
        record = self.records[index]
        objects, problems = draw_all(self.annotations(index), record.size, record.labels or record.path)
        self._tell(problems)
        return objects

    def _tell(self, problems: Sequence[Problem]) -> None:
        new = [problem for problem in problems if problem not in self._told]
        self._told.update(new)
        self.problems += new


def open_dataset(path: str | Path, split: str | None = None) -> Dataset:
    """Open a labelled data set; its format is recognised from the folder alone.

    Args:
        path: folder, COCO .json file, or .yaml naming folders (train: …, val: …; see docs/data.md).
        split: "train" or "val" (also found under valid, validation, test); None for data without splits or with one.

    Raises:
        MaskRCNNError: nothing known is there, or not that split; says what was expected and found.
    """
    path = Path(path)
    if path.suffix.lower() in _MANIFESTS and path.is_file():
        from maskrcnn.data.manifest import open_manifest

        return open_manifest(path, split)
    splits = _find_splits(path)
    if not splits:
        raise MaskRCNNError(f"{_EXPECTED}; found {_contents(path)}", where=path, fix="arrange the files like that")
    return _read(splits[match_split(list(splits), split, path)])


def has_split(path: str | Path, split: str) -> bool:
    """Whether `open_dataset(path, split)` would find that split."""
    path = Path(path)
    if path.suffix.lower() in _MANIFESTS and path.is_file():
        from maskrcnn.data.manifest import splits_of

        return _match(splits_of(path), split) is not None
    return _match(list(_find_splits(path)), split) is not None


def match_split(names: Sequence[str], split: str | None, path: Path) -> str:
    """Which of the splits there a user's split means; None for the only one.

    Raises:
        MaskRCNNError: none, or several where None was asked for.
    """
    if split is None and len(names) > 1:
        raise MaskRCNNError(f"the data has the splits {', '.join(names)}", where=path, fix="say which one to use")
    key = names[0] if split is None else _match(names, split)
    if key is None:
        raise MaskRCNNError(
            f"expected a split named {split!r}, found {', '.join(s or 'one set without splits' for s in names)}",
            where=path,
            fix=f"add a {split} folder, or use a split that is there",
        )
    return key


def _match(names: Sequence[str], split: str) -> str | None:
    """The one of `names` that a user's split means; data without splits ("") counts as train."""
    wanted = split.lower()
    group = next((aliases for aliases in SPLITS.values() if wanted in aliases), ())
    keys = (wanted, *group, *(("",) if wanted in SPLITS["train"] else ()))
    return next((key for key in keys if key in names), None)


def _find_splits(path: Path) -> dict[str, Path]:
    """Split name ("" if undivided) → a .json file or a folder of id masks."""
    if not path.exists():
        raise MaskRCNNError("no such file or folder", where=path, fix="check the path")
    if path.is_file():
        return {"": path} if path.suffix.lower() == ".json" else {}
    found = {}
    for name in (alias for aliases in SPLITS.values() for alias in aliases):
        source = _split_source(path, name)
        if source is not None:
            found[name] = source
    whole = None if found else _source(path)
    return {"": whole} if whole is not None else found


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
