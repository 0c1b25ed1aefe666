"""Boundary IoU (Cheng et al. 2021, section 4): how far the bands along two outlines overlap.

It tells a fine mask of a large object from a coarse one, which mask IoU does not.

The band of a mask is its pixels within d of its outline, d = 2 % of the image's diagonal; the image's edge is outline
too. Boundary AP counts as COCO's, with the smaller of mask IoU and boundary IoU for each pair.
All is done in the masks' boxes: a band costs time in proportion to its box, not to the image.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import minimum_filter1d

from maskrcnn.masks.crop import Crop

DILATION_RATIO = 0.02


def band_width(size: tuple[int, int], ratio: float = DILATION_RATIO) -> int:
    """d in pixels for an image of `size` (H, W), at least 1."""
    return max(1, round(ratio * math.hypot(*size)))


def band(crop: Crop, width: int) -> Crop:
    """The mask's pixels of which some pixel within `width` rows and columns lies outside the mask."""
    inner = crop.bitmap
    for axis in (0, 1):
        # Beyond the crop nothing is set, so its edge erodes like any outline.
        inner = minimum_filter1d(inner.view(np.uint8), 2 * width + 1, axis=axis, mode="constant").view(bool)
    return Crop(crop.bitmap & ~inner, crop.x, crop.y)


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
