"""Overlapping tiles that cover a region of a raster, and which of them see a place, and how well.

A seam is an edge of a tile that is no edge of the region: beyond it the network sees nothing of what the image holds
there. All lengths are pixels of the raster's full resolution.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.rasters.region import Region


@dataclass(frozen=True)
class Tile:
    """One tile.

    Attributes:
        index: its place in reading order.
        row, column: of the grid.
        region: of the raster.
    """

    index: int
    row: int
    column: int
    region: Region


class TileGrid:
    """Tiles of one size in reading order, spread evenly so that neighbours overlap by at least ``overlap``.

    They begin at whole steps from the region's corner: at steps of the network's stride, a tile's feature maps have
    the cells that those of the whole region would have.

    Args:
        region: what the tiles cover.
        tile: (height, width) of a tile; less where the region is smaller.
        overlap: pixels that neighbours share at least.
        step: pixels. Tiles are made smaller by less than this, so that the last ones end with the region.

    Attributes:
        lefts, tops: first columns and rows of the tiles, in the raster.
        size: (height, width) of every tile.

    Raises:
        MaskRCNNError: a length is not positive, or a tile that cuts the region is not larger than the overlap.
    """

    def __init__(self, region: Region, tile: tuple[int, int], overlap: int, step: int = 1) -> None:
        cut = [own for own, whole in zip(tile, (region.height, region.width), strict=True) if own < whole]
        enough = all(overlap < own - 2 * (step - 1) for own in cut)
        if min(region.width, region.height, *tile) < 1 or overlap < 0 or not enough:
            what = f"expected tiles larger than their overlap, found {tile[1]} x {tile[0]} with an overlap of {overlap}"
            raise MaskRCNNError(what, fix="use larger tiles")
        self.region, self.overlap = region, overlap
        self.size = _length(region.height, tile[0], step), _length(region.width, tile[1], step)
        self.tops = _starts(region.y, region.height, self.size[0], overlap, step)
        self.lefts = _starts(region.x, region.width, self.size[1], overlap, step)

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    def __getitem__(self, index: int) -> Tile:
        if not 0 <= index < len(self):
            raise IndexError(f"tile {index} of {len(self)}")
        row, column = divmod(index, len(self.lefts))
        height, width = self.size
        return Tile(index, row, column, Region(self.lefts[column], self.tops[row], width, height))

    def reach(self, tile: Tile, boxes: np.ndarray) -> np.ndarray:
        """How far boxes lie from the tile's nearest seam: float64 [N], negative for what lies beyond it.

        Args:
            boxes: float64 [N, 4], (x1, y1, x2, y2); what exceeds the region counts as cut at its edge.
        """
        (x, y, width, height), distances = tile.region, []
        for low, high, start, length, starts in (
            (boxes[:, 0], boxes[:, 2], x, width, self.lefts),
            (boxes[:, 1], boxes[:, 3], y, height, self.tops),
        ):
            first, last = start == starts[0], start == starts[-1]
            distances += [np.full(len(boxes), np.inf) if first else low - start]
            distances += [np.full(len(boxes), np.inf) if last else start + length - high]
        return np.min(distances, axis=0)

    def overlapping(self, box: np.ndarray) -> list[int]:
        """The tiles, by index, that share pixels with a box (x1, y1, x2, y2)."""
        rows = _touched(self.tops, self.size[0], box[1], box[3])
        columns = _touched(self.lefts, self.size[1], box[0], box[2])
        return [row * len(self.lefts) + column for row, column in itertools.product(rows, columns)]


def _length(region: int, tile: int, step: int) -> int:
    """Length of a tile, shortened until what it leaves of the region is whole steps."""
    return region if region <= tile else tile - (tile - region) % step


def _starts(first: int, region: int, tile: int, overlap: int, step: int) -> list[int]:
    """First pixels along an axis: whole steps from the first, evenly apart to within a step."""
    if region == tile:
        return [first]
    steps, most = (region - tile) // step, (tile - overlap) // step
    count = -(-steps // most)
    return [first + number * steps // count * step for number in range(count + 1)]


def _touched(starts: list[int], length: int, low: float, high: float) -> range:
    array = np.asarray(starts)
    touched = np.flatnonzero((array < high) & (array + length > low))
    return range(int(touched[0]), int(touched[-1]) + 1) if touched.size else range(0)
