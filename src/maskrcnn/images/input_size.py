"""The size at which a network sees an image: one rule for training, prediction and exported models. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from maskrcnn.config import Preprocess


def resize_scale(height: int, width: int, preprocess: Preprocess) -> float:
    """The factor by which an image is enlarged: shortest edge into ``short``, longest edge at most ``long``."""
    shortest, longest = min(height, width), max(height, width)
    low, high = preprocess.short
    return min(min(max(shortest, low), high) / shortest, preprocess.long / longest)


def resized_size(height: int, width: int, preprocess: Preprocess) -> tuple[int, int]:
    """Size of the image in the network input: (height, width), at least one pixel."""
    scale, half = resize_scale(height, width, preprocess), 0.5 * preprocess.nearest_size
    return max(math.floor(height * scale + half), 1), max(math.floor(width * scale + half), 1)


def padded_size(sizes: Sequence[tuple[int, int]], divisor: int) -> tuple[int, int]:
    """The smallest (height, width) of multiples of ``divisor`` that holds images of all these sizes."""
    height, width = (-(-max(edge) // divisor) * divisor for edge in zip(*sizes, strict=True))
    return height, width
