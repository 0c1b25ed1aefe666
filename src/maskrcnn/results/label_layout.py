"""Positions for labels: beside their objects, hiding as little as possible.

A greedy search over candidate positions around each object's frame, against a coarse map of what the objects cover.
Positions and sizes are whole pixels of the image, (x, y) of the top-left pixel and (width, height).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import ImageFont

from maskrcnn.masks.crop import Box, Crop

GRID_CELLS = 400_000
MAX_COST = 0.5


class Font:
    """PIL's default typeface at a size in pixels, and the size of the box that a text needs."""

    def __init__(self, size: float) -> None:
        self.size = size
        self.face = _face(size)

    def chip(self, text: str) -> tuple[int, int]:
        """(width, height) of the box around a line of text, its padding included."""
        return int(np.ceil(_length(text, self.size) + 0.8 * self.size)), int(np.ceil(1.45 * self.size))


# Images of one size, as a folder often holds, have the same fonts and texts.
@functools.lru_cache(maxsize=16)
def _face(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@functools.lru_cache(maxsize=4096)
def _length(text: str, size: float) -> float:
    return _face(size).getlength(text)


class ExtremePoints(NamedTuple):
    """Where an object touches its tight box: the columns at top and bottom, the rows at left and right."""

    frame: Box
    top: float
    bottom: float
    left: float
    right: float


def _extreme_points(crop: Crop, box: np.ndarray) -> ExtremePoints:
    bitmap, x, y = crop.tight()
    if not bitmap.size:
        x1, y1, x2, y2 = (float(value) for value in box)
        return ExtremePoints((x1, y1, x2, y2), (x1 + x2) / 2, (x1 + x2) / 2, (y1 + y2) / 2, (y1 + y2) / 2)
    touching = (edge.nonzero()[0] for edge in (bitmap[0], bitmap[-1], bitmap[:, 0], bitmap[:, -1]))
    top, bottom, left, right = (int(places.sum()) / places.size + 0.5 for places in touching)
    frame = (float(x), float(y), float(x + bitmap.shape[1]), float(y + bitmap.shape[0]))
    return ExtremePoints(frame, x + top, x + bottom, y + left, y + right)


class LabelLayout:
    """Finds positions for labels on one image.

    Args:
        size: (H, W) of the image.
        crops: the N objects' masks.
        boxes: float32 [N, 4], image pixels; used where a mask is empty.
    """

    def __init__(self, size: tuple[int, int], crops: Sequence[Crop], boxes: np.ndarray) -> None:
        self.size = size
        self.cell = max(1, int((size[0] * size[1] / GRID_CELLS) ** 0.5))
        cell = self.cell
        # The share of an object that lies in each cell, summed over the objects: hiding a whole object costs 1.
        self.share = np.zeros((-(-size[0] // cell), -(-size[1] // cell)), dtype=np.float32)
        self.points: list[ExtremePoints] = []
        self.reserved = np.zeros(size, dtype=bool)
        for crop, box in zip(crops, boxes, strict=True):
            self.points.append(_extreme_points(crop, box))
            sampled = crop.bitmap[-crop.y % cell :: cell, -crop.x % cell :: cell]
            (height, width), row, column = sampled.shape, -(-crop.y // cell), -(-crop.x // cell)
            self.share[row : row + height, column : column + width] += sampled / max(sampled.sum(), 1)

    def place(
        self, chips: Sequence[tuple[int, int]], order: np.ndarray, gap: float, misses: int | None = None
    ) -> list[tuple[int, int] | None]:
        """The position of each label, or None if there is no room for it.

        Args:
            chips: N (width, height).
            order: int [N], the labels in the order in which they are placed.
            gap: pixels kept free between an object and its label.
            misses: once more labels than this have no room, the rest are not placed either; None: place all.
        """
        allowed, missed = len(chips) if misses is None else misses, 0
        taken = self.reserved.copy()
        positions: list[tuple[int, int] | None] = [None] * len(chips)
        for k in order:
            w, h = chips[k]
            best, best_cost = None, MAX_COST
            for rank, (x, y) in enumerate(self._candidates(self.points[k], w, h, gap)):
                if (least := 0.012 * rank) >= best_cost:  # nor do later candidates cost less
                    break
                if not taken[y : y + h, x : x + w].any() and (cost := self._cost(x, y, w, h) + least) < best_cost:
                    best, best_cost = (x, y), cost
            positions[k] = best
            if best is not None:
                _take(taken, *best, w, h)
            elif (missed := missed + 1) > allowed:
                break
        return positions

    def reserve_corner(self, chip: tuple[int, int], margin: int) -> tuple[int, int]:
        """The position in the corner of the image that hides least; labels placed later avoid it."""
        (height, width), (w, h) = self.size, chip
        x_end, y_end = max(width - w - margin, 0), max(height - h - margin, 0)
        x_start, y_start = min(margin, x_end), min(margin, y_end)
        corners = [(x_start, y_end), (x_start, y_start), (x_end, y_end), (x_end, y_start)]
        x, y = min(corners, key=lambda corner: self._cost(corner[0], corner[1], w, h))
        self.reserved = np.zeros(self.size, dtype=bool)
        _take(self.reserved, x, y, w, h)
        return x, y

    def _candidates(self, points: ExtremePoints, w: int, h: int, gap: float) -> Iterator[tuple[int, int]]:
        """Positions around and inside an object's frame, preferred ones first; all within the image."""
        height, width = self.size
        if w > width or h > height:
            return
        for x, y in _preferred(points, w, h, gap):
            if -w / 2 <= x <= width - w / 2 and -gap <= y <= height - h + gap:
                yield round(min(max(x, 0), width - w)), round(min(max(y, 0), height - h))

    def _cost(self, x: int, y: int, w: int, h: int) -> float:
        """How many objects' area a label would hide, plus a little for lying on any object at all."""
        cell = self.cell
        hidden = self.share[y // cell : -(-(y + h) // cell), x // cell : -(-(x + w) // cell)]
        covered = np.count_nonzero(hidden)
        return float(hidden.sum() + 0.4 * covered / hidden.size) if covered else 0.0


def _preferred(points: ExtremePoints, w: int, h: int, gap: float) -> Iterator[tuple[float, float]]:
    x1, y1, x2, y2 = points.frame
    above, below, left, right = y1 - gap - h, y2 + gap, x1 - gap - w, x2 + gap
    top, bottom = points.top - w / 2, points.bottom - w / 2
    yield from ((top, above), (bottom, below), (right, points.right - h / 2), (left, points.left - h / 2))
    yield from ((x1, above), (x2 - w, above), (x1, below), (x2 - w, below))
    yield from ((right, y1), (right, y2 - h), (left, y1), (left, y2 - h))
    yield from ((right, above), (left, above), (right, below), (left, below))
    if x2 - x1 > 1.2 * w and y2 - y1 > 1.2 * h:
        yield from ((top, y1 + gap), (x1 + gap, y1 + gap))
        yield from (((x1 + x2 - w) / 2, (y1 + y2 - h) / 2), (bottom, y2 - gap - h))


def _take(taken: np.ndarray, x: int, y: int, w: int, h: int) -> None:
    """Mark a label and a margin of one pixel in bool [H, W]."""
    taken[max(y - 1, 0) : y + h + 1, max(x - 1, 0) : x + w + 1] = True
