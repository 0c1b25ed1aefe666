"""A mask for training: its crop as a patch of limited size, with the coverage of each cell.

Frame: the crop's, (x, y, x + w, y + h) in image pixels, divided into ph x pw equal cells.
"""

from __future__ import annotations

import numpy as np

from maskrcnn.masks.crop import Crop


def rasterise_patch(crop: Crop, limit: int = 112) -> np.ndarray:
    """Coverage 0..255 of each cell, uint8 [min(h, limit), min(w, limit)].

    A crop that fits keeps its pixels exactly (0 or 255); a larger one is averaged over the area of each cell.
    """
    height, width = crop.bitmap.shape
    if max(height, width) <= limit or not crop.bitmap.size:
        return crop.bitmap[:limit, :limit].astype(np.uint8) * np.uint8(255)
    pixels = crop.bitmap.astype(np.float32)
    down = _average(height, min(height, limit))
    across = _average(width, min(width, limit))
    return np.rint(down @ pixels @ across.T * 255).clip(0, 255).astype(np.uint8)


def _average(pixels: int, cells: int) -> np.ndarray:
    """float32 [cells, pixels]: the share of each cell that each pixel covers; rows add up to 1."""
    edges = np.arange(cells + 1) * (pixels / cells)
    index = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], index + 1) - np.maximum(edges[:-1, None], index)
    return (np.maximum(overlap, 0.0) * (cells / pixels)).astype(np.float32)
