"""Id maps and masks: files of one number a pixel, read as stored. No EXIF rotation, stretching or palette is applied.

TIFFs are decoded by `tiff_file`, .npy arrays by numpy, the others by Pillow. The size is checked before anything is
allocated.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_limits import check_image_file, check_size
from maskrcnn.images.npy_file import is_npy, map_npy
from maskrcnn.images.pillow_file import GREY16, frames, open_with_pillow, raw_values
from maskrcnn.images.tiff_file import is_tiff, open_tiff

# Of files that keep numbers exact.
ID_MAP_SUFFIXES = frozenset({".bmp", ".gif", ".npy", ".pgm", ".png", ".tif", ".tiff"})
SAVE_AS = "save the ids as a 16-bit grey PNG or TIFF"

_MODES = ("1", "L", "P", "F", *GREY16)
_MAX_ID = 2**63
# Factors by which Pillow multiplies grey of 2 and 4 bits.
_SCALED = {"L;2": 85, "L;4": 17}


class IdMapFile(NamedTuple):
    """An opened file, its header read.

    Attributes:
        size: (H, W).
        pages: number of pages.
        read_page: reads a page, numbered from 0: [H, W] of any bool, integer or floating type, as stored.
    """

    size: tuple[int, int]
    pages: int
    read_page: Callable[[int], np.ndarray]


def open_id_map(path: Path) -> IdMapFile:
    """Open a file of numbers and read its header.

    Raises:
        MaskRCNNError: the file is missing, damaged, too large, or no file of numbers.
    """
    check_image_file(path)
    if is_npy(path):
        return _open_npy(path)
    if is_tiff(path):
        return _open_tiff(path)
    with open_with_pillow(path, SAVE_AS) as image:
        size, pages = (image.height, image.width), frames(image)
    return IdMapFile(size, pages, lambda page: _read_with_pillow(path, page))


def as_object_ids(values: np.ndarray, path: Path) -> np.ndarray:
    """Object ids in the machine's byte order; uint8 for bool, int32 or int64 for floating and 64-bit types.

    Raises:
        MaskRCNNError: the values are not whole numbers from 0 up.
    """
    if not values.size:
        raise MaskRCNNError("expected a mask of object ids, found no pixel", where=path, fix=SAVE_AS)
    if values.dtype == bool:
        return values.astype(np.uint8)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    low, high = values.min().item(), values.max().item()
    # Written so that NaN fails: any comparison with it is False.
    if not (low >= 0 and high < _MAX_ID):
        what = f"expected object ids from 0 up, found {high if low >= 0 else low} in values of type {values.dtype}"
        raise MaskRCNNError(what, where=path, fix="number the objects from 1")
    if values.dtype.kind != "f" and values.dtype.itemsize < 8:
        return values
    whole = values.astype(np.int32 if high < 2**31 else np.int64)
    if values.dtype.kind == "f" and (different := whole != values).any():
        found = f"{values[different][0]} in values of type {values.dtype}"
        raise MaskRCNNError(f"expected object ids that are whole numbers, found {found}", where=path, fix=SAVE_AS)
    return whole


def _read_with_pillow(path: Path, page: int) -> np.ndarray:
    with open_with_pillow(path, SAVE_AS) as image:
        image.seek(page)
        if image.mode not in _MODES:
            what = f"expected a mask of object ids with one channel of whole numbers, found mode {image.mode}"
            raise MaskRCNNError(what, where=path, fix=SAVE_AS)
        scale = _SCALED.get(image.tile[0].args, 1) if image.tile and isinstance(image.tile[0].args, str) else 1
        values = raw_values(image)
        return values if scale == 1 else values // np.uint8(scale)


def _open_npy(path: Path) -> IdMapFile:
    try:
        array = map_npy(path)
    except Exception as error:
        objects = any(word in str(error) for word in ("pickle", "Python objects"))
        what = "a .npy of Python objects, which can run code and is not loaded" if objects else f"no .npy: {error}"
        raise MaskRCNNError(what, where=path, fix=SAVE_AS) from error
    shape = tuple(side for side in array.shape if side != 1) if array.ndim == 3 else array.shape
    return IdMapFile(_checked_size(shape, array.dtype, path), 1, lambda page: np.array(array).reshape(shape))


def _open_tiff(path: Path) -> IdMapFile:
    pages = open_tiff(path)

    def read_page(number: int) -> np.ndarray:
        page = pages[number]
        if page.samples != 1:
            raise MaskRCNNError(_found_text([*page.size, page.samples], page.dtype), where=path, fix=SAVE_AS)
        return page.stored()[..., 0]

    first = pages[0]
    shape = first.size if first.samples == 1 else (*first.size, first.samples)
    return IdMapFile(_checked_size(shape, first.dtype, path), len(pages), read_page)


def _checked_size(shape: tuple[int, ...], dtype: np.dtype[Any], path: Path) -> tuple[int, int]:
    """Shape [H, W] of an array of numbers that is not too large."""
    if len(shape) != 2 or not all(shape) or dtype.kind not in "buif" or dtype.itemsize > 8:
        raise MaskRCNNError(_found_text(list(shape), dtype), where=path, fix=SAVE_AS)
    check_size(*shape, path, dtype.itemsize)
    return shape[0], shape[1]


def _found_text(shape: list[int], dtype: np.dtype[Any]) -> str:
    return f"expected a mask of object ids [H, W] of whole numbers, found shape {shape} of {dtype}"
