"""Anything that callers call an image, as a raster."""

from __future__ import annotations

from pathlib import Path

from maskrcnn.config import Preprocess
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_like import ImageLike, read_image_like
from maskrcnn.images.tiff_file import is_tiff
from maskrcnn.rasters.memory_raster import MemoryRaster
from maskrcnn.rasters.raster import Raster
from maskrcnn.rasters.tiff_raster import TiffRaster


def open_raster(image: ImageLike, preprocess: Preprocess | None = None) -> Raster:
    """The raster of an image, with the channels and bits that a model takes: 8-bit RGB unless given.

    A TIFF is read by region where it can be; any other image is decoded into memory, and so may not be larger than a
    photo.

    Args:
        image: as `read_image_like` takes one.

    Raises:
        MaskRCNNError: it is no image, or cannot be read.
    """
    preprocess, refused = preprocess or Preprocess(), None
    if isinstance(image, str | Path) and is_tiff(Path(image)):
        try:
            raster = TiffRaster(Path(image), preprocess.rgb)
            if preprocess.rgb or raster.channels == preprocess.channels:
                return raster
            raster.close()  # its channels may be pages, or colours that stand for a brightness
        except MaskRCNNError as error:
            refused = error
    try:
        read, path = read_image_like(image, preprocess)
    except MaskRCNNError as error:
        raise refused or error from None
    return MemoryRaster(read.pixels, path, read.notes)
