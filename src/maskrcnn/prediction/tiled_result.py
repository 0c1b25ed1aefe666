"""A large image as one result: its tiles through the network, their objects merged."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from maskrcnn.config import Config
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.masks import Masks
from maskrcnn.prediction.tile_stream import Stream, Tiling, stream_tiles
from maskrcnn.rasters.memory_raster import MemoryRaster
from maskrcnn.rasters.raster import Raster
from maskrcnn.results.result import Result
from maskrcnn.text import plural
from maskrcnn.tiling.found_object import FoundObject
from maskrcnn.tiling.seam_merger import SeamMerger


def predict_tiled(
    stream: Stream,
    config: Config,
    names: tuple[str, ...],
    raster: Raster,
    tiling: Tiling,
    *,
    score: float = 0.5,
    batch_size: int | None = None,
) -> Result:
    """The objects of a raster as one result in its pixels, the best first.

    Raises:
        MaskRCNNError: no tile could be predicted.
    """
    notes: list[str] = [*raster.notes]
    problems: list[MaskRCNNError] = []

    def objects() -> Iterator[FoundObject]:
        merger = SeamMerger(tiling.grid, tiling.margin)
        full = 0
        tiles = (tiling.grid[number] for number in range(len(tiling.grid)))
        for seen in stream_tiles(stream, config, raster, tiling, tiles, score=score, batch_size=batch_size):
            full += seen.full
            if seen.problem is not None:
                x, y, width, height = seen.tile.region
                problems.append(seen.problem)
                notes.append(f"no objects from x {x} to {x + width}, y {y} to {y + height}: {seen.problem}")
            yield from merger.add(seen.tile, seen.objects)
        yield from merger.finish()
        if full:
            notes.append(f"{plural(full, 'tile')} with as many objects as the model returns: use a smaller tile")

    found = sorted(objects(), key=lambda one: -one.score)
    if len(problems) == len(tiling.grid):
        raise problems[0]
    pixels = raster.pixels if isinstance(raster, MemoryRaster) else None
    return Result(
        boxes=np.array([one.box for one in found], dtype=np.float32).reshape(-1, 4),
        scores=np.array([one.score for one in found], dtype=np.float32),
        labels=np.array([one.label for one in found], dtype=np.int64),
        masks=Masks([one.crop for one in found], raster.size),
        class_names=names,
        size=raster.size,
        image=pixels if pixels is not None and pixels.dtype == np.uint8 and pixels.shape[2] == 3 else None,
        path=raster.path,
        notes=tuple(notes),
    )
