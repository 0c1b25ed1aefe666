"""Polygons to a mask, drawn as the COCO tools draw them.

Polygons are flat lists x0, y0, x1, y1, … in continuous image pixels; they may lie partly or wholly outside the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hotcoco import mask as coco_mask

from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import EMPTY, Crop
from maskrcnn.masks.rle import decode

# The drawing walks along the outline in steps of a fifth of a pixel: these bound its time and memory.
MAX_COORDINATE = 1e6
MAX_LENGTH = 8e6


def rasterise(polygons: Sequence[Sequence[float] | np.ndarray], size: tuple[int, int]) -> Crop:
    """The tight crop of the union of the polygons in an image of `size` (H, W).

    Raises:
        MaskRCNNError: a polygon has fewer than three points, half a point, or a coordinate that is no number in
            -1e6..1e6, or its outline is longer than MAX_LENGTH pixels.
    """
    outlines = [_checked_outline(polygon) for polygon in polygons]
    if not outlines:
        return EMPTY
    return decode(coco_mask.merge(coco_mask.frPyObjects(outlines, *size)))


def _checked_outline(polygon: Sequence[float] | np.ndarray) -> list[float]:
    try:
        points = np.asarray(polygon, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.full(6, np.nan)
    if points.ndim != 1 or points.size < 6 or points.size % 2:
        raise MaskRCNNError(
            f"expected a polygon as a flat list of at least 3 points x, y, found {_describe(points)}",
            fix="correct or remove the polygon",
        )
    largest = np.abs(points).max()
    if not largest <= MAX_COORDINATE:
        raise MaskRCNNError(
            f"expected polygon coordinates that are numbers between ±{MAX_COORDINATE:,.0f}, found {str(polygon)[:60]}",
            fix="correct or remove the polygon",
        )
    if points.size * largest > MAX_LENGTH and (length := _length(points.reshape(-1, 2))) > MAX_LENGTH:
        raise MaskRCNNError(
            f"expected an outline of at most {MAX_LENGTH:,.0f} pixels, found {length:,.0f}",
            fix="correct or remove the polygon",
        )
    return points.tolist()


def _length(points: np.ndarray) -> float:
    """The length of a closed outline [P, 2], of each edge that along its longer axis."""
    return float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum())


def _describe(points: np.ndarray) -> str:
    return f"{points.size} values" if points.ndim == 1 else f"{points.ndim} levels of nesting"
