"""labelme: one .json an image, with its shapes.

A polygon or a circle is a part of an object, a mask is a picture of one; shapes of one label and one group_id are one
object. A rectangle is an object with a box and no mask. Lines and points have no area and are left out. Flags other
than `crowd`, descriptions and the copy of the image (imageData) are not used. Written are the images with their .json
beside them in a folder a split, polygons where they can say the mask and mask shapes for those with holes, and
labels.txt.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskrcnn.data.dataset import Dataset, ImageRecord, StoredAnnotations
from maskrcnn.data.formats.checks import boxes_only, checked_size, require_images
from maskrcnn.data.formats.image_finder import ImageFinder
from maskrcnn.data.formats.location import Location, json_kind, split_folders
from maskrcnn.data.formats.shapes import Shape, checked_points, ellipse, objects_of
from maskrcnn.data.formats.writer import Item, Writer, polygons_of
from maskrcnn.data.image_formats import IMAGE_SUFFIXES
from maskrcnn.data.objects import Annotation, Drawn, clipped_box
from maskrcnn.data.problem import DataError, Problem
from maskrcnn.masks.crop import Crop

_VERSION = "5.5.0"
_CROWD = "crowd"
_WITHOUT_AREA = ("point", "points", "line", "linestrip")
# labelme's own names for what is no object.
_NO_CLASS = ("_background_", "__ignore__")


def find(path: Path) -> dict[str, Location]:
    """The folders of .json files of the splits of a folder, the folder itself, or one such file."""
    if path.is_file():
        return {"": Location(path)} if path.suffix.lower() == ".json" and json_kind(path) == "labelme" else {}
    found = {name: Location(place, root=path) for name, place in split_folders(path).items() if _is_labelme(place)}
    for place in (path, path / "annotations", path / "ann"):
        if not found and _is_labelme(place):
            return {"": Location(place)}
    return found


def _is_labelme(folder: Path) -> bool:
    first = min(_files(folder), default=None)
    return first is not None and json_kind(first) == "labelme"


def _files(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(place.glob("*.json"))


def read(location: Location | str | Path, names: Sequence[str] | None = None) -> Dataset:
    """The data set of a folder of .json files; images are found by imagePath, beside the file, or in images/.

    Args:
        location: of the folder, or of one .json file.
        names: not used, shapes have their labels.

    Raises:
        MaskRCNNError: no image there can be used.
    """
    place = Location.of(location)
    files = _files(place.path)
    contents = [_parsed(file) for file in files]
    classes = _classes(place, contents)
    problems: list[Problem] = []
    records: list[ImageRecord] = []
    annotations: list[list[Annotation]] = []
    folder = place.path.parent if place.path.is_file() else place.path
    finder = ImageFinder([folder, folder / "images", folder.parent / "images", folder.parent, folder.parent / "img"])
    for file, content in zip(files, contents, strict=True):
        try:
            record = _record(content, file, len(records) + 1, finder)
        except DataError as error:
            shapes = content.get("shapes") if isinstance(content, dict) else None
            problems.append(error.problem(str(file), 1, len(shapes) if isinstance(shapes, list) else 0))
            continue
        shapes, bad = _shapes(content["shapes"], file, classes, record.size)
        records.append(record)
        annotations.append(objects_of(shapes, record.size))
        problems += bad
    what = f"none of {len(files)} .json files can be used"
    require_images(records, what, problems, place.path, "export them from labelme")
    problems += _unlabelled(place.path, records) + boxes_only(annotations, place.path)
    return Dataset(list(classes), records, StoredAnnotations(annotations), problems)


def _parsed(file: Path) -> Any:
    """The content without its copy of the image, or the error that there is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        return DataError("bad-file", f"not valid JSON: {error}", fix="save it again in labelme")
    if isinstance(content, dict):
        content["imageData"] = bool(content.get("imageData"))
    return content


