"""One object of a raster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskrcnn.masks.crop import Crop


@dataclass(frozen=True, eq=False)
class FoundObject:
    """What a network found, in pixels of the raster's full resolution.

    Attributes:
        crop: the mask.
        box: float64 [4], (x1, y1, x2, y2).
        score: 0..1.
        label: number of the class.
    """

    crop: Crop
    box: np.ndarray
    score: float
    label: int
