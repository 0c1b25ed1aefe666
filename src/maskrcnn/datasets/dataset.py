"""Labelled images of one split, whatever format they came in, and how a folder's format is recognised.

Boxes are (x1, y1, x2, y2) in continuous pixels of the image; labels are 0..C-1 into `names`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from maskrcnn.annotations.objects import Annotation, Drawn, Objects, draw_all, draw_each
from maskrcnn.annotations.problem import Problem
from maskrcnn.arguments import checked_path
from maskrcnn.config import Preprocess
from maskrcnn.documents import shown
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.channels import read_for_model
from maskrcnn.images.image_formats import skipped_files_note
from maskrcnn.images.image_reader import find_images, image_size
from maskrcnn.output.unfinished import MARK, unfinished_folder
from maskrcnn.text import listed, plural

if TYPE_CHECKING:
    from maskrcnn.datasets.formats.location import Location
    from maskrcnn.datasets.formats.registry import Format

_MANIFESTS = (".yaml", ".yml")
SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "test")}


@dataclass(frozen=True)
class ImageRecord:
    """One image of a data set.

    Attributes:
        id: number by which people find it again.
        path: the image file.
        height, width: in pixels, after EXIF orientation.
        labels: the file that its labels come from.
        absent: names of the classes that were looked for and are not there; None if every object is labelled.
        partial: names of the classes of which some objects may not be labelled.
    """

    id: int
    path: Path
    height: int
    width: int
    labels: Path | None = None
    absent: tuple[str, ...] | None = None
    partial: tuple[str, ...] = ()

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
        # JSON can write half a character, which no file, plot or terminal takes.
        self.names = tuple(name.encode("utf-8", "replace").decode("utf-8") for name in names)
        self.records, self.problems = list(records), list(problems)
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

    def pixels(self, index: int, preprocess: Preprocess | None = None, shrink: int = 1) -> np.ndarray:
        """The image as a model takes it: uint8 [H, W, 3] RGB, or other channels, uint8 or uint16.

        Args:
            preprocess: what the model takes; RGB unless given.
            shrink: 1, 2, 4 or 8: the image may come so many times smaller, see `read_image`.

        Raises:
            MaskRCNNError: the file cannot be read, or its size is not the one the labels were made for.
        """
        record = self.records[index]
        size = image_size(record.path)  # before anything is decoded, and memory taken for what a header claims
        if size != record.size:
            raise MaskRCNNError(
                f"the labels are for {record.height} x {record.width} (height x width), "
                f"the image has {size[0]} x {size[1]}",
                where=record.path,
                fix="scale or turn the image or its labels so that they agree",
            )
        return read_for_model(record.path, preprocess or Preprocess(), shrink).pixels

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

    def drawn(self, index: int) -> list[Drawn]:
        """As `objects`, one by one, each with the annotation that it comes from."""
        record = self.records[index]
        drawn, problems = draw_each(self.annotations(index), record.size, record.labels or record.path)
        self._tell(problems)
        return drawn

    def _tell(self, problems: Sequence[Problem]) -> None:
        new = [problem for problem in problems if problem not in self._told]
        self._told.update(new)
        self.problems += new


def open_dataset(
    path: str | Path,
    split: str | None = None,
    names: Sequence[str] | None = None,
    keypoints: tuple[int, int] | None = None,
) -> Dataset:
    """Open a labelled data set; its format is recognised from the folder alone.

    Args:
        path: folder of any known format, its label file, or .yaml naming folders (train: …, val: …; see `manifest`).
        split: "train" or "val" (also found under valid, validation, test); None for data without splits or with one.
        names: class names, for data that only numbers its classes and has no file that names them; "" for a number
            without a class.
        keypoints: how many keypoints follow each box of YOLO pose labels, and the numbers of each.

    Raises:
        MaskRCNNError: nothing known is there, or not that split, or it is unfinished; says what was expected and found.
    """
    path = _existing(checked_path(path, "data set"))
    if split is not None and not isinstance(split, str):
        raise MaskRCNNError(f"split: expected its name, found {shown(split)}", fix="give 'train' or 'val'")
    check_finished(path)
    return open_as_found(path, split, names, keypoints)


def open_as_found(
    path: Path,
    split: str | None = None,
    names: Sequence[str] | None = None,
    keypoints: tuple[int, int] | None = None,
) -> Dataset:
    """As `open_dataset`, also of a folder that a run left unfinished."""
    if manifest := _manifest(path):
        from maskrcnn.datasets.manifest import open_manifest

        return open_manifest(manifest, split)
    return open_detected(path, split, names, keypoints)


def check_finished(path: Path) -> None:
    """Raises `MaskRCNNError` if the data at a path were not written to their end."""
    if folder := unfinished_folder(path):
        raise MaskRCNNError(
            "unfinished: the run that wrote this data set has not come to its end",
            where=folder,
            fix=f"run it again with the same folder, or delete the folder; to use what is there, delete {MARK} in it",
        )


def open_detected(
    path: Path,
    split: str | None = None,
    names: Sequence[str] | None = None,
    keypoints: tuple[int, int] | None = None,
) -> Dataset:
    """As `open_dataset`, without regard to a .yaml in the folder."""
    from maskrcnn.datasets.formats.reserved_names import without_reserved

    found = _found(path)
    if found is None:
        from maskrcnn.datasets.formats.registry import expected

        what = f"expected {expected()}, a label file or a .yaml naming such folders; found {_contents(path)}"
        raise MaskRCNNError(what, where=path, fix="arrange the files like that")
    form, splits = found
    location = splits[match_split(list(splits), split, path)]
    dataset = without_reserved(form.read(location._replace(keypoints=keypoints), names), str(location.path))
    dataset.problems += _left_out(dataset, path)
    return dataset


def has_split(path: str | Path, split: str) -> bool:
    """Whether `open_dataset(path, split)` would find that split."""
    return _match(split_names(path), split) is not None


def split_names(path: str | Path) -> list[str]:
    """The splits that `open_dataset` would find, training first; [""] for data without splits, none for no data."""
    path = _existing(path)
    if manifest := _manifest(path):
        from maskrcnn.datasets.manifest import splits_of

        return splits_of(manifest)
    found = _found(path)
    return list(found[1]) if found else []


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


def _found(path: Path) -> tuple[Format, dict[str, Location]] | None:
    """The format of a folder or label file, and the labels of its splits."""
    from maskrcnn.datasets.formats.registry import detect

    return detect(_existing(path))


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; no for what cannot be a path."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not exists(path):
        raise MaskRCNNError("no such file or folder", where=path, fix="check the path")
    return path


def _manifest(path: Path) -> Path | None:
    """The YAML that names the data: the file itself, or one in the folder that gives names to classes and splits."""
    if path.is_file():
        return path if path.suffix.lower() in _MANIFESTS else None
    from maskrcnn.datasets.manifest import describes

    files = sorted(file for file in path.glob("*") if file.suffix.lower() in _MANIFESTS) if path.is_dir() else []
    files.sort(key=lambda file: file.stem.lower() != "data")
    return next((file for file in files if describes(file)), None)


def _left_out(dataset: Dataset, path: Path) -> list[Problem]:
    """One line if the folders of images also have files of kinds that are not read."""
    folders = sorted({record.path.parent for record in dataset.records})
    what = skipped_files_note(file for folder in folders if folder.is_dir() for file in folder.iterdir())
    return [Problem("left-out", str(path), what, severity="note")] if what else []


def _contents(path: Path) -> str:
    if not path.is_dir():
        return f"the file {path.name}" if path.exists() else "nothing"
    names = sorted(p.name + "/" * p.is_dir() for p in path.iterdir() if not p.name.startswith("."))
    images = len(find_images(path))
    others = skipped_files_note(path.iterdir())
    return (
        (listed(names, 8) or "an empty folder")
        + (f" with {plural(images, 'image')}" if images else "")
        + (f"; {others}" if others else "")
    )
