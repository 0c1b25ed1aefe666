"""Arrays saved by numpy as images of any number of channels: .npy files.

Pixels are uint8 or uint16 [H, W, C], as stored. The size is known and checked before anything is allocated.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_limits import check_image_file, check_size

MAX_CHANNELS = 64


class NpyImage(NamedTuple):
    """An opened file: its size, and what reads it.

    Attributes:
        shape: (H, W, C).
        dtype: uint8 or uint16 in the machine's byte order.
        read: gives the pixels [H, W, C].
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    read: Callable[[], np.ndarray]


def is_npy(path: Path) -> bool:
    """Whether this is a file of numpy's, by its name."""
    return path.suffix.lower() == ".npy"


def open_npy(path: Path) -> NpyImage:
    """The array in a file, nothing but its header read.

    Raises:
        MaskRCNNError: missing, damaged, of another type than uint8 or uint16, or too large.
    """
    check_image_file(path)
    try:
        # Mapped, not read; object arrays, which could run code, are refused.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        axes = (0, 1, 2 if array.ndim == 3 else None) if array.ndim in (2, 3) else None
        stack = _stack(array.shape, array.dtype, axes, lambda: np.asarray(array))
    except MaskRCNNError as error:
        raise MaskRCNNError(error.what, where=path, fix=error.fix) from error
    except Exception as error:
        raise MaskRCNNError(f"truncated or damaged file: {error}", where=path, fix="copy or export it again") from error
    height, width, channels = stack.shape
    check_size(height, width, path, channels * stack.dtype.itemsize)
    return stack


def check_channels(number: int, path: Path, what: str = "channels") -> None:
    """Raises `MaskRCNNError` for more than MAX_CHANNELS; ``what`` they are, in its words."""
    if number > MAX_CHANNELS:
        raise MaskRCNNError(
            f"expected at most {MAX_CHANNELS} {what}, found {number}", where=path, fix="save fewer, or one image a file"
        )


def _stack(
    shape: tuple[int, ...], dtype: np.dtype[Any], axes: tuple[int | None, ...] | None, read: Callable[[], np.ndarray]
) -> NpyImage:
    """A stack whose rows, columns and channels are these axes of an array; None for a missing one."""
    if dtype.kind != "b" and dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise MaskRCNNError(f"expected values of type uint8 or uint16, found {dtype}", fix="convert and save it again")
    sizes = [1 if axis is None else shape[axis] for axis in axes or ()]
    if axes is None or not all(sizes) or sizes[2] > MAX_CHANNELS:
        turn = len(shape) == 3 and shape[0] <= MAX_CHANNELS
        raise MaskRCNNError(
            f"expected an image [H, W] or [H, W, C] of at most {MAX_CHANNELS} channels, found shape {list(shape)}",
            fix="channels come last: save image.transpose(1, 2, 0)" if turn else "save one image a file",
        )
    height, width, channels = sizes
    deep = dtype.itemsize == 2

    def pixels() -> np.ndarray:
        array = read()
        kept = [axis for axis in axes if axis is not None]
        array = array.transpose(*kept, *(axis for axis in range(array.ndim) if axis not in kept))
        array = array.reshape(height, width, channels)
        if array.dtype == bool:
            array = array * np.uint8(255)
        return np.array(array, dtype=np.uint16 if deep else np.uint8, order="C")

    return NpyImage((height, width, channels), np.dtype(np.uint16 if deep else np.uint8), pixels)
