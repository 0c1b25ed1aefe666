"""Images to network input in numpy: what `maskrcnn.model.preprocess.prepare` does with torch, to 1e-3 of a grey level.

Bilinear resampling is separable: each axis gets a table of taps, a few source pixels and their weights for each new
one. The tables are computed in float32 step by step as torch does: at coordinates of some thousands a float32 is off by
1e-4 of a pixel, which at an edge in the image is a visible part of a grey level.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from maskrcnn.config import Preprocess
from maskrcnn.images.block_mean import shrink_by_blocks
from maskrcnn.images.input_size import padded_size, resized_size

_HALF = np.float32(0.5)
# Of one axis: indices int64 [new, T] and weights float32 [new, T], each row of which adds up to 1;
# new[i] = sum over t of weights[i, t] * old[indices[i, t]].
_Taps = tuple[np.ndarray, np.ndarray]


def prepare(images: Sequence[np.ndarray], preprocess: Preprocess, smallest: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Resize images uint8 or uint16 [h, w, C] bilinearly and pad them from the top left into one batch.

    Args:
        smallest: height and width of the batch, at least.

    Returns:
        float32 [B, C, H, W] of values as stored (RGB 0..255) with H, W multiples of ``divisor``, and sizes int64 [B, 2]
        = (height, width) of each image within the padding.
    """
    sizes = [resized_size(image.shape[0], image.shape[1], preprocess) for image in images]
    height, width = padded_size([*sizes, (smallest, smallest)], preprocess.divisor)
    batch = np.zeros((len(images), preprocess.channels, height, width), dtype=np.float32)
    for padded, image, (rows, columns) in zip(batch, images, sizes, strict=True):
        padded[:, :rows, :columns] = _resized(image, (rows, columns), preprocess).transpose(2, 0, 1)
    return batch, np.array(sizes, dtype=np.int64)


def resample(image: np.ndarray, size: tuple[int, int], antialias: bool) -> np.ndarray:
    """An image [h, w, C] bilinearly resampled to ``size`` (height, width), float32 [H, W, C].

    Args:
        antialias: average over the source pixels under each new one when shrinking, instead of reading four of them.
    """
    # The axis that shrinks most goes first: the other has less to do then.
    for axis in (0, 1) if size[0] * image.shape[1] <= image.shape[0] * size[1] else (1, 0):
        image = _along(axis, image, *_taps(image.shape[axis], size[axis], antialias))
    return image


def _taps(old: int, new: int, antialias: bool) -> _Taps:
    """The taps of an axis of ``old`` pixels for one of ``new``; pixel i covers [i, i + 1] on both."""
    scale = np.float32(old) / np.float32(new)
    steps = np.arange(new, dtype=np.float32) + _HALF
    if antialias:
        return _triangle(scale * steps, max(scale, np.float32(1)), old)
    # Product and difference are one instruction there, rounded once.
    position = np.maximum(scale.astype(np.float64) * steps - 0.5, 0).astype(np.float32)
    first = np.minimum(position.astype(np.int64), old - 1)
    share = np.clip(position - first.astype(np.float32), np.float32(0), np.float32(1))
    index = np.stack((first, np.minimum(first + 1, old - 1)), axis=1)
    return index, np.stack((np.float32(1) - share, share), axis=1)


def _triangle(centres: np.ndarray, reach: np.float32, old: int) -> _Taps:
    """A triangle of half width ``reach`` source pixels about each centre, cut at the image's edges."""
    first = np.maximum((centres - reach + _HALF).astype(np.int64), 0)
    end = np.minimum((centres + reach + _HALF).astype(np.int64), old)
    index = first[:, None] + np.arange((end - first).max())
    distance = (index.astype(np.float32) - centres[:, None] + _HALF) * (np.float32(1) / reach)
    weights = np.where(index < end[:, None], np.maximum(np.float32(1) - np.abs(distance), 0), np.float32(0))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.minimum(index, old - 1), weights


def _along(axis: int, image: np.ndarray, indices: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """An image [h, w, C] resampled along one axis."""
    shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
    total = np.take(image, indices[:, 0], axis) * weights[:, 0].reshape(shape)
    for number in range(1, indices.shape[1]):
        total += np.take(image, indices[:, number], axis) * weights[:, number].reshape(shape)
    return total


def _resized(image: np.ndarray, size: tuple[int, int], preprocess: Preprocess) -> np.ndarray:
    if image.shape[:2] == size:
        return image
    if preprocess.whole_values and preprocess.antialias and image.dtype == np.uint8:
        planes = [Image.fromarray(np.ascontiguousarray(image[..., c])) for c in range(image.shape[2])]
        return np.stack([np.asarray(plane.resize(size[::-1], Image.Resampling.BILINEAR)) for plane in planes], axis=2)
    new = resample(shrink_by_blocks(image, size) if preprocess.antialias else image, size, preprocess.antialias)
    return np.rint(new) if preprocess.whole_values else new
