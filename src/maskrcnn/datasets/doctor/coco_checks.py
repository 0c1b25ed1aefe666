"""Checks of a COCO label file as written: its ids, and boxes before they are clipped.

Boxes as written are [x, y, width, height] in continuous image pixels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.doctor.checks import problem_of
from maskrcnn.datasets.doctor.coco_content import entries_of
from maskrcnn.datasets.doctor.examined_image import ExaminedImage
from maskrcnn.datasets.doctor.id_gaps import missing_ids
from maskrcnn.datasets.formats.coco_images import file_name
from maskrcnn.images.image_reader import find_images
from maskrcnn.text import listed

_ROUNDING = 1.0  # pixels
_FEW = 5  # boxes without masks, from which their system can be told
_BEYOND = 0.1  # their share that reaches beyond the image if x2, y2 are taken for width and height
_NAMED = 8


def count_lost(images: Sequence[ExaminedImage], contents: Mapping[Path, Mapping[str, Any]]) -> list[ExaminedImage]:
    """The images; `lost` counts all annotations that the files have for each and that the reader left out."""
    written = {
        file: Counter(entry["image_id"] for entry in entries_of(content, "annotations"))
        for file, content in contents.items()
    }
    return [
        image._replace(lost=written[image.record.labels][image.record.id] - len(image.ids))
        if image.record.labels in written
        else image
        for image in images
    ]


def check_coco_file(file: Path, content: Mapping[str, Any], images: Sequence[ExaminedImage]) -> list[Problem]:
    """Problems of one label file and its images."""
    annotations, categories = entries_of(content, "annotations"), entries_of(content, "categories")
    by_id = {image.record.id: image for image in images}
    problems = [*_gaps(annotations, file), *_offset(annotations, categories, file)]
    scaled = _normalised(annotations, by_id, file)
    return [*problems, *(scaled or _boxes(annotations, by_id, file))]


def listed_names(content: Mapping[str, Any], images: Sequence[ExaminedImage]) -> set[str]:
    """Names of the image files, without folders, that a label file lists."""
    names = {re.split(r"[\\/]", file_name(entry))[-1] for entry in content["images"]}
    return names | {image.path.name for image in images}


def check_unlisted_images(names: Mapping[Path, set[str]], folders: set[Path]) -> list[Problem]:
    """Image files in the folders of COCO data that none of its label files lists; `names` are those listed, by file."""
    if not names:
        return []
    known = set().union(*names.values())
    problems = []
    for folder in sorted(folders):
        extra = [path.name for path in find_images(folder) if path.name not in known]
        if extra:
            what = f"{len(extra)} image files are in no label file: {listed(extra, _NAMED)}"
            problems.append(problem_of("unlisted-image", folder, what))
    return problems


def _gaps(annotations: list[dict[str, Any]], file: Path) -> list[Problem]:
    numbers = [entry["id"] for entry in annotations if entry["id"] is not None]
    missing = missing_ids(np.array(numbers, dtype=np.int64), min(numbers, default=0))
    return [problem_of("id-gaps", file, f"annotation ids {missing}")] if missing else []


def _offset(annotations: list[dict[str, Any]], categories: list[dict[str, Any]], file: Path) -> list[Problem]:
    """Whether all class ids fit if one is added or taken away, and do not as they are."""
    known = {entry["id"] for entry in categories if entry["id"] is not None}
    used = {entry["category_id"] for entry in annotations if entry["category_id"] is not None}
    if not known or not used or used <= known or any(entry["category_id"] is None for entry in annotations):
        return []
    for shift in (1, -1):
        if {value + shift for value in used} <= known and 2 * len(used) >= len(known):
            what = (
                f"annotations use the class ids {_span(used)}, the categories are {_span(known)}: "
                f"all fit with {shift:+d}, {len(used - known)} of {len(used)} do not as they are"
            )
            return [problem_of("category-offset", file, what)]
    return []


def _span(values: set[int]) -> str:
    return f"{min(values)}..{max(values)}" if len(values) > 1 else str(min(values))


def _normalised(annotations: list[dict[str, Any]], images: Mapping[Any, ExaminedImage], file: Path) -> list[Problem]:
    """Whether coordinates are shares of the image instead of pixels."""
    largest, count = 0.0, 0
    for entry in annotations:
        numbers = _numbers(entry.get("bbox")) or ()
        polygons = entry.get("segmentation")
        for part in (numbers, *(polygons if isinstance(polygons, list) else ())):
            values = _numbers(part)
            if values:
                largest, count = max(largest, *values), count + 1
                if largest > 1.001:
                    return []
    if not count or not images or largest <= 0:
        return []
    what = f"the largest of all coordinates of {len(annotations):,} annotations is {largest:.3f}, pixels are expected"
    return [problem_of("normalised-coordinates", file, what)]


def _boxes(annotations: list[dict[str, Any]], images: Mapping[Any, ExaminedImage], file: Path) -> list[Problem]:
    """Boxes written as corners, and boxes that reach beyond the image."""
    rows = {(key, int(number)): row for key, image in images.items() for row, number in enumerate(image.ids)}
    problems: list[Problem] = []
    maskless: list[tuple[dict[str, Any], ExaminedImage, tuple[float, ...]]] = []
    for entry in annotations:
        box, image = _numbers(entry.get("bbox")), images.get(entry["image_id"])
        row = rows.get((entry["image_id"], entry["id"]))
        if box is None or len(box) != 4 or image is None or row is None:
            continue
        if np.isnan(image.tight[row, 0]):
            maskless.append((entry, image, box))
            continue
        tight = image.tight[row].tolist()
        if _is_corners(box, tight):
            what = (
                f"bbox {_rounded(box)} is [x1, y1, x2, y2] of its mask; "
                f"[x, y, width, height] is {_rounded((*tight[:2], tight[2] - tight[0], tight[3] - tight[1]))}"
            )
            problems.append(problem_of("xyxy-box", image.path, what, entry["id"]))
        else:
            problems += _beyond(entry, image, box)
    if system := _all_corners(maskless):
        return [*problems, problem_of("xyxy-box", file, system)]
    return [*problems, *(problem for entry, image, box in maskless for problem in _beyond(entry, image, box))]


def _is_corners(box: Sequence[float], tight: Sequence[float]) -> bool:
    """Whether a written box names the corners of its mask, where it cannot be taken for its width and height."""
    slack = 1.5 * _ROUNDING
    corners = all(abs(a - b) <= slack for a, b in zip(box, tight, strict=True))
    return corners and (abs(box[2] - tight[2] + tight[0]) > 2 * slack or abs(box[3] - tight[3] + tight[1]) > 2 * slack)


def _all_corners(boxes: Sequence[tuple[dict[str, Any], ExaminedImage, tuple[float, ...]]]) -> str:
    """Evidence that boxes without masks are written as corners, all of them; nothing if there is none."""
    if len(boxes) < _FEW:
        return ""
    values = np.array([box for _, _, box in boxes])
    limit = np.array([image.record.size[::-1] for _, image, _ in boxes])
    ordered = (values[:, 2:] > values[:, :2]).all() and (values[:, 2:] <= limit + _ROUNDING).all()
    beyond = (values[:, :2] + values[:, 2:] > limit + _ROUNDING).any(axis=1)
    if not ordered or beyond.mean() < _BEYOND:
        return ""
    return (
        f"in all {len(boxes):,} boxes without a mask the last two numbers exceed the first two and lie in the image; "
        f"taken as width and height, {int(beyond.sum()):,} boxes reach beyond it"
    )


def _beyond(entry: dict[str, Any], image: ExaminedImage, box: Sequence[float]) -> list[Problem]:
    height, width = image.record.size
    beyond = max(-box[0], -box[1], box[0] + box[2] - width, box[1] + box[3] - height)
    if beyond <= _ROUNDING or min(box[2:]) <= 0:
        return []
    inside = box[0] < width and box[1] < height and box[0] + box[2] > 0 and box[1] + box[3] > 0
    if not inside:
        return []  # the reader tells of those
    what = f"bbox {_rounded(box)} reaches {beyond:.1f} pixels beyond the {width} x {height} image"
    return [problem_of("partly-outside", image.path, what, entry["id"])]


def _numbers(values: Any) -> tuple[float, ...] | None:
    if not isinstance(values, list | tuple) or not all(type(value) in (int, float) for value in values):
        return None
    return tuple(map(float, values)) if all(abs(value) < 1e12 for value in values) else None


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 1) for value in values]