def _classes(place: Location, contents: Sequence[Any]) -> dict[str, int]:
    """Labels of labels.txt, and of the shapes of all splits in the order of the alphabet."""
    root = place.root or (place.path.parent if place.path.is_file() else place.path)
    file = root / "labels.txt"
    listed = file.read_text(encoding="utf-8-sig", errors="replace").splitlines() if file.is_file() else []
    others = [other.path for other in find(root).values() if other.path != place.path] if place.root else []
    used = {label for content in contents for label in _labels(content)}
    used |= {label for other in others for file in _files(other) for label in _labels(_parsed(file))}
    order = dict.fromkeys([*(line.strip() for line in listed), *sorted(used)])
    return {name: label for label, name in enumerate(name for name in order if name and name not in _NO_CLASS)}


def _labels(content: Any) -> Iterator[str]:
    shapes = content.get("shapes") if isinstance(content, dict) else None
    for shape in shapes if isinstance(shapes, list) else ():
        if isinstance(shape, dict) and isinstance(shape.get("label"), str):
            yield shape["label"].strip()


def _record(content: Any, file: Path, number: int, finder: ImageFinder) -> ImageRecord:
    if isinstance(content, DataError):
        raise content
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        found = ", ".join(list(content)[:6]) if isinstance(content, dict) else type(content).__name__
        raise DataError("bad-file", f"expected labelme's list shapes, found {found}", fix="save it again in labelme")
    name = content.get("imagePath")
    image = finder.find(name) if isinstance(name, str) and name else None
    for suffix in sorted(IMAGE_SUFFIXES):
        image = image or finder.find(file.stem + suffix)
    if image is None:
        has_copy = content["imageData"]
        fix = "labelme_export_json takes the copy out of imageData" if has_copy else "add the image"
        raise DataError("missing-image", f"no image {name}", fix=fix)
    height, width = checked_size(content.get("imageHeight"), content.get("imageWidth"), image)
    return ImageRecord(number, image, height, width, file)


def _unlabelled(folder: Path, records: Sequence[ImageRecord]) -> list[Problem]:
    """One line for the images beside the .json files that have none."""
    there = {path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES} if folder.is_dir() else set()
    labelled = {record.path for record in records}
    bare = len(there - labelled)
    if not bare or not there & labelled:
        return []
    what = f"{bare:,} images have no .json and are left out"
    return [
        Problem("unlabelled-image", str(folder), what, "open and save them in labelme, also without objects", "note")
    ]


def _shapes(
    entries: list[Any], file: Path, classes: dict[str, int], size: tuple[int, int]
) -> tuple[list[Shape], list[Problem]]:
    shapes, problems = [], []
    for number, entry in enumerate(entries, start=1):
        try:
            shapes.append(_shape(entry, number, classes, size))
        except DataError as error:
            problems.append(error.problem(f"{file}, shape {number}", objects_lost=1))
    return shapes, problems


def _shape(entry: Any, number: int, classes: dict[str, int], size: tuple[int, int]) -> Shape:
    if not isinstance(entry, dict):
        raise DataError("bad-entry", f"expected a shape, found {type(entry).__name__}", fix="correct or remove it")
    name = entry.get("label")
    if not isinstance(name, str) or name.strip() not in classes:
        raise DataError("unknown-category", f"its label is {str(name)[:40]!r}", fix="give it the name of a class")
    flags, group = entry.get("flags"), entry.get("group_id")
    crowd = isinstance(flags, dict) and flags.get(_CROWD) is True
    kind = entry.get("shape_type") or "polygon"
    points = _points(entry.get("points"))
    part: list[np.ndarray] | Crop | None
    box = None
    if kind == "polygon":
        part = [checked_points(points)]
    elif kind == "circle" and len(points) == 2:
        part = [ellipse(points[0], [float(np.hypot(*(points[1] - points[0])))] * 2)]
    elif kind == "mask":
        part = _mask(entry.get("mask"), points, size)
    elif kind == "rectangle":
        part = None
        low, high = points.min(axis=0), points.max(axis=0)
        box = clipped_box([*low.tolist(), *(high - low).tolist()], size)
    else:
        what = f"a {kind} has no area" if kind in _WITHOUT_AREA else f"the shape_type {str(kind)[:40]!r} is not known"
        raise DataError("no-shape", what, fix="draw a polygon instead")
    return Shape(number, classes[name.strip()], crowd, str(group) if isinstance(group, int | str) else None, box, part)


