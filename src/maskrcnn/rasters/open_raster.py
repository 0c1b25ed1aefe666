"""Anything that callers call a large image, as a raster."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_reader import is_multichannel, read_channels, read_image, with_channel_axis
from maskrcnn.images.tiff_file import is_tiff
from maskrcnn.rasters.memory_raster import MemoryRaster
from maskrcnn.rasters.raster import Raster
from maskrcnn.rasters.tiff_raster import TiffRaster


def open_raster(source: str | Path | np.ndarray) -> Raster:
    """The raster of a file or an array.

    A TIFF is read by region; any other image is decoded into memory, and so may not be larger than a photo.

    Args:
        source: a file, or an array [H, W] or [H, W, C] of uint8 or uint16.

    Raises:
        MaskRCNNError: it is missing, damaged, or of a kind that is not read.
    """
    if isinstance(source, np.ndarray):
        array = with_channel_axis(source)
        if array.ndim != 3 or array.dtype not in (np.uint8, np.uint16) or not array.size:
            what = f"expected an array [H, W, C] of uint8 or uint16, found {list(array.shape)} of {array.dtype}"
            raise MaskRCNNError(what)
        return MemoryRaster(array)
    path = Path(source)
    if is_tiff(path):
        return TiffRaster(path)
    if is_multichannel(path):
        return MemoryRaster(read_channels(path), path)
    pixels, notes = read_image(path)
    return MemoryRaster(pixels, path, notes)
