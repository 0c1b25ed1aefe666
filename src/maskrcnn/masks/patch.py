"""A mask for training: a patch of limited size, with the coverage of each cell.

Frame: a box in image pixels, divided into h x w equal cells.
"""

from __future__ import annotations

import numpy as np

from maskrcnn.masks.crop import Box


def to_patch(bitmap: np.ndarray, limit: int) -> np.ndarray:
    """A bitmap as a patch of at most ``limit`` cells a side, uint8 [min(H, limit), min(W, limit)], 0..255.

    One that fits keeps its pixels exactly; a larger one is averaged over the area of each cell.
    """
    height, width = bitmap.shape
    return resample_patch(bitmap, (0, 0, width, height), (min(height, limit), min(width, limit)))


def resample_patch(bitmap: np.ndarray, box: Box, size: tuple[int, int]) -> np.ndarray:
    """The average of a bitmap over the area of each cell of a frame, uint8 [h, w], 0..255.

    Args:
        bitmap: bool, or uint8 coverage 0..255, [H, W].
        box: the frame, in pixels of the bitmap; beyond it all is 0.
        size: (h, w) of the cells.
    """
    height, width = bitmap.shape
    x, y = round(box[0]), round(box[1])
    cells_are_pixels = tuple(box) == (x, y, x + size[1], y + size[0])
    if cells_are_pixels and 0 <= x <= box[2] <= width and 0 <= y <= box[3] <= height:
        part = bitmap[y : y + size[0], x : x + size[1]]
        return part.astype(np.uint8) * np.uint8(255) if bitmap.dtype == bool else part
    if not (bitmap.size and size[0] and size[1]):
        return np.zeros(size, dtype=np.uint8)
    first_row, down = _area_weights(box[1], box[3], size[0], height)
    first_column, across = _area_weights(box[0], box[2], size[1], width)
    pixels = bitmap[first_row : first_row + down.shape[1], first_column : first_column + across.shape[1]]
    averaged = down @ pixels.astype(np.float32) @ across.T
    return np.rint(averaged * (255 if bitmap.dtype == bool else 1)).clip(0, 255).astype(np.uint8)


def _area_weights(start: float, end: float, cells: int, pixels: int) -> tuple[int, np.ndarray]:
    """The first pixel that start..end touches, and float32 [cells, pixels touched]: the share of each cell that each
    pixel covers."""
    first, stop = max(int(np.floor(start)), 0), min(int(np.ceil(end)), pixels)
    edges = start + np.arange(cells + 1) * ((end - start) / cells)
    index = np.arange(first, max(stop, first))
    overlap = np.minimum(edges[1:, None], index + 1) - np.maximum(edges[:-1, None], index)
    return first, (np.maximum(overlap, 0.0) * (cells / (end - start))).astype(np.float32)
