"""Images with the channels and bits that a model's `Preprocess` states, and any channels as RGB for display."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskrcnn.config import Preprocess
from maskrcnn.errors import MaskRCNNError, errors_at
from maskrcnn.images.image_reader import ReadImage, as_rgb8, read_channels, read_image, with_channel_axis
from maskrcnn.images.npy_file import bool_as_uint8

# Percent of a channel's values that are clipped at each end when it is stretched for display.
_CLIPPED = 1.0
_BLOCK = 2**22  # values that are counted at a time
_LUMA = (0.299, 0.587, 0.114)


def read_for_model(path: str | Path, preprocess: Preprocess, shrink: int = 1) -> ReadImage:
    """An image file as uint8 or uint16 [H, W, C], with the model's channels and bits.

    Args:
        shrink: see `read_image`; only for RGB.

    Raises:
        MaskRCNNError: it cannot be read, or has other channels than the model.
    """
    if preprocess.rgb:
        return read_image(path, shrink)
    with errors_at(path):
        return as_model_input(read_channels(path), preprocess)


def as_model_input(array: np.ndarray, preprocess: Preprocess) -> ReadImage:
    """A numpy image [H, W] or [H, W, C] with the model's channels and bits; 8-bit colours become grey for one channel.


    Raises:
        MaskRCNNError: it has another number of channels or bits.
    """
    if preprocess.rgb:
        return ReadImage(*as_rgb8(array))
    array = bool_as_uint8(with_channel_axis(array))
    notes: tuple[str, ...] = ()
    colours = array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype == np.uint8 and array.size
    if preprocess.channels == 1 and colours:
        array = _brightness(array)
        notes = ("colours taken as their brightness",)
    dtype = np.dtype(np.uint16 if preprocess.depth == 16 else np.uint8)
    if array.ndim != 3 or array.shape[2] != preprocess.channels or not array.size:
        channels = preprocess.channels
        what = f"the model takes images of {channels} channels, [H, W, {channels}], found shape {list(array.shape)}"
        raise MaskRCNNError(what, fix="give images like those it was trained on")
    if array.dtype.newbyteorder("=") != dtype:
        what = f"the model takes {preprocess.depth}-bit images, found {array.dtype}"
        raise MaskRCNNError(what, fix=f"convert to {dtype}")
    return ReadImage(np.ascontiguousarray(array, dtype=dtype), notes)


def _brightness(colours: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 1] of [H, W, 3 or more]."""
    grey = np.empty((*colours.shape[:2], 1), dtype=np.uint8)
    step = max(_BLOCK // max(colours[0].size, 1), 1)
    for first in range(0, len(colours), step):
        rows = colours[first : first + step, :, :3]
        grey[first : first + step, :, 0] = np.rint(rows @ np.array(_LUMA, dtype=np.float32))
    return grey


def as_display_rgb(pixels: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Any channels [H, W, C] as uint8 RGB [H, W, 3] for display, and a note.

    8-bit RGB stays as it is. Otherwise the first three channels become red, green and blue, or the first one grey, each
    stretched between its 1st and 99th percentile.
    """
    if pixels.dtype == np.uint8 and pixels.shape[2] == 3:
        return pixels, ()
    number = 3 if pixels.shape[2] >= 3 else 1
    picture = np.empty((*pixels.shape[:2], 3), dtype=np.uint8)
    for channel in range(number):
        plane = pixels[..., channel]
        picture[..., channel : channel + 3 // number] = _percentile_table(plane)[plane][..., None]
    names = "channels 1, 2, 3 as red, green, blue" if number == 3 else "channel 1 as grey"
    return picture, (f"shown: {names}, stretched",)


def _percentile_table(plane: np.ndarray) -> np.ndarray:
    """uint8: the new value of each value of a plane."""
    levels = np.iinfo(plane.dtype).max + 1
    counts = np.zeros(levels, dtype=np.int64)
    step = max(_BLOCK // plane.shape[1], 1)
    for first in range(0, len(plane), step):
        counts += np.bincount(plane[first : first + step].ravel(), minlength=levels)
    low, high = (_percentile(counts, share) for share in (_CLIPPED, 100 - _CLIPPED))
    scaled = (np.arange(levels) - low) * (255 / max(high - low, 1))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def _percentile(counts: np.ndarray, share: float) -> float:
    """`np.percentile`, linearly interpolated, of values given by the counts of each."""
    last = np.cumsum(counts)
    place = share / 100 * (last[-1] - 1)
    below, above = np.searchsorted(last, [np.floor(place), np.ceil(place)], side="right")
    return float(below + (above - below) * (place - np.floor(place)))
