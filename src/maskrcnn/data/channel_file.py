"""Files of any number of channels, and what Pillow cannot open: .npy arrays and TIFF stacks.

Pixels are uint8 or uint16 [H, W, C], as stored. The size is known and checked before anything is allocated.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskrcnn.data.image_file import check_present, check_size
from maskrcnn.errors import MaskRCNNError

MAX_CHANNELS = 64


class Stack(NamedTuple):
    """An opened file: its size, and what reads it.

    Attributes:
        shape: (H, W, C).
        dtype: uint8 or uint16 in the machine's byte order.
        read: gives the pixels [H, W, C].
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    read: Callable[[], np.ndarray]


def is_stack(path: Path) -> bool:
    """Whether this is a .npy file, or a TIFF that Pillow does not read whole, such as one of twelve channels."""
    suffix = path.suffix.lower()
    if suffix not in (".tif", ".tiff") or not path.is_file():
        return suffix == ".npy"
    try:
        import tifffile
    except ImportError as error:
        what = "a TIFF needs tifffile, which is not installed"
        raise MaskRCNNError(what, where=path, fix="pip install tifffile, or convert it to PNG") from error
    try:
        with tifffile.TiffFile(path) as file:
            page: Any = file.pages.first
            samples, deep = page.samplesperpixel, page.bitspersample > 8
            grey, planes = page.photometric in (0, 1), page.planarconfig == 2
    except Exception:  # what is wrong with the file, the reader of images says
        return False
    # Of several grey samples Pillow gives the first alone; of 16-bit planes nothing.
    return samples > 4 or (samples > 1 and (grey or (planes and deep)))


def open_stack(path: Path) -> Stack:
    """The stack in a file, nothing but its header read.

    Raises:
        MaskRCNNError: missing, damaged, of another type than uint8 or uint16, or too large.
    """
    check_present(path)
    try:
        stack = _open_npy(path) if path.suffix.lower() == ".npy" else _open_tiff(path)
    except MaskRCNNError as error:
        raise MaskRCNNError(error.what, where=path, fix=error.fix) from error
    except Exception as error:
        raise MaskRCNNError(f"truncated or damaged file: {error}", where=path, fix="copy or export it again") from error
    check_size(*stack.shape[:2], path)
    return stack


def _open_npy(path: Path) -> Stack:
    # Mapped, not read; object arrays, which could run code, are refused.
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    axes = (0, 1, 2 if array.ndim == 3 else None) if array.ndim in (2, 3) else None
    return _stack(array.shape, array.dtype, axes, lambda: np.asarray(array))


def _open_tiff(path: Path) -> Stack:
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        shape, names, dtype = series.shape, series.axes, series.dtype
    rows, columns = names.find("Y"), names.find("X")
    others = [axis for axis in range(len(shape)) if axis not in (rows, columns) and shape[axis] > 1]
    channels = others[0] if others else None
    axes = (rows, columns, channels) if min(rows, columns) >= 0 and len(others) < 2 else None

    def read() -> np.ndarray:
        try:
            return tifffile.imread(path, series=0)
        except Exception as error:
            fix = "write it without compression, or as .npy"
            raise MaskRCNNError(f"a TIFF that cannot be decoded: {error}", where=path, fix=fix) from error

    return _stack(shape, dtype, axes, read)


def _stack(
    shape: tuple[int, ...], dtype: np.dtype[Any], axes: tuple[int | None, ...] | None, read: Callable[[], np.ndarray]
) -> Stack:
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

    return Stack((height, width, channels), np.dtype(np.uint16 if deep else np.uint8), pixels)
