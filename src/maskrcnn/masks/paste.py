"""From M x M mask probabilities in a box to the pixels of the image (He et al. 2017, section 3.1, inference).

Frame: cell (i, j) of the M x M grid covers the fractions [j/M, (j+1)/M] x [i/M, (i+1)/M] of the box, and its value
sits at the cell's centre. A pixel's probability is sampled bilinearly at the pixel's centre; outside the grid is 0.
"""

from __future__ import annotations

import math

import numpy as np

from maskrcnn.masks.crop import EMPTY, Crop


def paste_mask(
    prob: np.ndarray,
    box: np.ndarray | tuple[float, float, float, float],
    size: tuple[int, int],
    threshold: float = 0.5,
    quantize: bool = False,
) -> Crop:
    """The mask of one object: the pixels whose probability is at least `threshold`.

    Args:
        prob: float [M, M], 0..1.
        box: (x1, y1, x2, y2) in image pixels; it may reach outside the image.
        size: (H, W) of the image.
        threshold: in (0, 1].
        quantize: move the box to whole pixels as torchvision does, to compare with its masks.

    Returns:
        A crop as large as the grid's reach inside the image; empty for a box that is empty, outside or not finite.
    """
    cells = prob.shape[-1]
    x1, y1, x2, y2 = torchvision_frame(box, cells) if quantize else (float(side) for side in box)
    if not (x2 > x1 and y2 > y1 and math.isfinite(x2 - x1) and math.isfinite(y2 - y1)):
        return EMPTY
    x, across = _bilinear_weights(x1, x2 - x1, cells, size[1])
    y, down = _bilinear_weights(y1, y2 - y1, cells, size[0])
    sampled = down @ np.asarray(prob, dtype=np.float32) @ across.T
    return Crop(sampled >= threshold, x, y) if sampled.size else EMPTY


def torchvision_frame(
    box: np.ndarray | tuple[float, float, float, float], cells: int
) -> tuple[float, float, float, float]:
    """The box that torchvision's detection model really pastes into: with one cell more on each side it has
    whole-pixel corners, cut towards zero, the last pixel included."""
    x1, y1, x2, y2 = np.asarray(box, dtype=np.float32)
    start_x, end_x = _torchvision_span(x1, x2, cells)
    start_y, end_y = _torchvision_span(y1, y2, cells)
    return start_x, start_y, end_x, end_y


def _torchvision_span(low: np.float32, high: np.float32, cells: int) -> tuple[float, float]:
    half, centre = (high - low) * np.float32(0.5), (high + low) * np.float32(0.5)
    half = half * np.float32((cells + 2) / cells)
    if not (np.isfinite(half) and np.isfinite(centre)):
        return math.nan, math.nan
    start, last = math.trunc(float(centre - half)), math.trunc(float(centre + half))
    cell = max(last - start + 1, 1) / (cells + 2)
    return start + cell, start + cell * (cells + 1)


def _bilinear_weights(start: float, length: float, cells: int, pixels: int) -> tuple[int, np.ndarray]:
    """Bilinear weights along one axis, for the pixels of the image within the grid's reach of half a cell around it.

    Returns:
        The first of those pixels, and float32 [pixels reached, cells].
    """
    reach = length / cells / 2
    first = int(max(math.ceil(max(start - reach, -1.0) - 0.5), 0))
    stop = int(min(math.floor(min(start + length + reach, pixels + 1.0) - 0.5) + 1, pixels))
    centres = np.arange(first, max(stop, first), dtype=np.float64) + 0.5
    positions = (centres - start) * (cells / length) - 0.5
    distances = np.abs(positions[:, None] - np.arange(cells))
    return first, np.maximum(1.0 - distances, 0.0).astype(np.float32)
