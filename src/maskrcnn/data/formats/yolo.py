"""YOLO segmentation labels: images/…/a.jpg with labels/…/a.txt, one object a line.

A line is `class x0 y0 x1 y1 …`, a polygon in fractions of the image's width and height, or `class x y w h`, a box by
its centre: an object without a mask. One polygon is all an object has: several parts, and holes, are joined by bridges
of no width that are walked there and back. Drawn even-odd such a polygon is exact, and so it is read. An image without
a .txt has no objects. Names come from the data's YAML file, from classes.txt, or are the numbers themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import yaml

from maskrcnn.data.dataset import Dataset, ImageRecord
from maskrcnn.data.formats.checks import require_images
from maskrcnn.data.formats.location import Location, split_folders
from maskrcnn.data.formats.losses import Losses
from maskrcnn.data.formats.writer import Item, Writer
from maskrcnn.data.image_formats import IMAGE_SUFFIXES
from maskrcnn.data.image_io import find_images, image_size
from maskrcnn.data.objects import Annotation, Drawn, clipped_box
from maskrcnn.data.problem import DataError, Problem, unreadable
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop
from maskrcnn.masks.outline import join, outline
from maskrcnn.masks.polygons import rasterise

_NAME_FILES = ("classes.txt", "obj.names", "names.txt")
_MAX_UNNAMED = 10_000
_SNIFFED = 1 << 16
# Fractions a little outside 0..1 are sloppy drawing, far outside they are pixels.
_FAR_OUTSIDE = 2.0
# Digits to which a product of a fraction and a size is what the fraction was made from.
_DECIMALS = 9


def find(path: Path) -> dict[str, Location]:
    """The image folders of the splits of a folder, such a folder itself, or a .txt that lists images."""
    if path.is_file():
        return {"": Location(path, root=path.parent)} if path.suffix.lower() == ".txt" and _listed(path) else {}
    parts = split_folders(path / "images") or split_folders(path)
    folders = {name: place / "images" if (place / "images").is_dir() else place for name, place in parts.items()}
    found = {name: Location(place, root=path) for name, place in folders.items() if _has_labels(place)}
    for place in (path / "images", path):
        if not found and _has_labels(place):
            above = [folder.parent for folder in (place, *place.parents) if folder.name.lower() == "images"]
            return {"": Location(place, root=above[0] if above else path)}
    return found


def read(location: Location | str | Path, names: Sequence[str] | None = None) -> Dataset:
    """The data set of a folder of images, or of a .txt that lists them, whose labels lie in the folder beside it.

    Args:
        location: of the images.
        names: class names; looked for in files beside the data unless given.

    Raises:
        MaskRCNNError: no image there can be used.
    """
    place = Location.of(location)
    images = _listed(place.path) if place.path.is_file() else find_images(place.path)
    label_folders = {folder: _label_folder(folder) for folder in {image.parent for image in images}}
    problems: list[Problem] = []
    records: list[ImageRecord] = []
    bare = 0
    for image in images:
        try:
            size = image_size(image)
        except MaskRCNNError as error:
            problems.append(unreadable(error, "unreadable-image"))
            continue
        labels = label_folders[image.parent] / f"{image.stem}.txt"
        bare += not labels.is_file()
        records.append(ImageRecord(len(records) + 1, image, *size, labels))
    require_images(records, f"none of {len(images)} images can be used", problems, place.path, "add the images")
    if bare:
        what = f"{bare:,} of {len(records):,} images have no .txt of labels: they count as images without objects"
        problems.append(Problem("unlabelled-image", str(place.path), what, "label them if they show objects", "note"))
    if names is None:
        names = _names(place)
    return Dataset(names, records, _Lines(len(names)), problems)


class _Lines:
    """Reads the label file of an image."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def __call__(self, index: int, record: ImageRecord) -> tuple[list[Annotation], list[Problem]]:
        assert record.labels is not None
        annotations, problems = [], []
        for number, line in enumerate(_lines(record.labels), start=1):
            if not line.strip():
                continue
            try:
                annotations.append(_annotation(line, number, self.classes, record.size))
            except DataError as error:
                problems.append(error.problem(f"{record.labels}, line {number}", objects_lost=1))
        return annotations, problems


def _annotation(line: str, number: int, classes: int, size: tuple[int, int]) -> Annotation:
    try:
        values = np.array(line.split(), dtype=np.float64)
    except ValueError as error:
        raise DataError("bad-entry", f"expected numbers, found {line[:60]!r}", fix="correct or remove it") from error
    label = values[0]
    if not (label.is_integer() and 0 <= label < classes):
        what = f"expected a class from 0 to {classes - 1}, found {line.split()[0][:20]}"
        raise DataError("unknown-category", what, fix="correct it, or add the class to the names")
    scale = np.array(size[::-1], dtype=np.float64)
    fractions = values[1:]
    if not (np.abs(fractions) <= _FAR_OUTSIDE).all():
        what = f"expected fractions of the image's width and height from 0 to 1, found {line[:60]!r}"
        raise DataError("not-normalised", what, fix="divide x by the width and y by the height")
    if len(fractions) == 4:
        centre, extent = fractions[:2] * scale, fractions[2:] * scale
        box = clipped_box(np.round([*(centre - extent / 2), *extent], _DECIMALS).tolist(), size)
        return Annotation(number, int(label), False, box, None, None)
    if len(fractions) < 6 or len(fractions) % 2:
        what = f"expected a class and 3 or more points x y, or a box x y w h, found {len(values)} numbers"
        raise DataError("bad-segmentation", what, fix="correct or remove it")
    points = np.round(fractions.reshape(-1, 2) * scale, _DECIMALS)
    return Annotation(number, int(label), False, None, None, [points.ravel()])


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        return []
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MaskRCNNError(f"cannot be read as text: {error}", where=file, fix="write the labels again") from error


