"""The size of an image of any size, from its header."""

from __future__ import annotations

from pathlib import Path

from maskrcnn.images.image_limits import as_image_error, check_image_file, read_by_region
from maskrcnn.images.image_reader import image_size
from maskrcnn.images.tiff_file import is_tiff
from maskrcnn.rasters.tiff_raster import DAMAGED, TiffRaster


def raster_size(path: Path) -> tuple[int, int]:
    """(H, W) of an image file, also of a TIFF that is too large to be read whole.

    Raises:
        MaskRCNNError: missing, damaged, of a kind that is not read, or too large and no TIFF that is read by region.
    """
    if not is_tiff(path):
        return image_size(path)
    from tifffile import TiffFile

    check_image_file(path)
    with as_image_error(DAMAGED, path), TiffFile(path) as tiff:
        page = tiff.pages.first
        large = read_by_region(page.imagelength, page.imagewidth, page.samplesperpixel * -(-page.bitspersample // 8))
    if not large:
        return image_size(path)
    with TiffRaster(path) as raster:
        return raster.size
