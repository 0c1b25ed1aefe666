"""Image files and arrays to pixels, EXIF orientation applied once, every loss stated in a note.

Pixels are uint8 [H, W, 3], RGB; `read_channels` gives the stored values, uint8 or uint16 [H, W, C].
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from maskrcnn.errors import MaskRCNNError, errors_at
from maskrcnn.images.id_map_file import as_object_ids, open_id_map
from maskrcnn.images.image_formats import IMAGE_SUFFIXES
from maskrcnn.images.image_limits import check_size
from maskrcnn.images.npy_file import MAX_CHANNELS, bool_as_uint8, check_channels, is_npy, open_npy, read_npy
from maskrcnn.images.pillow_file import (
    ON_WHITE,
    TURNED,
    apply_orientation,
    frames,
    open_with_pillow,
    orientation,
    read_pixels,
)
from maskrcnn.images.tiff_file import TiffPage, is_tiff, open_tiff
from maskrcnn.text import plural

_BLOCK = 2**22  # values that are worked on as floats at a time


class ReadImage(NamedTuple):
    """Pixels [H, W, C], uint8 RGB unless stated otherwise; a note for each change beyond a plain conversion."""

    pixels: np.ndarray
    notes: tuple[str, ...]


def read_image(path: str | Path, shrink: int = 1) -> ReadImage:
    """Read one image file as 8-bit RGB.

    Grey is replicated, transparency composited on white, 16-bit values stretched from their range to 0..255; the
    first of several frames or pages is read.

    Args:
        shrink: 1, 2, 4 or 8: a JPEG may be decoded so many times smaller, [ceil(H / shrink), ceil(W / shrink)].

    Raises:
        MaskRCNNError: the file is missing, a folder, empty, no image, damaged, or has more than MAX_PIXELS pixels.
    """
    path = Path(path)
    notes: tuple[str, ...] = ()
    turn = number = 1
    if is_npy(path):
        array = read_npy(path)
    elif is_tiff(path):
        pages = open_tiff(path)
        number = len(pages)
        array, notes = pages[0].picture()
    else:
        with open_with_pillow(path) as image:
            number, turn = frames(image), orientation(image)
            array = read_pixels(image, path, shrink)
    if number > 1:
        notes = (f"{number} frames or pages, only the first is read (extract the others into files)", *notes)
    with errors_at(path):
        pixels, more = as_rgb8(array)
    return ReadImage(np.ascontiguousarray(apply_orientation(pixels, turn)), (*notes, *more))


def read_channels(path: str | Path) -> np.ndarray:
    """The channels of an image file as stored: uint8 or uint16 [H, W, C], EXIF orientation applied.

    Reads .npy arrays [H, W] or [H, W, C]; TIFF files of several samples a pixel, interleaved or planar, of 8 or 16
    bits, or of several grey pages of one size, each page a channel; and all that `read_image` reads, with 1 channel for
    grey, 3 for colours and palettes, 4 for RGB with transparency. Nothing is stretched or composited.

    Raises:
        MaskRCNNError: as `read_image`; or the values are no whole numbers of 8 or 16 bits, or there are more than 64
            channels.
    """
    path = Path(path)
    if is_npy(path):
        return read_npy(path)
    if is_tiff(path):
        return _tiff_channels(path)
    with open_with_pillow(path) as image:
        turn = orientation(image)
        array = read_pixels(image, path)
    if array.dtype not in (bool, np.uint8, np.uint16):
        what = f"expected pixels of type uint8 or uint16, found {array.dtype}"
        raise MaskRCNNError(what, where=path, fix="convert them")
    return np.ascontiguousarray(apply_orientation(bool_as_uint8(array).reshape(*array.shape[:2], -1), turn))


def _tiff_channels(path: Path) -> np.ndarray:
    """The channels of a TIFF's first page, or of all its pages if they are grey, each a channel."""
    pages = open_tiff(path)
    first = pages[0]
    pages = pages if first.grey and first.samples == 1 else pages[:1]
    check_channels(len(pages), path, "pages, one a channel")
    check_channels(first.samples, path)
    for number, page in enumerate(pages, start=1):
        if (page.size, page.samples, page.dtype) != (first.size, first.samples, first.dtype):
            what = f"pages of different sizes or kinds: page 1 is {_described(first)}, page {number} {_described(page)}"
            raise MaskRCNNError(what, where=path, fix="save one image a file")
    if len(pages) == 1:
        return first.channels()
    check_size(*first.size, path, len(pages) * first.dtype.itemsize)
    return np.concatenate([page.channels() for page in pages], axis=2)


def _described(page: TiffPage) -> str:
    return f"{page.size[1]} x {page.size[0]} with {plural(page.samples, 'sample')} of type {page.dtype}"


def is_multichannel(path: str | Path) -> bool:
    """Whether a file holds channels of unknown meaning, beyond grey, RGB and transparency: a .npy, or a TIFF of more
    samples."""
    path = Path(path)
    if not is_tiff(path):
        return is_npy(path)
    try:
        return not open_tiff(path)[0].is_picture
    except MaskRCNNError:
        return False


