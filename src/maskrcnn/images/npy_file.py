"""Arrays saved by numpy (.npy) as images of any number of channels.

Pixels are uint8 or uint16 [H, W, C], as stored. Type and size are checked before anything is read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_limits import as_image_error, check_image_file, check_size

MAX_CHANNELS = 64


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


def read_npy(path: Path) -> np.ndarray:
    """The image in a file: uint8 or uint16 [H, W, C], booleans as 0 and 255. Raises `MaskRCNNError` as `open_npy`."""
    array = bool_as_uint8(open_npy(path))
    return np.array(array, dtype=array.dtype.newbyteorder("="), order="C")


def open_npy(path: Path) -> np.ndarray:
    """The image in a file, mapped and not read: uint8, uint16 or bool [H, W, C], in the byte order of the file.

    Raises:
        MaskRCNNError: missing, damaged, of another type than uint8 or uint16, or too large.
    """
    check_image_file(path)
    with as_image_error("truncated or damaged file", path):
        array = map_npy(path)
    shape, dtype = array.shape, array.dtype
    if dtype.kind != "b" and dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        what = f"expected values of type uint8 or uint16, found {dtype}"
        raise MaskRCNNError(what, where=path, fix="convert and save it again")
    array = array[..., None] if len(shape) == 2 else array
    if array.ndim != 3 or not array.size or array.shape[2] > MAX_CHANNELS:
        channels_first = len(shape) == 3 and shape[0] <= MAX_CHANNELS
        what = f"expected an image [H, W] or [H, W, C] of at most {MAX_CHANNELS} channels, found shape {list(shape)}"
        fix = "channels come last: save image.transpose(1, 2, 0)" if channels_first else "save one image a file"
        raise MaskRCNNError(what, where=path, fix=fix)
    check_size(shape[0], shape[1], path, array.shape[2] * dtype.itemsize)
    return array


def check_channels(number: int, path: Path, noun: str = "channels") -> None:
    """Raises `MaskRCNNError` for more than MAX_CHANNELS."""
    if number > MAX_CHANNELS:
        what = f"expected at most {MAX_CHANNELS} {noun}, found {number}"
        raise MaskRCNNError(what, where=path, fix="save fewer, or one image a file")
