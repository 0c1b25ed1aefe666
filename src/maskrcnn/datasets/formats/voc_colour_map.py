"""VOC's maps of numbers as palette or colour images.

A number's bits go to red, green and blue in turn, the lowest to each channel's highest bit. Up to 255 this is VOC's
palette; beyond it gives each 24-bit number another colour.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.id_map_file import open_id_map
from maskrcnn.images.image_reader import read_id_map, read_image
from maskrcnn.output.atomic_file import replacing

VOID = 255
OBJECTS, CLASSES = "SegmentationObject", "SegmentationClass"
_BITS = np.arange(8)
_Places = TypeVar("_Places", int, np.ndarray)


def colours(numbers: np.ndarray) -> np.ndarray:
    """uint8 [..., 3] RGB of numbers below 2^24."""
    channels = [((numbers[..., None] >> (3 * _BITS + channel)) & 1) << (7 - _BITS) for channel in range(3)]
    return np.stack([channel.sum(axis=-1) for channel in channels], axis=-1).astype(np.uint8)


def colour_numbers(rgb: np.ndarray) -> np.ndarray:
    """The numbers of colours [..., 3]."""
    bits = (rgb.astype(np.int64)[..., None] >> (7 - _BITS)) & 1
    return sum((bits[..., channel, :] << (3 * _BITS + channel)).sum(axis=-1) for channel in range(3))


def number_of(place: _Places) -> _Places:
    """The number in a map for the object or class at a position; numbers skip void."""
    return place + (place >= VOID)


def maps_folder(root: Path, kind: str) -> Path:
    """The folder of object or class maps; early labelme2voc writes arrays there and images to a folder beside."""
    images = root / f"{kind}PNG"
    return images if images.is_dir() and next((root / kind).glob("*.png"), None) is None else root / kind


def write_map(file: Path, numbers: np.ndarray) -> None:
    """A palette PNG of numbers [H, W], or one of their colours where there are more than 255."""
    if numbers.max(initial=0) <= VOID:
        image = Image.fromarray(numbers.astype(np.uint8))
        image.putpalette(colours(np.arange(256)).ravel().tolist())
    else:
        palette = colours(np.arange(int(numbers.max()) + 1))
        image = Image.fromarray(palette[numbers])
    with replacing(file) as part:
        image.save(part, format="PNG")


def read_map(file: Path, size: tuple[int, int]) -> tuple[np.ndarray, bool]:
    """int64 numbers [H, W] of a map of that size, and whether it had colours instead of numbers.

    Raises:
        MaskRCNNError: the file cannot be read, or has another size.
    """
    if (found := open_id_map(file).size) != size:
        what = f"expected a map of {size[0]} x {size[1]}, found {found[0]} x {found[1]}"
        raise MaskRCNNError(what, where=file, fix="make it the size of its image")
    return read_numbers(file)


def read_numbers(file: Path) -> tuple[np.ndarray, bool]:
    """As `read_map`, of any size."""
    try:
        return read_id_map(file).astype(np.int64), False
    except MaskRCNNError as error:
        try:
            return colour_numbers(read_image(file).pixels), True
        except MaskRCNNError:
            raise error from None