def _points(value: Any) -> np.ndarray:
    """float64 [P, 2]."""
    try:
        points = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise DataError("bad-segmentation", f"expected points [x, y], found {str(value)[:60]}", fix="correct it")
    return points


def _mask(text: Any, points: np.ndarray, size: tuple[int, int]) -> Crop:
    """The tight mask of a base64 PNG whose first pixel lies at the first point, cut to the image."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"]) as image:
            if image.width * image.height > 4 * size[0] * size[1]:
                raise ValueError(f"{image.width} x {image.height} pixels in an image of {size[1]} x {size[0]}")
            bitmap = np.array(image) != 0
    except (TypeError, ValueError, OSError, SyntaxError, binascii.Error, Image.DecompressionBombError) as error:
        raise DataError("bad-segmentation", f"its mask is no PNG: {str(error)[:80]}", fix="draw it again") from error
    x, y = (int(value) for value in points[0].clip(-1e6, 1e6))
    bitmap = bitmap[..., 0] if bitmap.ndim == 3 else bitmap
    bitmap = bitmap[max(-y, 0) : max(size[0] - y, 0), max(-x, 0) : max(size[1] - x, 0)]
    return Crop(bitmap, max(x, 0), max(y, 0)).tight()


class LabelmeWriter(Writer):
    """train/a.jpg with train/a.json, and so on; in the folder itself where the data does not divide."""

    def image_folder(self, split: str) -> Path:
        return self.folder / split

    def add(self, item: Item) -> None:
        shapes: list[dict[str, Any]] = []
        for group, drawn in enumerate(item.objects, start=1):
            forms = _forms(drawn)
            for kind, points, mask in forms:
                flags = {_CROWD: True} if drawn.annotation.crowd else {}
                shapes.append(
                    {
                        "label": self.names[drawn.annotation.label],
                        "points": points,
                        "group_id": group if len(forms) > 1 else None,
                        "description": "",
                        "shape_type": kind,
                        "flags": flags,
                        "mask": mask,
                    }
                )
        content: dict[str, Any] = {
            "version": _VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": item.image.name,
            "imageData": None,
            "imageHeight": item.record.height,
            "imageWidth": item.record.width,
        }
        text = json.dumps(content, ensure_ascii=False)
        (item.image.parent / f"{item.image.stem}.json").write_text(text, encoding="utf-8", newline="\n")

    def close(self) -> None:
        (self.folder / "labels.txt").write_text("".join(f"{name}\n" for name in self.names), encoding="utf-8")


def _forms(drawn: Drawn) -> list[tuple[str, list[list[float]], str | None]]:
    """shape_type, points and mask of each shape that makes up an object."""
    x1, y1, x2, y2 = drawn.box
    if drawn.crop is None:
        return [("rectangle", [[x1, y1], [x2, y2]], None)]
    polygons = polygons_of(drawn)
    if polygons is not None:
        return [("polygon", polygon.reshape(-1, 2).tolist(), None) for polygon in polygons]
    bitmap, x, y = drawn.crop
    buffer = io.BytesIO()
    Image.fromarray(bitmap.astype(np.uint8)).save(buffer, "PNG")
    corner = [float(x + bitmap.shape[1] - 1), float(y + bitmap.shape[0] - 1)]
    return [("mask", [[float(x), float(y)], corner], base64.b64encode(buffer.getvalue()).decode("ascii"))]
