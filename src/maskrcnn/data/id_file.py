"""Files of numbers, one a pixel: id maps and masks, as stored. Nothing is turned, stretched or looked up in a palette.

TIFFs are decoded by tifffile, or by Pillow where tifffile has no codec; .npy arrays by numpy; the others by Pillow. The
size is known and checked before anything is allocated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import ImageFile, UnidentifiedImageError

from maskrcnn.data.image_file import GREY16, check_present, check_size, frames, loaded, opened
from maskrcnn.errors import MaskRCNNError

SUFFIXES = frozenset({".bmp", ".gif", ".npy", ".pgm", ".png", ".tif", ".tiff"})  # of files that keep numbers exact
SAVE_AS = "save the ids as a 16-bit grey PNG or TIFF"

_MODES = ("1", "L", "P", "F", *GREY16)
_MAX_BYTES = 2**30
_MAX_ID = 2**63
_PHOTOMETRIC = 262
_PILLOWS = ("bool", "uint8", "uint16", "int16", "int32", "float32")
# libtiff hands out the machine's byte order, which Pillow swaps once more in these modes.
_SWAPPED = {"I;16BS": np.int16, "I;32BS": np.int32, "F;32BF": np.float32}
# Deflate makes at most a thousandth of its input: more than the pixels themselves is no map.
_SLACK = 2**16


class IdFile(NamedTuple):
    """An opened file: what its header says, and what reads a page.

    Attributes:
        size: (H, W).
        pages: number of them.
        numbers: gives the numbers of a page as stored, [H, W] of any bool, whole or floating type.
    """

    size: tuple[int, int]
    pages: int
    numbers: Callable[[int], np.ndarray]


def open_ids(path: Path) -> IdFile:
    """A file of numbers, nothing but its header read.

    Raises:
        MaskRCNNError: missing, damaged, too large, or no file of numbers.
    """
    check_present(path)
    if path.suffix.lower() == ".npy":
        return _open_npy(path)
    tiff = _open_tiff(path) if path.suffix.lower() in (".tif", ".tiff") else None
    if tiff is not None:
        return tiff
    with _opened(path) as image:
        size, pages = (image.height, image.width), frames(image)
    return IdFile(size, pages, lambda page: _by_pillow(path, page))


def whole_numbers(values: np.ndarray, path: Path) -> np.ndarray:
    """Ids in the machine's byte order; uint8 for bool, int32 or int64 for floating and 64-bit types.

    Raises:
        MaskRCNNError: they are no whole numbers from 0 up.
    """
    if not values.size:
        raise MaskRCNNError("expected a mask of object ids, found no pixel", where=path, fix=SAVE_AS)
    if values.dtype == bool:
        return values.astype(np.uint8)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    low, high = values.min().item(), values.max().item()
    # A comparison with NaN is False.
    if not (low >= 0 and high < _MAX_ID):
        found = f"{low if not low >= 0 else high} in values of type {values.dtype}"
        raise MaskRCNNError(
            f"expected object ids from 0 up, found {found}", where=path, fix="number the objects from 1"
        )
    if values.dtype.kind != "f" and values.dtype.itemsize < 8:
        return values
    whole = values.astype(np.int32 if high < 2**31 else np.int64)
    if values.dtype.kind == "f" and (different := whole != values).any():
        found = f"{values[different][0]} in values of type {values.dtype}"
        raise MaskRCNNError(f"expected object ids that are whole numbers, found {found}", where=path, fix=SAVE_AS)
    return whole


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    """As `opened`, with advice for maps."""
    try:
        with opened(path) as image:
            yield image
    except MaskRCNNError as error:
        if isinstance(error.__cause__, UnidentifiedImageError):
            raise MaskRCNNError(error.what, where=path, fix=SAVE_AS) from error
        raise


def _by_pillow(path: Path, page: int) -> np.ndarray:
    with _opened(path) as image:
        image.seek(page)
        if image.mode not in _MODES:
            what = f"expected a mask of object ids with one channel of whole numbers, found mode {image.mode}"
            raise MaskRCNNError(what, where=path, fix=SAVE_AS)
        raw = {args[0] for codec, _, _, args in image.tile if codec == "libtiff" and isinstance(args, tuple)}
        values = loaded(image)
        if image.mode in ("1", "L") and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:
            values = ~values  # as stored, not as shown
        swapped = next((dtype for mode, dtype in _SWAPPED.items() if mode in raw), None)
        return values if swapped is None else values.astype(swapped).byteswap()


def _open_npy(path: Path) -> IdFile:
    try:
        # Mapped, not read; object arrays, which could run code, are refused.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        objects = any(word in str(error) for word in ("pickle", "Python objects"))
        what = "a .npy of Python objects, which can run code and is not loaded" if objects else f"no .npy: {error}"
        raise MaskRCNNError(what, where=path, fix=SAVE_AS) from error
    shape = tuple(side for side in array.shape if side != 1) if array.ndim == 3 else array.shape
    return IdFile(_checked(shape, array.dtype, path), 1, lambda page: np.array(array).reshape(shape))


def _open_tiff(path: Path) -> IdFile | None:
    """A TIFF of one number a pixel; None for what Pillow's reader refuses in its words."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            first: Any = file.pages.first
            shape, dtype, samples, pages = first.shape, first.dtype, first.samplesperpixel, len(file.pages)
    except Exception:
        return None
    if dtype is None or (samples != 1 and dtype.name in _PILLOWS):
        return None

    def numbers(page: int) -> np.ndarray:
        with tifffile.TiffFile(path) as file:
            found: Any = file.pages[page]
            if found.shape != shape or found.dtype != dtype:
                raise ValueError(f"page {page + 1} is {list(found.shape)} {found.dtype}")
            segment = prod(found.chunks) * dtype.itemsize
            if segment > _MAX_BYTES + _SLACK or max(found.databytecounts) > segment + _SLACK:
                raise ValueError(f"parts of {found.chunks} pixels and {max(found.databytecounts):,} bytes")
            return np.asarray(found.asarray())

    def checked(page: int) -> np.ndarray:
        try:
            return numbers(page)
        except Exception as error:
            if dtype.name in _PILLOWS:
                return _by_pillow(path, page)
            what = f"a TIFF of {dtype} that cannot be decoded: {error}"
            raise MaskRCNNError(what, where=path, fix=SAVE_AS) from error

    return IdFile(_checked(shape, dtype, path), pages, checked)


def _checked(shape: tuple[int, ...], dtype: np.dtype[Any], path: Path) -> tuple[int, int]:
    """Shape [H, W] of an array of numbers that is not too large."""
    if len(shape) != 2 or not all(shape) or dtype.kind not in "buif" or dtype.itemsize > 8:
        what = f"expected a mask of object ids [H, W] of whole numbers, found shape {list(shape)} of {dtype}"
        raise MaskRCNNError(what, where=path, fix=SAVE_AS)
    check_size(*shape, path)
    if shape[0] * shape[1] * dtype.itemsize > _MAX_BYTES:
        what = f"expected at most {_MAX_BYTES:,} bytes, found {shape[1]} x {shape[0]} values of {dtype}"
        raise MaskRCNNError(what, where=path, fix=SAVE_AS)
    return shape[0], shape[1]
