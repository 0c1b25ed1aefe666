"""A raster through a network, tile by tile.

The network sees a tile at the scale at which the whole region would be seen: tiles have a fixed size in pixels of its
input. A raster that is shrunk is read at the nearest power of two, so that little more is read than is needed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from maskrcnn.argument_checks import checked_count
from maskrcnn.config import Config, Preprocess
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown
from maskrcnn.masks.masks import Masks
from maskrcnn.rasters.raster import Raster
from maskrcnn.rasters.region import Region
from maskrcnn.results.result import Result
from maskrcnn.tiling.found_object import FoundObject
from maskrcnn.tiling.tile_grid import Tile, TileGrid

# In pixels of the network input. Beyond the margin a network's detections do not depend on what lies behind a seam by
# more than their own noise; objects of up to the overlap less two margins are seen whole by a tile.
MARGIN = 32
OVERLAP = 192
USUAL_TILE = 1024
SMALLEST_TILE = OVERLAP + 2 * MARGIN
Stream = Callable[..., Iterator[Result | MaskRCNNError]]  # `ImagePredictor.stream`


@dataclass(frozen=True)
class Tiling:
    """How a region is cut into tiles for a network.

    Attributes:
        grid: the tiles, in pixels of the raster.
        scale: pixels of the network input for one of the raster.
        shrink: power of two by which the raster is reduced when it is read.
        edge: shortest edge of a tile in the network input.
        margin: in pixels of the raster, see `SeamMerger`.
    """

    grid: TileGrid
    scale: float
    shrink: int
    edge: int
    margin: float

    @classmethod
    def of(cls, region: Region, tile: int, scale: float, preprocess: Preprocess) -> Tiling:
        """Tiles of ``tile`` x ``tile`` pixels of the network input.

        Raises:
            MaskRCNNError: the tile is too small to hold its margins and an overlap, or absurdly large, or the scale is.
        """
        tile = checked_count(tile, "tile", 2**15)
        if not isinstance(scale, int | float) or not 2**-12 <= scale <= 2**6:
            raise MaskRCNNError(f"scale: expected a number from 1/4096 to 64, found {shown(scale)}")
        if tile < SMALLEST_TILE:
            what = f"tile: expected at least {SMALLEST_TILE} pixels of the network input, found {tile}"
            raise MaskRCNNError(what, fix="use larger tiles; 1024 is usual")
        longest = preprocess.long / preprocess.short[0]  # a longer tile would be shrunk by the preprocessing
        height, width = min(region.height, round(tile / scale)), min(region.width, round(tile / scale))
        height, width = min(height, math.floor(width * longest)), min(width, math.floor(height * longest))
        step = round(preprocess.divisor / scale) if preprocess.divisor / scale % 1 == 0 else 1
        cut = [own for own, whole in ((height, region.height), (width, region.width)) if own < whole]
        overlap = min([round(OVERLAP / scale), *(own // 2 for own in cut)])
        step = step if all(overlap < own - 2 * step for own in cut) else 1
        grid = TileGrid(region, (height, width), overlap, step)
        edge = max(round(min(grid.size) * scale), preprocess.divisor)
        return cls(grid, scale, 2 ** max(math.floor(math.log2(1 / scale)), 0), edge, MARGIN / scale)


def usual_tile(preprocess: Preprocess) -> int:
    """The edge of a tile that is as large as what the model usually takes, and at most 1024 pixels."""
    return max(min(preprocess.long, USUAL_TILE) // preprocess.divisor * preprocess.divisor, SMALLEST_TILE)


class SeenTile(NamedTuple):
    """What a network found in a tile, or why it found nothing.

    Attributes:
        objects: in pixels of the raster.
        full: whether there are as many as the model returns at most, so that some may be missing.
    """

    tile: Tile
    objects: list[FoundObject]
    full: bool = False
    problem: MaskRCNNError | None = None


def stream_tiles(
    stream: Stream,
    config: Config,
    raster: Raster,
    tiling: Tiling,
    tiles: Iterable[Tile],
    *,
    score: float = 0.5,
    batch_size: int | None = None,
) -> Iterator[SeenTile]:
    """What the network finds in each tile, in order; the next tiles are read while it works.

    A tile that cannot be read, or that the network fails on, is given with its problem; the others are unaffected.

    Args:
        stream: of the predictor.
        config: of its model.
        tiles: of the tiling's grid, in its order.
    """
    tiles = list(tiles)
    most = detections_in_a_tile(config, tiling)
    results = stream(
        (functools.partial(_pixels, raster, tile, tiling.shrink) for tile in tiles),
        score,
        batch_size,
        size=tiling.edge,
        max_detections=most,
    )
    for tile, result in zip(tiles, results, strict=True):
        if isinstance(result, MaskRCNNError):
            yield SeenTile(tile, [], problem=result)
        else:
            yield SeenTile(tile, _placed(result, tile, tiling.shrink), full=len(result) >= most)


def detections_in_a_tile(config: Config, tiling: Tiling) -> int:
    """The most objects in a tile: as many an area as the model returns for an image of its usual size, or more."""
    height, width = (edge * tiling.scale for edge in tiling.grid.size)
    usual = config.preprocess.short[0] ** 2
    return max(config.max_detections, math.ceil(config.max_detections * height * width / usual))


def _pixels(raster: Raster, tile: Tile, shrink: int) -> np.ndarray:
    return raster.read(tile.region, shrink).pixels


def _placed(result: Result, tile: Tile, shrink: int) -> list[FoundObject]:
    """The objects of a tile's result in pixels of the raster; masks are drawn at full resolution, within the tile."""
    x, y, width, height = tile.region
    boxes = result.boxes.astype(np.float64) * shrink
    masks = result.masks
    if shrink > 1:
        assert masks.probs is not None
        scaled = boxes.astype(np.float32)
        masks = Masks.from_probs(masks.probs, scaled, (height, width), masks.threshold, masks.quantize)
    boxes = (boxes.clip(0, [width, height] * 2)) + np.array([x, y, x, y])
    rows = zip(masks.crops, boxes, result.scores.tolist(), result.labels.tolist(), strict=True)
    return [
        FoundObject(crop._replace(x=crop.x + x, y=crop.y + y), box, score, label) for crop, box, score, label in rows
    ]
