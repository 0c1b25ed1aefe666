"""A TIFF read by region: tiled or in strips, classic or BigTIFF, with the reduced copies that it holds.

OME-TIFFs, cloud-optimised GeoTIFFs and the slides of several scanners are such files. Segments are read and decoded
when a region needs them, so memory grows with the region and not with the file.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.block_mean import block_means
from maskrcnn.images.image_limits import as_image_error, check_bytes, check_image_file
from maskrcnn.images.tiff_codec import read_window
from maskrcnn.images.tiff_file import TiffPage, read_page
from maskrcnn.images.tiff_jpeg import is_jpeg, read_jpeg_window
from maskrcnn.rasters.raster import RasterBlock, check_region
from maskrcnn.rasters.region import Region

DAMAGED = "truncated or damaged TIFF"
LARGEST_SEGMENT = 2**28  # bytes of a tile or strip, which is read as a whole
_TOLERANCE = 2  # pixels by which a reduced copy may differ from the size that its reduction gives


@dataclass(frozen=True)
class _Level:
    """The image at one reduction: its page as tifffile and as we read it."""

    shrink: int
    page: Any
    kind: TiffPage


class TiffRaster:
    """The first image of a TIFF file.

    Args:
        path: the file.

    Raises:
        MaskRCNNError: missing, damaged, or of a kind that cannot be read by region.
    """

    def __init__(self, path: Path) -> None:
        from tifffile import TiffFile

        check_image_file(path)
        self.path, self.notes = path, ()
        self._lock = threading.Lock()
        with as_image_error(DAMAGED, path), contextlib.ExitStack() as opened:
            self._tiff = opened.enter_context(TiffFile(path))
            self._levels = list(_levels(path, self._tiff))
            self._file = opened.enter_context(path.open("rb"))
            self._opened = opened.pop_all()
        self.kind = self._levels[0].kind

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.kind.height, self.kind.width

    @property
    def channels(self) -> int:
        """Number of channels."""
        return 3 if self.kind.palette is not None else self.kind.samples

    @property
    def shrinks(self) -> tuple[int, ...]:
        """The reductions that the file holds, 1 first."""
        return tuple(level.shrink for level in self._levels)

    def read(self, region: Region, shrink: int = 1) -> RasterBlock:
        """See `Raster.read`."""
        check_region(region, self)
        level = max((level for level in self._levels if level.shrink <= shrink), key=lambda level: level.shrink)
        rows, columns = (
            _reduced(first, length, level.shrink, whole)
            for first, length, whole in (
                (region.y, region.height, level.kind.height),
                (region.x, region.width, level.kind.width),
            )
        )
        check_bytes((rows[1] - rows[0]) * (columns[1] - columns[0]) * self.channels * self.kind.dtype.itemsize)
        with as_image_error(DAMAGED, self.path):
            pixels = self._window(level, rows, columns)
        rest = shrink // level.shrink
        return RasterBlock(np.ascontiguousarray(pixels) if rest == 1 else block_means(pixels, rest))

    def _window(self, level: _Level, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
        if is_jpeg(level.page):
            with self._lock:
                return read_jpeg_window(self._file, level.page, rows, columns)
        with self._lock:
            samples = read_window(self._file, level.page, self._tiff.byteorder, rows, columns)
        return level.kind.as_channels(samples)

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def __enter__(self) -> TiffRaster:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _levels(path: Path, tiff: Any) -> Iterator[_Level]:
    """The first image and its reduced copies, from the largest on."""
    series = tiff.series[0]
    full = series.levels[0].keyframe
    for level in series.levels:
        page = level.keyframe
        kind = read_page(path, page.index if isinstance(page.index, int) else 0, page, whole=False)
        _check_kind(kind, page)
        shrink = round(full.imagewidth / page.imagewidth)
        sizes = (full.imagelength, page.imagelength), (full.imagewidth, page.imagewidth)
        if shrink & (shrink - 1) == 0 and all(abs(whole / shrink - part) <= _TOLERANCE for whole, part in sizes):
            yield _Level(shrink, page, kind)


def _check_kind(kind: TiffPage, page: Any) -> None:
    """Raises `MaskRCNNError` for a page that cannot be read by region."""
    if not (kind.decoded_here or is_jpeg(page)):
        scheme = getattr(page.compression, "name", page.compression)
        what = f"a TIFF of a kind that is not read by region: compression {scheme}"
        raise MaskRCNNError(what, fix="save it in tiles with deflate")
    if kind.orientation != 1:
        what = f"expected a TIFF whose rows run from top to bottom, found orientation {kind.orientation}"
        raise MaskRCNNError(what, fix="save it as it is shown")
    rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    size = min(rows, page.imagelength) * columns * page.samplesperpixel * page.bitspersample // 8
    if size > LARGEST_SEGMENT:
        what = f"expected tiles or strips of at most {LARGEST_SEGMENT >> 20} MiB, found {size >> 20} MiB"
        raise MaskRCNNError(what, fix="save it in tiles of 512 x 512 pixels")


def _reduced(first: int, length: int, shrink: int, whole: int) -> tuple[int, int]:
    """First pixel and the one behind the last of a level, for a stretch of full resolution; at least one."""
    start = min(first // shrink, whole - 1)
    return start, min(max(-(-(first + length) // shrink), start + 1), whole)
