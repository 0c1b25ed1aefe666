"""An image in memory as a raster."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskrcnn.images.block_mean import block_means
from maskrcnn.rasters.raster import RasterBlock, check_region
from maskrcnn.rasters.region import Region


class MemoryRaster:
    """A decoded image.

    Args:
        pixels: uint8 or uint16 [H, W, C].
        path: its file, if it came from one.
        notes: what was done to it on reading.
    """

    def __init__(self, pixels: np.ndarray, path: Path | None = None, notes: tuple[str, ...] = ()) -> None:
        self.pixels, self.path, self.notes = pixels, path, notes

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def read(self, region: Region, shrink: int = 1) -> RasterBlock:
        """See `Raster.read`."""
        check_region(region, self)
        window = self.pixels[region.y : region.y + region.height, region.x : region.x + region.width]
        return RasterBlock(np.ascontiguousarray(window) if shrink == 1 else block_means(window, shrink))

    def close(self) -> None:
        """Nothing is open."""
