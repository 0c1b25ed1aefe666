"""What all rasters have in common: an image that gives any of its regions at any scale."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.rasters.region import Region


class RasterBlock(NamedTuple):
    """The pixels of a region.

    Attributes:
        pixels: uint8 or uint16 [h, w, C], h = ceil(height / shrink) of the region's height, w likewise.
        valid: bool [h, w], False where the raster holds no data; None where all of it is valid.
    """

    pixels: np.ndarray
    valid: np.ndarray | None = None


class Raster(Protocol):
    """An image that is read by region. May be used from several threads at once."""

    @property
    def path(self) -> Path | None:
        """Its file; None if it is in memory."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels of full resolution."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What reading changes, one line each."""

    def read(self, region: Region, shrink: int = 1) -> RasterBlock:
        """The pixels of a region.

        Args:
            region: within the raster.
            shrink: a power of two: so many pixels of full resolution become one, by their mean.

        Raises:
            MaskRCNNError: the region is empty or not within the raster, or its pixels are damaged.
        """

    def close(self) -> None:
        """Close its file."""


def check_region(region: Region, raster: Raster) -> None:
    """Raises `MaskRCNNError` for a region that is empty, or not within the raster."""
    height, width = raster.size
    inside = region.x >= 0 and region.y >= 0 and region.x + region.width <= width and region.y + region.height <= height
    if region.width < 1 or region.height < 1 or not inside:
        expected = f"expected a region within {width} x {height} pixels (width x height)"
        found = f"found {region.width} x {region.height} at ({region.x}, {region.y})"
        raise MaskRCNNError(f"{expected}, {found}", where=raster.path, fix="correct the region: x, y, width, height")
