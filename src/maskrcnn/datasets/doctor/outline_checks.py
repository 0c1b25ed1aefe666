"""Checks of one object's outline and mask: where it lies, whether it crosses itself, what it fills.

Polygons are flat float64 arrays x0, y0, x1, y1, … in continuous image pixels; sizes are (H, W).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import ndimage

from maskrcnn.annotations.objects import Drawn
from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.doctor.checks import LONG_OBJECT, problem_of
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Box, Crop
from maskrcnn.masks.polygons import rasterise
from maskrcnn.text import plural

_WHOLE_IMAGE = 0.95  # share of the image that a mask covers
_RECTANGLE_SIDE = 8  # pixels; smaller masks fill their boxes by chance
_AREA_FACTOR = 1.5  # between an area as written and the mask's
_WRONG_FILL = 0.1  # share of a mask that a crossing outline fills or leaves out
_OUTSIDE = 2.0  # pixels beyond the image that rounding explains
_FEW_PIXELS = 16  # below which shares of a mask mean nothing
_FLAT = 1e-6  # pixels; extent of a line across its direction
_ROWS = 512  # edges that are compared with all others at a time


def check_shape(drawn: Drawn, size: tuple[int, int], file: Path) -> list[Problem]:
    """Problems of one object of an image of `size`; crowds are judged by their outline alone."""
    annotation, crop, box = drawn
    found: list[tuple[str, str]] = []
    if isinstance(annotation.segmentation, list) and crop is not None:
        found += _outline_problems(annotation.segmentation, crop, size)
    if not annotation.crowd:
        found += _mask_problems(crop, box, annotation.area, size)
    return [problem_of(check, file, what, annotation.id) for check, what in found]


def _mask_problems(
    crop: Crop | None, box: Box, written: float | None, size: tuple[int, int]
) -> Iterator[tuple[str, str]]:
    """(check, what) of a mask, its box, and its area as written."""
    width, height = box[2] - box[0], box[3] - box[1]
    if not _cut_by_border(box, size) and max(width, height) > max(LONG_OBJECT * min(width, height), 2 * LONG_OBJECT):
        yield "long-object", f"its box is {width:.1f} x {height:.1f} pixels"
    if crop is None:
        return
    area = crop.area
    if area >= _WHOLE_IMAGE * size[0] * size[1]:
        yield "whole-image-mask", f"its mask covers {area / (size[0] * size[1]):.1%} of the image"
    if written is not None and area >= _FEW_PIXELS and not 1 / _AREA_FACTOR < written / area < _AREA_FACTOR:
        yield "area-disagree", f"area {written:,.0f} is written, its mask has {plural(area, 'pixel')}"


def is_rectangle(crop: Crop) -> bool:
    """Whether a mask is a rectangle, and too large for that to be chance."""
    bitmap = crop.tight().bitmap
    return bool(min(bitmap.shape) >= _RECTANGLE_SIDE and bitmap.all())


def pieces(crop: Crop) -> tuple[int, float]:
    """How many pieces a mask has, and the gap in pixels between its two largest if both are of similar size, else 0."""
    labelled, count = ndimage.label(crop.bitmap, structure=np.ones((3, 3)))
    if count < 2:
        return count, 0.0
    areas = np.bincount(labelled.ravel())[1:]
    second, first = np.argsort(areas, kind="stable")[-2:]
    if areas[second] < max(0.2 * areas[first], 4):
        return count, 0.0
    places = ndimage.find_objects(labelled)
    gaps = [max(a.start, b.start) - min(a.stop, b.stop) for a, b in zip(places[first], places[second], strict=True)]
    return count, float(np.hypot(*(max(gap, 0) for gap in gaps)))


def _cut_by_border(box: Box, size: tuple[int, int]) -> bool:
    """Whether the longer side of a box lies along a border of the image."""
    x1, y1, x2, y2 = box
    wide = x2 - x1 >= y2 - y1
    return y1 < 1 or y2 > size[0] - 1 if wide else x1 < 1 or x2 > size[1] - 1


def _outline_problems(polygons: list[np.ndarray], crop: Crop, size: tuple[int, int]) -> Iterator[tuple[str, str]]:
    """(check, what) of the polygons of one object."""
    outlines = [polygon.reshape(-1, 2) for polygon in polygons]
    points = np.concatenate(outlines)
    beyond = max(float(-points.min()), float((points - size[::-1]).max()))
    if beyond > _OUTSIDE:
        yield "partly-outside", f"its outline reaches {beyond:.1f} pixels beyond the image"
    areas = [_enclosed(outline) for outline in outlines]
    for number, (outline, area) in enumerate(zip(outlines, areas, strict=True), start=1):
        distinct = len(np.unique(outline, axis=0))
        # The smallest singular value is the extent across the line that fits best.
        across = np.linalg.svd(outline - outline.mean(axis=0), compute_uv=False)[-1] if area < _FLAT else np.inf
        if distinct < 3 or across < _FLAT:
            named = f"polygon {number} of {len(outlines)}" if len(outlines) > 1 else "its polygon"
            form = plural(distinct, "distinct point") if distinct < 3 else f"{distinct} points on one line"
            yield "degenerate-polygon", f"{named} has {form}"
    # A crossing does no harm where outlines and mask have the same area, and finding one is slow.
    if beyond > _OUTSIDE or _differ(sum(areas), crop.area):
        what = next(filter(None, map(_crossing, outlines, areas)), "")
        if what:
            yield "self-intersection", what


def _crossing(outline: np.ndarray, area: float) -> str:
    """Where a polygon [P, 2] crosses itself, if that changes what it fills; else ""."""
    if _has_bridges(outline):
        return ""
    corner = np.floor(outline.min(axis=0)) - 1
    width, height = np.ceil(outline.max(axis=0) - corner).astype(int) + 1
    try:
        filled = rasterise([(outline - corner).ravel()], (int(height), int(width))).area
    except MaskRCNNError:
        return ""
    pair = first_crossing(outline) if _differ(area, filled) else None
    if pair is None:
        return ""
    a, b = outline[pair[0]], outline[pair[1]]
    return (
        f"its outline crosses itself between the edges at ({a[0]:.0f}, {a[1]:.0f}) and ({b[0]:.0f}, {b[1]:.0f}): "
        f"it encloses {area:,.0f} pixels, {filled:,} are filled"
    )


def _has_bridges(outline: np.ndarray) -> bool:
    """Whether an edge occurs in both directions: such bridges join parts and holes, and may cross other edges."""
    points = [tuple(point) for point in outline.tolist()]
    edges = {(a, b) for a, b in zip(points, points[1:] + points[:1], strict=True) if a != b}
    return any((b, a) in edges for a, b in edges)


def first_crossing(outline: np.ndarray) -> tuple[int, int] | None:
    """The first two edges of a closed polygon float64 [P, 2] that properly cross, by the index of their first point."""
    start, end = outline, np.roll(outline, -1, axis=0)
    for low in range(0, len(outline), _ROWS):
        a, b = start[low : low + _ROWS, None], end[low : low + _ROWS, None]
        c, d = start[None], end[None]
        apart = (_side(a, b, c) * _side(a, b, d) < 0) & (_side(c, d, a) * _side(c, d, b) < 0)
        rows, columns = np.nonzero(apart)
        if rows.size:
            return low + int(rows[0]), int(columns[0])
    return None


def _side(a: np.ndarray, b: np.ndarray, point: np.ndarray) -> np.ndarray:
    """On which side of the line a–b a point lies, by the sign."""
    return (b[..., 0] - a[..., 0]) * (point[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (point[..., 0] - a[..., 0])


def _enclosed(outline: np.ndarray) -> float:
    """The area that a polygon [P, 2] encloses; parts that wind the other way count against it."""
    x, y = (outline - outline[0]).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _differ(enclosed: float, filled: int) -> bool:
    """Whether two areas differ by more than drawing explains."""
    return abs(enclosed - filled) > max(_WRONG_FILL * filled, _FEW_PIXELS)
