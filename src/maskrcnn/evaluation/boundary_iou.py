"""Boundary IoU (Cheng et al. 2021, section 4): how far the bands along two outlines overlap.

It separates fine from coarse masks of large objects, which mask IoU does not.

The band of a mask is its pixels within d of its outline, d = 2 % of the image's diagonal; the image's edge is outline
too. Boundary AP counts as COCO's, with the smaller of mask IoU and boundary IoU for each pair.
A band is computed in its mask's box, so its cost depends on the box, not on the image.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import minimum_filter1d

from maskrcnn.masks.crop import Crop

DILATION_RATIO = 0.02


def band_width(size: tuple[int, int]) -> int:
    """d in pixels for an image of `size` (H, W), at least 1."""
    return max(1, round(DILATION_RATIO * math.hypot(*size)))


def band(crop: Crop, width: int) -> Crop:
    """The mask's pixels of which some pixel within `width` rows and columns lies outside the mask."""
    inner = crop.bitmap
    for axis in (0, 1):
        # Nothing is set beyond the crop, so its edge erodes like any outline.
        inner = minimum_filter1d(inner.view(np.uint8), 2 * width + 1, axis=axis, mode="constant").view(bool)
    return Crop(crop.bitmap & ~inner, crop.x, crop.y)
