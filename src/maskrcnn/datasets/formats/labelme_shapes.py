"""The shapes of one labelme file as objects.

A polygon, a circle or a turned rectangle (oriented_rectangle, X-AnyLabeling's rotation) is a part of an object, a mask
is a picture of one; shapes of one label and one group_id are one object. A rectangle is an object with a box and no
mask. Lines and points have no area and are left out. What is labelled __ignore__ is a region to ignore: a crowd of
every class. What is labelled _background_ is no object.
"""

from __future__ import annotations

import binascii
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskrcnn.annotations.annotation import Annotation, clipped_box
from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.datasets.formats.reserved_names import BACKGROUND, IGNORE, IGNORED, for_every_class
from maskrcnn.datasets.formats.shape_groups import Shape, checked_points, cut_to_image, ellipse, objects_of
from maskrcnn.images.embedded_image import decode_base64
from maskrcnn.json_yaml import shown
from maskrcnn.masks.crop import Crop

CROWD = "crowd"
_OUTLINES = ("polygon", "oriented_rectangle", "rotation", "rotated_rectangle", "quadrilateral")
_WITHOUT_AREA = ("point", "points", "line", "linestrip", "cuboid")


def label_of(entry: Any) -> str | None:
    """The label of a shape, without spaces around it; None if it is no text and no number."""
    label = entry.get("label") if isinstance(entry, dict) else None
    if isinstance(label, int | float) and not isinstance(label, bool):
        return shown(int(label) if isinstance(label, float) and label.is_integer() else label)
    return label.strip() if isinstance(label, str) else None


def shape_annotations(
    entries: Sequence[Any], file: Path, classes: Mapping[str, int], size: tuple[int, int]
) -> tuple[list[Annotation], list[Problem]]:
    """The objects of a file's shapes in an image of `size` (H, W), and a problem for each shape that cannot be used."""
    shapes, problems = [], []
    for number, entry in enumerate(entries, start=1):
        if label_of(entry) == BACKGROUND:
            continue
        try:
            shapes.append(_shape(entry, number, classes, size))
        except DataError as error:
            problems.append(error.problem(file, 0, 1, entry=f"shape {number}"))
    return for_every_class(objects_of(shapes, size), len(classes), len(entries)), problems


def _shape(entry: Any, number: int, classes: Mapping[str, int], size: tuple[int, int]) -> Shape:
    if not isinstance(entry, dict):
        raise DataError("bad-entry", f"expected a shape, found {type(entry).__name__}", fix="correct or remove it")
    name = label_of(entry)
    label = IGNORED if name == IGNORE else classes.get(name or "")
    if label is None:
        found = entry.get("label")
        text = found if isinstance(found, str) else shown(found)
        raise DataError("unknown-category", f"its label is {shown(text)}", fix="give it the name of a class")
    flags = entry.get("flags")
    crowd = label == IGNORED or (isinstance(flags, dict) and flags.get(CROWD) is True)
    kind = entry.get("shape_type") or "polygon"
    points = _points(entry.get("points"))
    part: list[np.ndarray] | Crop | None = None
    box = None
    if kind in _OUTLINES:
        if kind != "polygon" and len(points) != 4:
            raise DataError("bad-segmentation", f"expected 4 corners, found {len(points)}", fix="draw it again")
        part = [checked_points(points)]
    elif kind == "circle" and len(points) == 2:
        part = [ellipse(points[0], [float(np.hypot(*(points[1] - points[0])))] * 2)]
    elif kind == "mask":
        part = _mask(entry.get("mask"), points, size)
    elif kind == "rectangle":
        low, high = points.min(axis=0), points.max(axis=0)
        box = clipped_box([*low.tolist(), *(high - low).tolist()], size)
    else:
        what = f"a {kind} has no area" if kind in _WITHOUT_AREA else f"the shape_type {shown(kind)} is not known"
        raise DataError("no-shape", what, fix="draw a polygon instead")
    return Shape(number, label, crowd, _group(entry.get("group_id")), box, part)


def _group(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int | str) and value != "" else None


def _points(value: Any) -> np.ndarray:
    """float64 [P, 2] of pairs, of {"x": …, "y": …}, or of x, y, x, y, … in one list."""
    try:
        pairs = [[point["x"], point["y"]] if isinstance(point, dict) else point for point in value]
        points = np.array(pairs, dtype=np.float64)
        points = points.reshape(-1, 2) if points.ndim == 1 else points
    except (TypeError, ValueError, KeyError, OverflowError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise DataError("bad-segmentation", f"expected points [x, y], found {shown(value)}", fix="correct it")
    return points


def _mask(text: Any, points: np.ndarray, size: tuple[int, int]) -> Crop:
    """The tight mask of a base64 PNG whose first pixel is the one nearest to the first point, cut to the image."""
    try:
        with Image.open(io.BytesIO(decode_base64(text)), formats=["PNG"]) as image:
            if image.width * image.height > 4 * size[0] * size[1]:
                raise ValueError(f"{image.width} x {image.height} pixels in an image of {size[1]} x {size[0]}")
            bitmap = np.array(image) != 0
    except (AttributeError, ValueError, OSError, SyntaxError, binascii.Error, Image.DecompressionBombError) as error:
        raise DataError("bad-segmentation", f"its mask is no PNG: {str(error)[:80]}", fix="draw it again") from error
    # labelme rounds halves to even numbers, too.
    x, y = (int(value) for value in np.rint(points[0].clip(-1e6, 1e6)))
    return cut_to_image(bitmap[..., 0] if bitmap.ndim == 3 else bitmap, x, y, size)
