"""One object as a format wrote it (`Annotation`), and the checks that all formats share.

Boxes are (x1, y1, x2, y2) in continuous pixels of the image; labels are 0..C-1 into the data set's names.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from maskrcnn.annotations.problem import DataError
from maskrcnn.masks.crop import Box, Crop


class Annotation(NamedTuple):
    """One object as written in its file: validated, not rasterised.

    Attributes:
        id: its number in the file, or the position of its entry.
        label: index into the data set's names.
        crowd: whether it marks a group of objects as one region.
        box: as written, clipped to the image; None if the file has none.
        area: as written, by which metrics call objects small or large; None for the area of the mask.
        segmentation: polygons as flat float64 arrays x0, y0, x1, y1, …, a COCO run-length dict, a drawn crop, or None
            for an object that has a box only.
    """

    id: int
    label: int
    crowd: bool
    box: Box | None
    area: float | None
    segmentation: list[np.ndarray] | dict[str, Any] | Crop | None


def clipped_box(bbox: Any, size: tuple[int, int]) -> Box | None:
    """(x1, y1, x2, y2) of a written [x, y, width, height], clipped to an image of `size` (H, W); None without one.

    Raises:
        DataError: it is not four numbers, has no area, or lies outside the image.
    """
    if bbox is None or (isinstance(bbox, list) and not bbox):
        return None
    try:
        x, y, width, height = (float(value) for value in bbox)
    except (TypeError, ValueError, OverflowError) as error:
        what = f"expected bbox [x, y, width, height], found {str(bbox)[:60]}"
        raise DataError("bad-box", what, fix="correct it") from error
    if not (width > 0 and height > 0 and all(map(math.isfinite, (x, y, width, height)))):
        raise DataError("zero-area", f"its box {list(bbox)} has no area", fix="correct or remove it")
    x2, y2 = min(x + width, size[1]), min(y + height, size[0])
    x, y = max(x, 0.0), max(y, 0.0)
    if x2 <= x or y2 <= y:
        what = f"its box {list(bbox)} lies outside the {size[1]} x {size[0]} image"
        raise DataError("outside-image", what, fix="correct or remove it")
    return x, y, x2, y2


def checked_polygons(segmentation: Any) -> list[np.ndarray]:
    """The polygons that have 3 or more points, as flat float64 arrays.

    Raises:
        DataError: there is none, or they are not lists of numbers.
    """
    try:
        polygons = [np.asarray(polygon, dtype=np.float64) for polygon in segmentation]
    except (TypeError, ValueError, OverflowError) as error:
        what = "expected polygons as lists of numbers, or an RLE"
        raise DataError("bad-segmentation", what, fix="correct it") from error
    polygons = [polygon for polygon in polygons if polygon.ndim == 1 and polygon.size >= 6]
    if not polygons:
        raise DataError("bad-segmentation", "no polygon has 3 points", fix="correct or remove it")
    return polygons
