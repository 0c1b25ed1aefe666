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

from maskrcnn.errors import MaskRCNNError, errors_at
from maskrcnn.images.block_mean import block_means
from maskrcnn.images.image_limits import as_image_error, check_bytes, check_image_file, read_by_region
from maskrcnn.images.image_reader import as_rgb8
from maskrcnn.images.tiff_codec import Segments, read_window
from maskrcnn.images.tiff_file import TiffPage, read_page
from maskrcnn.images.tiff_jpeg import is_jpeg, read_jpeg_window
from maskrcnn.rasters.raster import RasterBlock, check_region
from maskrcnn.rasters.region import Region

DAMAGED = "truncated or damaged TIFF"
LARGEST_SEGMENT = 2**28  # bytes of a tile or strip, which is read as a whole
_PASS = 2**25  # values that are looked at together to find their range
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
        rgb: give 8-bit RGB, as `read_image` does of the whole; otherwise the channels as stored, as `read_channels`.

    Raises:
        MaskRCNNError: missing, damaged, or of a kind that cannot be read by region.
    """

    def __init__(self, path: Path, rgb: bool = False) -> None:
        from tifffile import TiffFile

        check_image_file(path)
        self.path, self.rgb = path, rgb
        self.notes: tuple[str, ...] = ()
        self._lock = threading.Lock()
        with as_image_error(DAMAGED, path), contextlib.ExitStack() as opened:
            self._tiff = opened.enter_context(TiffFile(path))
            self._levels = list(_levels(path, self._tiff))
            self._file = opened.enter_context(path.open("rb"))
            self._opened = opened.pop_all()
        self.kind = self._levels[0].kind
        self._limits: tuple[int, int] | None = None
        if rgb:
            self.notes = self._prepare_rgb()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.kind.height, self.kind.width

    @property
    def channels(self) -> int:
        """Number of channels."""
        return 3 if self.rgb else self.stored

    @property
    def stored(self) -> int:
        """Number of channels in the file; a palette's colours are three."""
        return self.kind.samples + 2 * (self.kind.palette is not None)

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
        pixels = self._channels(level, rows, columns)
        if self.rgb:
            pixels, _ = as_rgb8(level.kind.as_picture(pixels)[0], self._limits)
        # A reduced copy may end before the region does.
        missing = (-(-region.height // level.shrink) - len(pixels), -(-region.width // level.shrink) - pixels.shape[1])
        if any(missing):
            pixels = np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        rest = shrink // level.shrink
        return RasterBlock(np.ascontiguousarray(pixels) if rest == 1 else block_means(pixels, rest))

    def _prepare_rgb(self) -> tuple[str, ...]:
        """Settle how values become 8-bit RGB, and the notes on it: 16-bit ones by the range that all of them have.

        Of an image too large to be read whole, the range is that of its smallest copy.
        """
        height, width = self.size
        if self.kind.dtype.itemsize > 1:
            level = self._levels[-1 if read_by_region(height, width, self.kind.dtype.itemsize) else 0]
            self._limits = self._range(level)
        blank = np.full((1, 1, self.stored), np.iinfo(self.kind.dtype).max, dtype=self.kind.dtype)
        shown, notes = self.kind.as_picture(blank)
        with errors_at(self.path):
            return (*notes, *as_rgb8(shown, self._limits)[1])

    def _range(self, level: _Level) -> tuple[int, int]:
        """The smallest and the largest value of a level's picture; what is damaged does not count."""
        low, high = [], []
        step = max(_PASS // (level.kind.width * self.kind.samples), 1)
        for top in range(0, level.kind.height, step):
            rows = top, min(top + step, level.kind.height)
            with contextlib.suppress(MaskRCNNError):
                values = level.kind.as_picture(self._channels(level, rows, (0, level.kind.width)))[0]
                low.append(int(values.min()))
                high.append(int(values.max()))
        return min(low, default=0), max(high, default=np.iinfo(self.kind.dtype).max)

    def _channels(self, level: _Level, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
        """The channels of a window of a level, as stored."""
        check_bytes((rows[1] - rows[0]) * (columns[1] - columns[0]) * self.kind.samples * self.kind.dtype.itemsize)
        with as_image_error(DAMAGED, self.path):
            return self._window(level, rows, columns)

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
    if kind.dtype not in (np.uint8, np.uint16):
        what = f"expected pixels of type uint8 or uint16, found {kind.dtype}"
        raise MaskRCNNError(what, fix="scale to 0..65535, convert with .astype('uint16') and save again")
    if kind.orientation != 1:
        what = f"expected a TIFF whose rows run from top to bottom, found orientation {kind.orientation}"
        raise MaskRCNNError(what, fix="save it as it is shown")
    grid = Segments.of(page)
    size = grid.rows * grid.row_bytes
    if size > LARGEST_SEGMENT:
        what = f"expected tiles or strips of at most {LARGEST_SEGMENT >> 20} MiB, found {size >> 20} MiB"
        raise MaskRCNNError(what, fix="save it in tiles of 512 x 512 pixels")


def _reduced(first: int, length: int, shrink: int, whole: int) -> tuple[int, int]:
    """First pixel and the one behind the last of a level of ``whole`` pixels, for a stretch of full resolution."""
    start = min(first // shrink, whole - 1)
    return start, min(start + -(-length // shrink), whole)
