"""Polygons to patches: the share of each cell that they cover, exact, without drawing them in the image first.

Every edge is cut where it crosses a line between cells. A piece changes the signed area below it: in its own cell by
what lies under the piece, in all cells further down by its whole width. Sums down the columns then give the area, as in
font rendering. The cost follows the outline's length in cells, not the size of the object in the image.

Frame: a patch of h x w cells divides its frame (x1, y1, x2, y2), in the polygons' own coordinates, into equal cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

# Cells that are worked on at a time, of 8 bytes each.
CELL_BUDGET = 2**18
# The finest share of an edge that is told apart, for up to 2^26 edges at a time.
_FINEST = 2.0**-26
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Polygons:
    """Q closed polygons of N objects in one table.

    An object's polygons are united. Where one polygon crosses itself, a point is inside if a ray from it meets the
    outline an odd number of times, as the COCO tools have it.

    Attributes:
        points: float64 [P, 2], x and y of the corners, polygon after polygon.
        starts: int64 [Q], each polygon's first point; it ends where the next begins.
        owner: int64 [Q], the object it belongs to, ascending.
    """

    points: np.ndarray
    starts: np.ndarray
    owner: np.ndarray

    @classmethod
    def concatenate(cls, tables: Sequence[Polygons]) -> Polygons:
        """One table of several, at least one; their owners must ascend from table to table."""
        points = np.concatenate([table.points for table in tables])
        lengths = np.concatenate([table.lengths for table in tables])
        return cls(points, np.cumsum(lengths) - lengths, np.concatenate([table.owner for table in tables]))

    @cached_property
    def lengths(self) -> np.ndarray:
        """Number of corners of each polygon, int64 [Q]."""
        return np.append(self.starts[1:], len(self.points)) - self.starts if len(self.starts) else self.starts

    @cached_property
    def bounds(self) -> np.ndarray:
        """(x1, y1, x2, y2) of each polygon, float64 [Q, 4]."""
        if not len(self.starts):
            return np.zeros((0, 4))
        low, high = (extreme.reduceat(self.points, self.starts, axis=0) for extreme in (np.minimum, np.maximum))
        return np.concatenate((low, high), axis=1)

    @cached_property
    def areas(self) -> np.ndarray:
        """Area of each polygon, float64 [Q]; parts that wind the other way around count against it."""
        if not len(self.starts):
            return np.zeros(0)
        x, y = self.points.T
        along = self.next_point
        return np.abs(np.add.reduceat(x * y[along] - x[along] * y, self.starts)) / 2

    def of(self, objects: np.ndarray) -> Polygons:
        """The polygons of some objects, int64 [M] ascending; they are numbered 0..M-1 afterwards."""
        numbers = np.full(self.owner.max(initial=-1) + 1, -1)
        known = objects[objects < len(numbers)]
        numbers[known] = np.arange(len(known))
        owner = numbers[self.owner]
        chosen = owner >= 0
        lengths = self.lengths[chosen]
        points = self.points[np.repeat(chosen, self.lengths)]
        return Polygons(points, np.cumsum(lengths) - lengths, owner[chosen])

    @cached_property
    def next_point(self) -> np.ndarray:
        """The index of the corner after each, int64 [P]."""
        following = np.arange(1, len(self.points) + 1)
        following[self.starts + self.lengths - 1] = self.starts
        return following


def coverage_patches(polygons: Polygons, frames: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    """The patches of N objects, uint8 [h, w] each, 0..255: how much of each cell the object covers.

    Args:
        polygons: their polygons; they may reach beyond the frames.
        frames: float [N, 4], of positive extent.
        sizes: int [N, 2], (h, w) of each patch.
    """
    patches = [np.zeros(size, dtype=np.uint8) for size in sizes.tolist()]
    if not len(polygons.starts):
        return patches
    owner = np.repeat(polygons.owner, polygons.lengths)
    cells = sizes[:, ::-1] / (frames[:, 2:] - frames[:, :2])
    points = (polygons.points - frames[:, :2].take(owner, axis=0)) * cells.take(owner, axis=0)
    # Each polygon is summed in the part of its object's patch that it can touch.
    bounds = replace(polygons, points=points).bounds
    limits = sizes[polygons.owner][:, ::-1]
    corners = np.minimum(np.maximum(np.floor(bounds[:, :2]), 0), limits).astype(np.int64)
    grids = np.minimum(np.maximum(np.ceil(bounds[:, 2:]), 0), limits).astype(np.int64) - corners
    points -= corners.repeat(polygons.lengths, axis=0)
    for part in _batches(grids):
        shares = _shares(replace(polygons, points=points), part, grids[part])
        for polygon, share in zip(part.tolist(), shares, strict=True):
            x, y = corners[polygon].tolist()
            region = patches[polygons.owner[polygon]][y : y + share.shape[0], x : x + share.shape[1]]
            # Parts of one object that share a cell add up; they seldom overlap.
            np.add(region, np.minimum(share, 255 - region), out=region)
    return patches


def _batches(grids: np.ndarray) -> Iterator[np.ndarray]:
    """The polygons whose grid [Q, 2] = (w, h) is not empty, by height, as many at a time as CELL_BUDGET allows."""
    order = np.argsort(grids[:, 1], kind="stable")
    order = order[(grids[order] > 0).all(axis=1)]
    batch = np.cumsum(grids[order, 0] * grids[order, 1]) // CELL_BUDGET
    for number in range(int(batch[-1]) + 1 if len(order) else 0):
        part = order if batch[-1] == 0 else order[batch == number]
        if len(part):
            yield part


def _shares(polygons: Polygons, part: np.ndarray, grids: np.ndarray) -> list[np.ndarray]:
    """Coverage uint8 [h, w], 0..255, of the polygons `part`, whose points are given in cells of their grids (w, h)."""
    # The grids stand side by side in one array. Two rows more take what lies below a grid.
    left, rows = np.cumsum(grids[:, 0]) - grids[:, 0], int(grids[:, 1].max()) + 2
    width = int(grids[:, 0].sum())
    polygon, x, y, run = _pieces(polygons, part, grids)
    column = np.floor(x).astype(np.int64)
    inside = ((column >= 0) & (column < grids[:, 0].take(polygon))).nonzero()[0]
    polygon, column, y, run = (values.take(inside) for values in (polygon, column, y, run))
    row = np.minimum(np.maximum(np.floor(y), 0), grids[:, 1].take(polygon))
    above = np.minimum(np.maximum(y - row, 0), 1) * run
    cell = row.astype(np.int64) * width + left.take(polygon) + column
    change: np.ndarray = np.bincount(
        np.concatenate((cell, cell + width)), np.concatenate((run - above, above)), rows * width
    )
    area = change.reshape(rows, width)
    # Row by row, because a sum along the first axis is ten times slower in numpy.
    for line in range(1, rows):
        area[line] += area[line - 1]
    np.abs(area, out=area)
    if area.max() > 1 + _ROUNDING:
        # Some outline crosses itself: what it winds around twice is outside.
        area = np.abs(area - 2 * np.rint(area / 2))
    area *= 255
    area += 0.5
    shares = np.minimum(area, 255, out=area).astype(np.uint8)
    return [shares[:h, at : at + w] for at, (w, h) in zip(left.tolist(), grids.tolist(), strict=True)]


def _pieces(polygons: Polygons, part: np.ndarray, grids: np.ndarray) -> tuple[np.ndarray, ...]:
    """The edges of the polygons `part`, cut at the lines 0..w and 0..h of their grids.

    Returns:
        For each piece the index of its polygon in `part`, its middle x and y, and its signed extent in x.
    """
    index = np.full(len(polygons.starts), -1)
    index[part] = np.arange(len(part))
    index = np.repeat(index, polygons.lengths)
    start_x, start_y = polygons.points[:, 0], polygons.points[:, 1]
    following = polygons.next_point
    step_x, step_y = start_x.take(following) - start_x, start_y.take(following) - start_y
    # Upright edges have no area below them.
    edges = ((index >= 0) & (step_x != 0)).nonzero()[0]
    index, start_x, start_y, step_x, step_y = (v.take(edges) for v in (index, start_x, start_y, step_x, step_y))
    limits = grids.take(index, axis=0)
    cuts = _crossings(start_x, step_x, limits[:, 0]), _crossings(start_y, step_y, limits[:, 1])
    # Edge number and position on the edge in one number, which sorts by both.
    begin = np.sort(np.concatenate((np.arange(len(edges), dtype=np.float64), *cuts)))
    edge = begin.astype(np.int64)
    end = np.minimum(np.append(begin[1:], len(edges)), edge + 1)
    step_x = step_x.take(edge)
    middle = (begin + end) / 2 - edge
    x, y = start_x.take(edge) + middle * step_x, start_y.take(edge) + middle * step_y.take(edge)
    return index.take(edge), x, y, (end - begin) * step_x


def _crossings(start: np.ndarray, step: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Where edges cross the whole numbers 0..limit of one axis: edge number + share of the edge."""
    low, high = np.minimum(start, start + step), np.maximum(start, start + step)
    first = np.maximum(np.floor(low) + 1, 0)
    count = np.maximum(np.minimum(np.ceil(high) - 1, limit) - first + 1, 0).astype(np.int64)
    edge = np.repeat(np.arange(len(start)), count)
    line = np.arange(len(edge)) + np.repeat(first - np.cumsum(count) + count, count)
    share = (line - start.take(edge)) / step.take(edge)
    # So rounded, the sum is exact: a cut does not depend on how many edges come before.
    return edge + np.floor(np.minimum(np.maximum(share, 0), 1 - _FINEST) / _FINEST) * _FINEST
