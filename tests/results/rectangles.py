"""Results of hand-drawn rectangles, for the tests of this folder."""

import numpy as np

from maskrcnn.masks.crop import Crop
from maskrcnn.masks.masks import Masks
from maskrcnn.results.result import Result


def rectangles_result(rectangles, scores, labels, size=(6, 8), names=("cat", "dog", "owl"), **kwargs):
    """Objects whose masks are rectangles (x, y, w, h)."""
    crops = [Crop(np.ones((h, w), dtype=bool), x, y) for x, y, w, h in rectangles]
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in rectangles], dtype=np.float32).reshape(-1, 4)
    scores, labels = np.array(scores, dtype=np.float32), np.array(labels, dtype=np.int64)
    return Result(boxes, scores, labels, Masks(crops, size), names, size, **kwargs)


def dog_and_cat():
    """A dog 4 x 3 at (1, 1), and over its lower right corner a less certain cat 3 x 2 at (4, 2)."""
    return rectangles_result([(1, 1, 4, 3), (4, 2, 3, 2)], [0.9, 0.6], [1, 0])
