"""Arrays saved by numpy (.npy) as images of any number of channels.

Pixels are uint8 or uint16 [H, W, C], as stored. Type and size are checked before anything is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_limits import check_image_file, check_size

MAX_CHANNELS = 64


class NpyImage(NamedTuple):
    """An opened file: its array [H, W] or [H, W, C], of which nothing but the header is read yet."""

    array: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        height, width, *channels = self.array.shape
        return height, width, channels[0] if channels else 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or uint16 in the machine's byte order."""
        return np.dtype(np.uint16 if self.array.dtype.itemsize == 2 else np.uint8)

    def read(self) -> np.ndarray:
        """The pixels [H, W, C]."""
        return np.array(bool_as_uint8(self.array.reshape(self.shape)), dtype=self.dtype, order="C")


def bool_as_uint8(array: np.ndarray) -> np.ndarray:
    """Booleans as 0 and 255; arrays of other types as they are."""
    return array * np.uint8(255) if array.dtype == bool else array


def is_npy(path: Path) -> bool:
    """Whether this is a numpy array file, by its name."""
    return path.suffix.lower() == ".npy"


def map_npy(path: Path) -> np.ndarray:
    """The array in a file, mapped and not read. Raises `ValueError` for arrays of objects, which could run code."""
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def open_npy(path: Path) -> NpyImage:
    """The image in a file.

    Raises:
        MaskRCNNError: missing, damaged, of another type than uint8 or uint16, or too large.
    """
    check_image_file(path)
    try:
        image = NpyImage(map_npy(path))
    except Exception as error:
        raise MaskRCNNError(f"truncated or damaged file: {error}", where=path, fix="copy or export it again") from error
    shape, dtype = image.array.shape, image.array.dtype
    if dtype.kind != "b" and dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        what = f"expected values of type uint8 or uint16, found {dtype}"
        raise MaskRCNNError(what, where=path, fix="convert and save it again")
    if len(shape) not in (2, 3) or not all(shape) or image.shape[2] > MAX_CHANNELS:
        channels_first = len(shape) == 3 and shape[0] <= MAX_CHANNELS
        what = f"expected an image [H, W] or [H, W, C] of at most {MAX_CHANNELS} channels, found shape {list(shape)}"
        fix = "channels come last: save image.transpose(1, 2, 0)" if channels_first else "save one image a file"
        raise MaskRCNNError(what, where=path, fix=fix)
    height, width, channels = image.shape
    check_size(height, width, path, channels * image.dtype.itemsize)
    return image


def check_channels(number: int, path: Path, noun: str = "channels") -> None:
    """Raises `MaskRCNNError` for more than MAX_CHANNELS."""
    if number > MAX_CHANNELS:
        what = f"expected at most {MAX_CHANNELS} {noun}, found {number}"
        raise MaskRCNNError(what, where=path, fix="save fewer, or one image a file")
