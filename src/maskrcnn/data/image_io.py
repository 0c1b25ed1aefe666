"""Image files and arrays to 8-bit RGB pixels, EXIF orientation applied once, every loss told in a note.

Pixels are uint8 [H, W, 3], RGB. Needs numpy and Pillow only.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from maskrcnn.errors import MaskRCNNError

MAX_PIXELS = 200_000_000
IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})

_GREY16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_EXIF_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)
_limit_lock = threading.Lock()


class ReadImage(NamedTuple):
    """pixels uint8 [H, W, 3] RGB; notes say what was changed beyond a plain conversion, one line each."""

    pixels: np.ndarray
    notes: tuple[str, ...]


def read_image(path: str | Path) -> ReadImage:
    """Read one image file as it is meant to be seen.

    Grey is replicated, transparency composited on white, 16 bits stretched from their range to 0..255; of several
    frames or pages the first is read.

    Raises:
        MaskRCNNError: the file is missing, a folder, empty, no image, damaged, or has more than MAX_PIXELS pixels.
    """
    path = Path(path)
    notes: list[str] = []
    with _opened(path) as image:
        frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
        if frames > 1:
            notes.append(f"{frames} frames or pages, only the first is read (extract the others into files)")
        orientation, swapped = _orientation(image), _swapped_tiles(image)
        array = _decoded(image)
        if swapped:
            with _header(path) as again:
                again.tile = swapped
                array = array.astype(np.uint16) << 8 | _decoded(again)
    try:
        pixels, more = as_rgb8(array)
    except MaskRCNNError as error:
        raise MaskRCNNError(error.what, where=path, fix=error.fix) from error
    return ReadImage(np.ascontiguousarray(_oriented(pixels, orientation)), (*notes, *more))


def as_rgb8(array: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """A numpy image as uint8 [H, W, 3] RGB, and notes.

    Args:
        array: uint8, uint16 or bool; [H, W] or [H, W, C] with C 1 (grey), 3 (RGB) or 4 (RGB and alpha).
    """
    array = np.asarray(array)
    if array.dtype.kind == "f":
        raise MaskRCNNError(
            f"expected pixels of type uint8 or uint16, found {array.dtype}",
            fix="scale to 0..255 and convert, for instance (image * 255).astype('uint8')",
        )
    if array.dtype.kind != "b" and array.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise MaskRCNNError(
            f"expected pixels of type uint8, uint16 or bool, found {array.dtype}", fix="convert with .astype('uint8')"
        )
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        turn = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        raise MaskRCNNError(
            f"expected an image [H, W] or [H, W, C] with 1, 3 or 4 channels, found shape {list(array.shape)}",
            fix="use image.transpose(1, 2, 0)" if turn else "pass one image with its channels last",
        )
    notes: list[str] = []
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
    if array.shape[2] == 4:
        array, note = _on_white(array)
        notes += note
    if array.dtype != np.uint8:
        low, high = int(array.min()), int(array.max())
        scaled = (array.astype(np.float32) - low) * np.float32(255 / max(high - low, 1))
        array = np.rint(scaled).astype(np.uint8)
        notes.append(f"16-bit values {low}..{high} stretched to 0..255")
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    return np.ascontiguousarray(array), tuple(notes)


def image_size(path: str | Path) -> tuple[int, int]:
    """(H, W) after EXIF orientation, from the header only. Raises MaskRCNNError as `read_image` does."""
    with _opened(Path(path)) as image:
        width, height = image.size
        return (width, height) if _orientation(image) in _TURNED else (height, width)


def read_ids(path: str | Path) -> np.ndarray:
    """An id map, whole numbers [H, W], as stored: palette indices and 16-bit values are kept, nothing is turned.

    Raises:
        MaskRCNNError: as `read_image`, or the file has colours or fractions instead of ids.
    """
    path = Path(path)
    with _opened(path) as image:
        if image.mode not in ("1", "L", "P", *_GREY16):
            raise MaskRCNNError(
                f"expected a mask of object ids with one channel of whole numbers, found mode {image.mode}",
                where=path,
                fix="save the ids as an 8- or 16-bit grey PNG",
            )
        ids = _loaded(image)
    if ids.dtype.kind == "i" and ids.min() < 0:
        raise MaskRCNNError(
            f"expected object ids from 0 up, found {ids.min()}", where=path, fix="number the objects from 1"
        )
    return ids.astype(np.uint8) if ids.dtype == bool else ids.astype(ids.dtype.newbyteorder("="), copy=False)


def find_images(folder: str | Path, recursive: bool = False) -> list[Path]:
    """The image files of a folder by suffix (any case), sorted; hidden files are left out."""
    folder = Path(folder)
    if not folder.is_dir():
        raise MaskRCNNError("expected a folder", where=folder, fix="check the path")
    found = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(p for p in found if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".") and p.is_file())


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    """The image with its header read; whatever Pillow says then and in the body is told as one clear error."""
    if path.is_dir():
        raise MaskRCNNError("expected an image file, found a folder", where=path, fix="name a file in it")
    if not path.exists():
        raise MaskRCNNError("no such image file", where=path, fix="check the path")
    if path.stat().st_size == 0:
        raise MaskRCNNError("the image file is empty (0 bytes)", where=path, fix="copy or download it again")
    try:
        image = _header(path)
    except UnidentifiedImageError as error:
        with path.open("rb") as file:
            start = file.read(12)
        raise MaskRCNNError(
            f"not an image: no known format begins with {start!r}", where=path, fix="convert it to PNG or JPEG"
        ) from error
    except Exception as error:
        raise MaskRCNNError(f"damaged image header: {error}", where=path, fix="copy or download it again") from error
    with image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise MaskRCNNError(
                f"expected at most {MAX_PIXELS:,} pixels, found {width} x {height} = {width * height:,}",
                where=path,
                fix="cut the image into tiles or scale it down",
            )
        try:
            yield image
        except MaskRCNNError:
            raise
        except Exception as error:
            raise MaskRCNNError(
                f"truncated or damaged image: {error}", where=path, fix="copy or download it again"
            ) from error


@contextmanager
def _no_pillow_limit() -> Iterator[None]:
    # Pillow's own limit lies below ours, and is one global number.
    with _limit_lock:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _header(path: Path) -> ImageFile.ImageFile:
    with _no_pillow_limit():
        return Image.open(path)


def _loaded(image: ImageFile.ImageFile) -> np.ndarray:
    """The stored values, once decoded."""
    # Pillow checks a TIFF's size again while decoding.
    with _no_pillow_limit() if image.format == "TIFF" else nullcontext():
        image.load()
    return np.array(image)


def _decoded(image: ImageFile.ImageFile) -> np.ndarray:
    """Pixels as the file has them: [H, W] grey of any depth, or uint8 [H, W, 3 or 4]."""
    values = _loaded(image)
    if image.mode in _GREY16:
        fits = values.dtype.kind == "i" and values.min() >= 0 and values.max() <= 65535
        return values.astype(np.uint16) if fits else values
    if image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return np.array(image.convert("RGBA"))
    if image.mode in ("1", "L", "RGB", "RGBA", "F"):
        return values
    return np.array(image.convert("RGB"))


def _swapped_tiles(image: ImageFile.ImageFile) -> list[Any]:
    """How to decode the lower bytes of 16-bit colours; empty if the file has 8 bits.

    Pillow keeps only the upper bytes: decoding once more with the byte order swapped yields the lower ones.
    """
    swapped = []
    for codec, extents, offset, args in image.tile:
        raw_mode = args[0] if isinstance(args, tuple) and args else args
        if raw_mode not in [f"{image.mode};16{order}" for order in "BLN"]:
            return []
        little = raw_mode.endswith("L") or (raw_mode.endswith("N") and sys.byteorder == "little")
        other = f"{image.mode};16{'B' if little else 'L'}"
        swapped.append((codec, extents, offset, (other, *args[1:]) if isinstance(args, tuple) else other))
    return [ImageFile._Tile(*tile) for tile in swapped]


def _on_white(array: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Colours [H, W, 3] of the same dtype, composited on white where alpha is not full."""
    colours, alpha = array[..., :3], array[..., 3:]
    full = np.iinfo(array.dtype).max
    if (alpha == full).all():
        return colours, []
    weight = alpha.astype(np.float32) / full
    mixed = np.rint(colours * weight + full * (1 - weight)).astype(array.dtype)
    return mixed, ["transparent pixels composited on white"]


def _orientation(image: ImageFile.ImageFile) -> int:
    """EXIF's 1..8, as far as Pillow has not applied it yet."""
    # Pillow turns a TIFF itself, and decodes a whole PNG to look for a late EXIF chunk: there only an early one counts.
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return 1
    value = image.getexif().get(_EXIF_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _oriented(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """EXIF's eight orientations as mirror images and a swap of the axes."""
    if orientation in _TURNED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