def _listed(file: Path) -> list[Path]:
    """The images that a .txt names, one a line, relative to it."""
    lines = (line.strip().replace("\\", "/") for line in _lines(file))
    return [file.parent / line for line in lines if Path(line).suffix.lower() in IMAGE_SUFFIXES]


def _label_folder(folder: Path) -> Path:
    """labels/… for images/…, by the last folder of that name; the folder itself if there is none."""
    for path in (folder, folder.absolute()):
        parts = list(path.parts)
        for place in range(len(parts) - 1, -1, -1):
            if parts[place].lower() == "images":
                labels = Path(*parts[:place], "labels", *parts[place + 1 :])
                return labels if labels.is_dir() else folder
    return folder


def _has_labels(folder: Path) -> bool:
    """Whether there are images in a folder with a .txt for one of them; beside the images it must hold numbers."""
    if not folder.is_dir():
        return False
    place = _label_folder(folder)
    labels = {file.stem: file for file in place.glob("*.txt")}
    images = find_images(folder) if labels else []
    first = next((labels[image.stem] for image in images if image.stem in labels), None)
    if first is None or place != folder:
        return first is not None
    line = first.read_bytes()[:_SNIFFED].partition(b"\n")[0]
    return re.fullmatch(rb"(\xef\xbb\xbf)?[-+.\deE\s]*", line) is not None


def _names(place: Location) -> list[str]:
    """Names from a file beside the data, else the numbers in use."""
    root = place.root or place.path
    label_folders = list(_label_folders(place))
    for folder in dict.fromkeys((root, place.path.parent, root.parent, *label_folders)):
        for file in (folder / name for name in _NAME_FILES):
            if names := [line.strip() for line in _lines(file) if line.strip()]:
                return names
    largest = -1
    for folder in label_folders:
        for file in sorted(folder.glob("*.txt")):
            largest = max(largest, *_classes_in(file), -1)
    return [str(number) for number in range(largest + 1)]


def _label_folders(place: Location) -> Iterator[Path]:
    """Those of all splits, so that they agree on the classes."""
    everywhere = find(place.root) if place.root is not None and place.path.is_dir() else {}
    folders = [location.path for location in everywhere.values()] or [place.path]
    images = [image.parent for image in _listed(place.path)] if place.path.is_file() else folders
    yield from dict.fromkeys(_label_folder(folder) for folder in images)


def _classes_in(file: Path) -> Iterator[int]:
    try:
        lines = _lines(file)
    except MaskRCNNError:
        return  # told when the image is read
    for line in lines:
        first = line.split(maxsplit=1)[0] if line.strip() else ""
        if first.isdecimal() and len(first) < 10 and int(first) < _MAX_UNNAMED:
            yield int(first)


class YoloWriter(Writer):
    """images/train and labels/train, and so on, with a data.yaml."""

    def __init__(self, folder: Path, names: Sequence[str], splits: Sequence[str], losses: Losses) -> None:
        super().__init__(folder, names, splits, losses)
        self.masks = self.boxes = 0

    def image_folder(self, split: str) -> Path:
        return self.folder / "images" / split

    def add(self, item: Item) -> None:
        scale = np.array(item.record.size[::-1], dtype=np.float64)
        lines = []
        for drawn in item.objects:
            values = self._fractions(drawn, item.record.size, scale)
            lines.append(" ".join([str(drawn.annotation.label), *map(repr, values.tolist())]) + "\n")
        file = self.folder / "labels" / item.split / f"{item.image.stem}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(lines), encoding="utf-8", newline="\n")

    def _fractions(self, drawn: Drawn, size: tuple[int, int], scale: np.ndarray) -> np.ndarray:
        if drawn.crop is None:
            self.boxes += 1
            corners = np.array(drawn.box, dtype=np.float64).reshape(2, 2)
            return np.concatenate((corners.mean(axis=0) / scale, (corners[1] - corners[0]) / scale))
        self.masks += 1
        polygon, joined = _one_polygon(drawn.annotation.segmentation, drawn.crop, size)
        self.losses.add("joined", int(joined))
        return (polygon.reshape(-1, 2) / scale).ravel()

    def close(self) -> None:
        if self.masks:
            self.losses.add("boxes-beside-masks", self.boxes)
        known = {"training": "train", "valid": "val", "validation": "val"}
        places = {known.get(split, split) or "train": f"images/{split}".strip("/") for split in self.splits}
        content = places | {"names": dict(enumerate(self.names))}
        text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
        (self.folder / "data.yaml").write_text(text, encoding="utf-8", newline="\n")


def _one_polygon(segmentation: object, crop: Crop, size: tuple[int, int]) -> tuple[np.ndarray, bool]:
    """A polygon that draws the mask, and whether it is joined from several rings.

    The source's own polygons are kept where they lie inside the image and do not overlap each other.
    """
    limit = np.array(size[::-1])
    if isinstance(segmentation, list):
        inside = all(((p.reshape(-1, 2) >= 0) & (p.reshape(-1, 2) <= limit)).all() for p in segmentation)
        if inside and len(segmentation) == 1:
            return segmentation[0], False
        polygon = join(segmentation) if inside else None
        if polygon is not None and _equal(rasterise([polygon], size), crop):
            return polygon, True
    parts, holes = outline(crop)
    return join([*parts, *holes]), len(parts) + len(holes) > 1


def _equal(one: Crop, other: Crop) -> bool:
    return one[1:] == other[1:] and np.array_equal(one.bitmap, other.bitmap)
