"""A mask in its box's frame: a small bitmap and where its corner lies in the image.

Frame: image pixels; bitmap pixel (r, c) is image pixel (y + r, x + c). Boxes are (x1, y1, x2, y2) in continuous
pixels with the origin at the outer corner of the top-left pixel, so pixel i covers [i, i + 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Box = tuple[float, float, float, float]


class Crop(NamedTuple):
    """The exact form of one mask. It lies inside its image; h or w may be 0.

    Attributes:
        bitmap: bool [h, w].
        x: image column of the bitmap's first column.
        y: image row of the bitmap's first row.
    """

    bitmap: np.ndarray
    x: int
    y: int

    @property
    def area(self) -> int:
        """Number of pixels set."""
        return int(np.count_nonzero(self.bitmap))

    @property
    def box(self) -> Box:
        """Tight (x1, y1, x2, y2) of the pixels set, in image pixels; (0, 0, 0, 0) if none is."""
        bitmap, x, y = self.tight()
        height, width = bitmap.shape
        return (float(x), float(y), float(x + width), float(y + height)) if bitmap.size else (0.0, 0.0, 0.0, 0.0)

    def tight(self) -> Crop:
        """The same mask without empty rows and columns at its edges; a 0 x 0 bitmap at (0, 0) if no pixel is set."""
        rows, columns = np.flatnonzero(self.bitmap.any(axis=1)), np.flatnonzero(self.bitmap.any(axis=0))
        if not rows.size:
            return EMPTY
        top, left = int(rows[0]), int(columns[0])
        return Crop(self.bitmap[top : rows[-1] + 1, left : columns[-1] + 1], self.x + left, self.y + top)


EMPTY = Crop(np.zeros((0, 0), dtype=bool), 0, 0)


def crop_of(mask: np.ndarray) -> Crop:
    """The tight crop (a copy) of a whole-image mask, bool [H, W] or any dtype where non-zero means set."""
    bitmap, x, y = Crop(np.asarray(mask) != 0, 0, 0).tight()
    return Crop(bitmap.copy(), x, y)


def union(crops: Sequence[Crop]) -> Crop:
    """The mask of all pixels that are set in one or more masks, at least one."""
    filled = [crop for crop in crops if crop.bitmap.size]
    if len(filled) < 2:
        return filled[0] if filled else crops[0]
    x, y = min(crop.x for crop in filled), min(crop.y for crop in filled)
    width = max(crop.x + crop.bitmap.shape[1] for crop in filled) - x
    height = max(crop.y + crop.bitmap.shape[0] for crop in filled) - y
    bitmap = np.zeros((height, width), dtype=bool)
    for crop in filled:
        rows, columns = crop.bitmap.shape
        bitmap[crop.y - y : crop.y - y + rows, crop.x - x : crop.x - x + columns] |= crop.bitmap
    return Crop(bitmap, x, y)


def crop_iou(a: Crop, b: Crop) -> float:
    """Intersection over union of two masks' pixels; 0 where both are empty."""
    x1, y1 = max(a.x, b.x), max(a.y, b.y)
    x2 = min(a.x + a.bitmap.shape[1], b.x + b.bitmap.shape[1])
    y2 = min(a.y + a.bitmap.shape[0], b.y + b.bitmap.shape[0])
    if x2 <= x1 or y2 <= y1:
        return 0.0
    both = a.bitmap[y1 - a.y : y2 - a.y, x1 - a.x : x2 - a.x] & b.bitmap[y1 - b.y : y2 - b.y, x1 - b.x : x2 - b.x]
    shared = int(np.count_nonzero(both))
    return shared / max(a.area + b.area - shared, 1)
