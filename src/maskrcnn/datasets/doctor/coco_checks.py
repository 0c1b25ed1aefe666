"""Checks of a COCO label file as written: its ids, and boxes before they are clipped.

Boxes as written are [x, y, width, height] in continuous image pixels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.doctor.checks import problem_of
from maskrcnn.datasets.doctor.coco_content import entries_of
from maskrcnn.datasets.doctor.examined_image import ExaminedImage
from maskrcnn.datasets.doctor.id_gaps import missing_ids
from maskrcnn.datasets.formats.coco_images import file_name
from maskrcnn.images.image_reader import find_images
from maskrcnn.masks.box_geometry import rounded_xywh
from maskrcnn.text import listed

_ROUNDING = 1.0  # pixels
_FEW = 5  # boxes without masks; fewer do not show how boxes are written
_BEYOND = 0.1  # their share that reaches beyond the image if x2, y2 are taken for width and height
_NAMED = 8


class CocoFile(NamedTuple):
    """A COCO label file, its content as `coco_contents` gives it, and the images of one split that it labels."""

    path: Path
    content: Mapping[str, Any]
    images: Sequence[ExaminedImage]


class _WrittenBox(NamedTuple):
    """The box of an annotation as written, in an image of `size` (H, W)."""

    annotation: int
    image: Path
    size: tuple[int, int]
    sides: tuple[float, ...]


def count_lost(images: Sequence[ExaminedImage], contents: Mapping[Path, Mapping[str, Any]]) -> list[ExaminedImage]:
    """The images; `lost` counts all annotations that the files have for each and that the reader left out."""
    written = Counter[tuple[Path | None, int]](
        (file, entry["image_id"]) for file, content in contents.items() for entry in entries_of(content, "annotations")
    )
    return [
        image._replace(lost=written[image.record.labels, image.record.id] - len(image.ids))
        if image.record.labels in contents
        else image
        for image in images
    ]


def check_coco_file(file: CocoFile) -> Iterator[Problem]:
    """Problems of one label file and its images."""
    annotations = entries_of(file.content, "annotations")
    found = {
        "id-gaps": _id_gaps(annotations),
        "category-offset": _category_offset(annotations, entries_of(file.content, "categories")),
        "normalised-coordinates": _normalised(annotations) if file.images else "",
    }
    yield from (problem_of(check, file.path, what) for check, what in found.items() if what)
    if not found["normalised-coordinates"]:
        yield from _boxes(annotations, file)


def check_unlisted_images(files: Sequence[CocoFile]) -> list[Problem]:
    """Image files in the folders of COCO data that none of its label files lists."""
    listed_names = {
        re.split(r"[\\/]", file_name(entry))[-1] for file in files for entry in entries_of(file.content, "images")
    }
    listed_names |= {image.path.name for file in files for image in file.images}
    problems = []
    for folder in sorted({image.path.parent for file in files for image in file.images}):
        extra = [path.name for path in find_images(folder) if path.name not in listed_names]
        if extra:
            what = f"{len(extra)} image files are in no label file: {listed(extra, _NAMED)}"
            problems.append(problem_of("unlisted-image", folder, what))
    return problems


def _id_gaps(annotations: list[dict[str, Any]]) -> str:
    numbers = [entry["id"] for entry in annotations if entry["id"] is not None]
    missing = missing_ids(np.array(numbers, dtype=np.int64), min(numbers, default=0))
    return f"annotation ids {missing}" if missing else ""


def _category_offset(annotations: list[dict[str, Any]], categories: list[dict[str, Any]]) -> str:
    """Evidence that all class ids fit if one is added or subtracted, and do not as they are; else ""."""
    known = {entry["id"] for entry in categories if entry["id"] is not None}
    used = {entry["category_id"] for entry in annotations}
    if not known or None in used or used <= known or 2 * len(used) < len(known):
        return ""
    for shift in (1, -1):
        if {value + shift for value in used} <= known:
            return (
                f"annotations use the class ids {_span(used)}, the categories are {_span(known)}: "
                f"all fit with {shift:+d}, {len(used - known)} of {len(used)} do not as they are"
            )
    return ""


def _span(values: set[int]) -> str:
    return f"{min(values)}..{max(values)}" if len(values) > 1 else str(min(values))


def _normalised(annotations: list[dict[str, Any]]) -> str:
    """Evidence that coordinates are fractions of the image instead of pixels; else ""."""
    largest = 0.0
    for entry in annotations:
        polygons = entry.get("segmentation")
        for part in (entry.get("bbox"), *(polygons if isinstance(polygons, list) else ())):
            largest = max(largest, *(_numbers(part) or (0.0,)))
            if largest > 1.001:
                return ""
    if largest <= 0:
        return ""
    return f"the largest of all coordinates of {len(annotations):,} annotations is {largest:.3f}, pixels are expected"


def _boxes(annotations: list[dict[str, Any]], file: CocoFile) -> Iterator[Problem]:
    """Boxes written as corners, and boxes that reach beyond the image."""
    images = {image.record.id: image for image in file.images}
    rows = {(key, int(number)): row for key, image in images.items() for row, number in enumerate(image.ids)}
    maskless: list[_WrittenBox] = []
    for entry in annotations:
        sides, image = _numbers(entry.get("bbox")), images.get(entry["image_id"])
        row = rows.get((entry["image_id"], entry["id"]))
        if sides is None or len(sides) != 4 or image is None or row is None:
            continue
        box = _WrittenBox(entry["id"], image.path, image.record.size, sides)
        tight = image.tight[row].tolist()
        if np.isnan(tight[0]):
            maskless.append(box)
        elif _is_corners(sides, tight):
            expected = rounded_xywh(tight, 1)
            what = f"bbox {_rounded(sides)} is [x1, y1, x2, y2] of its mask; [x, y, width, height] is {expected}"
            yield problem_of("xyxy-box", image.path, what, entry["id"])
        else:
            yield from _beyond(box)
    if what := _all_corners(maskless):
        yield problem_of("xyxy-box", file.path, what)
    else:
        yield from (problem for box in maskless for problem in _beyond(box))


def _is_corners(box: Sequence[float], tight: Sequence[float]) -> bool:
    """Whether a written box holds the corners of its mask, and its last two numbers are not width and height."""
    slack = 1.5 * _ROUNDING
    corners = all(abs(a - b) <= slack for a, b in zip(box, tight, strict=True))
    return corners and (abs(box[2] - tight[2] + tight[0]) > 2 * slack or abs(box[3] - tight[3] + tight[1]) > 2 * slack)


def _all_corners(boxes: Sequence[_WrittenBox]) -> str:
    """Evidence that all boxes without masks are written as corners; else ""."""
    if len(boxes) < _FEW:
        return ""
    values = np.array([box.sides for box in boxes])
    limit = np.array([box.size[::-1] for box in boxes])
    ordered = (values[:, 2:] > values[:, :2]).all() and (values[:, 2:] <= limit + _ROUNDING).all()
    beyond = (values[:, :2] + values[:, 2:] > limit + _ROUNDING).any(axis=1)
    if not ordered or beyond.mean() < _BEYOND:
        return ""
    return (
        f"in all {len(boxes):,} boxes without a mask the last two numbers exceed the first two and lie in the image; "
        f"taken as width and height, {int(beyond.sum()):,} boxes reach beyond it"
    )


def _beyond(box: _WrittenBox) -> Iterator[Problem]:
    """A problem if a box reaches beyond its image; the reader reports those that lie outside it."""
    (height, width), (x, y, wide, high) = box.size, box.sides
    beyond = max(-x, -y, x + wide - width, y + high - height)
    inside = x < width and y < height and x + wide > 0 and y + high > 0
    if beyond > _ROUNDING and min(wide, high) > 0 and inside:
        what = f"bbox {_rounded(box.sides)} reaches {beyond:.1f} pixels beyond the {width} x {height} image"
        yield problem_of("partly-outside", box.image, what, box.annotation)


def _numbers(values: Any) -> tuple[float, ...] | None:
    if not isinstance(values, list | tuple) or not all(type(value) in (int, float) for value in values):
        return None
    return tuple(map(float, values)) if all(abs(value) < 1e12 for value in values) else None


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 1) for value in values]
