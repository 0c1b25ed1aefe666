"""From a mask back to polygons: the outlines of its parts and holes along the edges of its pixels.

Coordinates are whole numbers in continuous image pixels, so that drawing the rings again gives the same pixels
(`rasterise` is even-odd within one polygon and adds up several). Parts are connected through pixel sides; rings never
cross or touch themselves, but a part and its hole may meet in a corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from maskrcnn.masks.crop import Crop


class Outline(NamedTuple):
    """The rings of one mask, each a flat float64 array x0, y0, x1, y1, … in image pixels, not closed.

    Attributes:
        parts: clockwise on the screen, one a connected part.
        holes: clockwise on the screen, one a connected hole.
    """

    parts: list[np.ndarray]
    holes: list[np.ndarray]


def outline(crop: Crop) -> Outline:
    """The outlines of a mask."""
    filled = np.pad(crop.bitmap, 1)
    north_west, north_east, south_west, south_east = filled[:-1, :-1], filled[:-1, 1:], filled[1:, :-1], filled[1:, 1:]
    corner = north_west ^ north_east ^ south_west ^ south_east
    # Where two pixels meet in a corner only, two corners of the outline lie on one point.
    crossing = (north_west == south_east) & (north_east == south_west) & (north_west != north_east)
    rows, columns = np.nonzero(corner | crossing)
    twice = crossing[rows, columns]
    rows, columns, twice = (np.repeat(values, 1 + twice) for values in (rows, columns, twice))
    below = _partners_below(filled, rows, columns, twice)
    parts: list[np.ndarray] = []
    holes: list[np.ndarray] = []
    for ring in _rings(below):
        points = np.stack((columns[ring] + crop.x, rows[ring] + crop.y), axis=1)
        # A ring begins at its first corner in reading order: under that lies the part, or the hole.
        part = filled[rows[ring[0]] + 1, columns[ring[0]] + 1]
        (parts if part else holes).append(points.astype(np.float64).ravel())
    return Outline(parts, holes)


def polygons(crop: Crop) -> list[list[np.ndarray]]:
    """The rings of each part of a mask: its own outline first, then those of its holes.

    A part that lies in a hole of another is a polygon of its own.
    """
    parts, holes = outline(crop)
    if not holes:
        return [[ring] for ring in parts]
    labels = ndimage.label(crop.bitmap)[0]
    # Under the first corner of a part's ring lies the part; above that of a hole, the part that has the hole.
    columns, rows = (np.array([ring[axis] for ring in (*parts, *holes)], dtype=np.int64) for axis in (0, 1))
    rows -= crop.y + (np.arange(len(rows)) >= len(parts))
    owners = labels[rows, columns - crop.x].tolist()
    grouped = {owner: [ring] for owner, ring in zip(owners, parts, strict=False)}
    for owner, ring in zip(owners[len(parts) :], holes, strict=True):
        grouped[owner].append(ring)
    return list(grouped.values())


def join(rings: Sequence[np.ndarray]) -> np.ndarray:
    """One polygon that walks around all rings, over bridges of no width there and back again.

    Drawn even-odd it covers what an odd number of the rings cover: parts that do not overlap, less their holes.

    Args:
        rings: flat float64 arrays x0, y0, …
    """
    walk = rings[0].reshape(-1, 2)
    for ring in rings[1:]:
        points = ring.reshape(-1, 2)
        distances, nearest = KDTree(walk).query(points)
        there = int(np.argmin(distances))
        here = int(nearest[there])
        around = np.roll(points, -there, axis=0)
        walk = np.concatenate((walk[: here + 1], around, around[:1], walk[here:]))
    return walk.ravel()


def _partners_below(filled: np.ndarray, rows: np.ndarray, columns: np.ndarray, twice: np.ndarray) -> list[int]:
    """The corner that shares a vertical side with each corner.

    Corners are in reading order, so that those that share a horizontal side follow each other: 0 and 1, 2 and 3, …
    """
    first = twice & (np.arange(len(rows)) % 2 == 1)
    later = np.zeros(len(rows), dtype=bool)
    if first.any():
        # The first of two corners on a point ends the side on the left. A ring that turns around its own pixel there
        # stays apart from the other; in one part, it turns the other way, so that a hole closes.
        r, c = rows[first], columns[first]
        falling = filled[r, c]
        labels = ndimage.label(filled)[0]
        one_part = np.where(falling, labels[r, c] == labels[r + 1, c + 1], labels[r, c + 1] == labels[r + 1, c])
        goes_down = falling == one_part
        later[first] = goes_down
        later[np.flatnonzero(first) + 1] = ~goes_down
    order = np.lexsort((later, rows, columns))
    partners = np.empty(len(rows), dtype=np.int64)
    partners[order[0::2]], partners[order[1::2]] = order[1::2], order[0::2]
    return partners.tolist()


def _rings(below: list[int]) -> list[list[int]]:
    """The closed walks over horizontal and vertical sides in turn, each from its first corner to the right."""
    rings = []
    seen = bytearray(len(below))
    for start in range(0, len(below), 2):
        if seen[start]:
            continue
        ring: list[int] = []
        corner = start
        while True:
            across = corner ^ 1
            seen[corner] = seen[across] = 1
            ring += (corner, across)
            corner = below[across]
            if corner == start:
                break
        rings.append(ring)
    return rings