def as_rgb8(array: np.ndarray, limits: tuple[int, int] | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """A numpy image as uint8 [H, W, 3] RGB, and notes.

    Args:
        array: uint8, uint16 or bool; [H, W] or [H, W, C] with C 1 (grey), 3 (RGB) or 4 (RGB and alpha).
        limits: the 16-bit values that become 0 and 255; the array's own smallest and largest unless given.
    """
    array = with_channel_axis(array)
    if array.dtype.kind != "b" and array.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        what = f"expected pixels of type uint8, uint16 or bool, found {array.dtype}"
        scaled = "scale to 0..255 and convert, for instance (image * 255).astype('uint8')"
        raise MaskRCNNError(what, fix=scaled if array.dtype.kind == "f" else "convert with .astype('uint8')")
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        turn = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        fix = "use image.transpose(1, 2, 0)" if turn else "pass one image with its channels last"
        if array.ndim == 3 and array.size and 4 < array.shape[2] <= MAX_CHANNELS and not turn:
            fix = f"choose three of its channels, or train a model on {array.shape[2]}"
        what = f"expected an image [H, W] or [H, W, C] with 1, 3 or 4 channels, found shape {list(array.shape)}"
        raise MaskRCNNError(what, fix=fix)
    array = bool_as_uint8(array)
    notes: list[str] = []
    if array.shape[2] == 4:
        array, note = _composite_on_white(array)
        notes += note
    if array.dtype != np.uint8:
        low, high = limits or (int(array.min()), int(array.max()))
        array = _stretch_table(low, high)[array]
        notes.append(f"16-bit values {low}..{high} stretched to 0..255")
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    return np.ascontiguousarray(array), tuple(notes)


def with_channel_axis(array: np.ndarray) -> np.ndarray:
    """[H, W] as [H, W, 1], other shapes as they are. Raises `MaskRCNNError` for an image that is too large."""
    array = np.asarray(array)
    if array.ndim >= 2:
        check_size(array.shape[0], array.shape[1], None, array[:1, :1].nbytes)
    return array[..., None] if array.ndim == 2 else array


def image_size(path: str | Path) -> tuple[int, int]:
    """(H, W) after EXIF orientation, from the header only. Raises MaskRCNNError as `read_image` does."""
    path = Path(path)
    if is_npy(path):
        height, width, _ = open_npy(path).shape
        return height, width
    if is_tiff(path):
        return open_tiff(path)[0].size
    with open_with_pillow(path) as image:
        width, height = image.size
        return (width, height) if orientation(image) in TURNED else (height, width)


class Header(NamedTuple):
    """What the header of an image file states.

    Attributes:
        size: (H, W) as stored, before EXIF orientation.
        mode: Pillow's name for the kind of pixels, such as RGB, L or I;16; uint8 or uint16 where Pillow has none.
        channels: number of them.
        orientation: EXIF's 1..8, 1 where nothing is to be turned.
        frames: number of frames or pages.
    """

    size: tuple[int, int]
    mode: str
    channels: int
    orientation: int
    frames: int


def read_header(path: str | Path) -> Header:
    """The header of an image file, nothing decoded. Raises MaskRCNNError as `read_image` does."""
    path = Path(path)
    if is_npy(path):
        array = open_npy(path)
        height, width, channels = array.shape
        return Header((height, width), "uint16" if array.itemsize == 2 else "uint8", channels, 1, 1)
    if is_tiff(path):
        # Its orientation is part of what is stored, as it is for Pillow.
        first, *others = open_tiff(path)
        return Header(first.size, str(first.dtype), first.samples, 1, 1 + len(others))
    with open_with_pillow(path) as image:
        size = image.height, image.width
        return Header(size, image.mode, len(image.getbands()), orientation(image), frames(image))


def read_id_map(path: str | Path, page: int = 0) -> np.ndarray:
    """An id map, whole numbers [H, W], as stored: palette indices are kept, nothing is turned.

    Any type that holds whole numbers is read: those of 64 bits and floating ones become int32, or int64 where they
    do not fit.

    Args:
        page: which of several pages, from 0 on.

    Raises:
        MaskRCNNError: as `read_image`, or the file has colours, fractions or numbers below 0 instead of ids.
    """
    path = Path(path)
    return as_object_ids(open_id_map(path).read_page(page), path)


def find_images(folder: str | Path, recursive: bool = False) -> list[Path]:
    """The image files of a folder by suffix (any case), sorted; hidden files are left out."""
    folder = Path(folder)
    if not folder.is_dir():
        raise MaskRCNNError("expected a folder", where=folder, fix="check the path")
    found = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(p for p in found if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".") and p.is_file())


def _stretch_table(low: int, high: int) -> np.ndarray:
    """uint8 [65536]: the new value of each 16-bit value; a table takes a fraction of the memory that floats would."""
    values = np.arange(2**16, dtype=np.float32) - low
    return np.rint(np.clip(values * np.float32(255 / max(high - low, 1)), 0, 255)).astype(np.uint8)


def _composite_on_white(array: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Colours [H, W, 3] of the same dtype, composited on white where alpha is not full."""
    colours, alpha = array[..., :3], array[..., 3:]
    full = np.iinfo(array.dtype).max
    if (alpha == full).all():
        return colours, []
    mixed = np.empty(colours.shape, dtype=array.dtype)
    step = max(_BLOCK // max(array[0].size, 1), 1)
    for first in range(0, len(array), step):
        rows = slice(first, first + step)
        weight = alpha[rows].astype(np.float32) / full
        mixed[rows] = np.rint(colours[rows] * weight + full * (1 - weight))
    return mixed, [ON_WHITE]
