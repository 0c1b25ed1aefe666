"""Means over whole blocks of pixels: reduced copies, and what an extreme downscale begins with to need little memory.

A triangle filter has twice as many taps as the axis had pixels, however short the axis becomes: for an image of
1 x 100,000,000 the taps would take gigabytes.
"""

from __future__ import annotations

import numpy as np

# Blocks to a new pixel that are left to the filter: what it gives then differs by less than a grey level.
_KEPT = 32
_BLOCK = 2**24  # values that are added up at a time


def shrink_by_blocks(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The image [h, w, C] itself, or a float32 copy whose axes that shrink below 1 / 64 are reduced to block means.

    Args:
        size: (height, width) that the image is resampled to afterwards.
    """
    for axis in (0, 1):
        step = image.shape[axis] // (size[axis] * _KEPT)
        if step > 1:
            image = _blocks(image, axis, step)
    return image


def block_means(image: np.ndarray, step: int) -> np.ndarray:
    """Means of blocks of ``step`` x ``step`` pixels, of the same type [ceil(h / step), ceil(w / step), C]."""
    means = _blocks(_blocks(image, 0, step), 1, step)
    return np.rint(means).astype(image.dtype)


def _blocks(image: np.ndarray, axis: int, step: int) -> np.ndarray:
    """Means of ``step`` pixels along an axis; the last of what is left."""
    lines = np.moveaxis(image, axis, 0)
    number = -(-len(lines) // step)
    means = np.empty((number, *lines.shape[1:]), dtype=np.float32)
    chunk = max(_BLOCK // (step * max(lines[0].size, 1)), 1)
    for first in range(0, number, chunk):
        part = lines[first * step : (first + chunk) * step]
        starts = np.arange(0, len(part), step)
        counts = np.diff(np.append(starts, len(part))).astype(np.float32)
        sums = np.add.reduceat(part, starts, axis=0, dtype=np.float32)
        means[first : first + chunk] = sums / counts.reshape(-1, *([1] * (lines.ndim - 1)))
    return np.moveaxis(means, 0, axis)
