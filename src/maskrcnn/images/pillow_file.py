"""Image files opened by Pillow: any failure is one clear error. Values are as stored; `image_reader` converts them."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.embedded_image import embedded_image, is_embedded
from maskrcnn.images.image_formats import CONVERT, HAS_HEIF, HEIF_FIX, PILLOW_FORMATS, is_heif
from maskrcnn.images.image_limits import as_image_error, check_image_file, check_size

_LARGE = 2**24  # pixels, from which copies are made piece by piece
ON_WHITE = "transparent pixels composited on white"

_MAX_DEFLATE_RATIO = 1032
_PNG_BITS = {"LA": 16, "RGB": 24, "RGBA": 32, "I;16": 16}

GREY16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")
TURNED = (5, 6, 7, 8)
_EXIF_ORIENTATION = 0x0112
_limit_lock = threading.Lock()


@contextmanager
def open_with_pillow(path: Path, fix: str = "") -> Iterator[ImageFile.ImageFile]:
    """The image with its header read; errors of Pillow, in the body of the ``with`` too, become a `MaskRCNNError`.

    Args:
        fix: the advice for a file of no known format, instead of converting it.
    """
    check_image_file(path)
    with as_image_error("damaged image header", path):
        try:
            image = _header(path)
        except UnidentifiedImageError as error:
            start = _start(path)
            what, advice = f"not an image: no known format begins with {start!r}", CONVERT
            if is_heif(start):
                what, advice = "a HEIC image, which needs pillow-heif", HEIF_FIX
            raise MaskRCNNError(what, where=path, fix=fix or advice) from error
    with image, as_image_error("truncated or damaged image", path):
        check_size(image.height, image.width, path)
        _check_plausible(image, path)
        yield image


def _check_plausible(image: ImageFile.ImageFile, path: Path) -> None:
    """Raises `ValueError` for a PNG that is too small to hold what its header claims."""
    if image.format != "PNG" or is_embedded(path):
        return
    # Each row has a filter byte. In modes that are not listed a pixel has at least one bit.
    row = 1 + -(-image.width * _PNG_BITS.get(image.mode, 1) // 8)
    size = path.stat().st_size
    if image.height * row > _MAX_DEFLATE_RATIO * size:
        raise ValueError(f"{size:,} bytes cannot hold the {image.width} x {image.height} pixels that its header claims")


def read_pixels(image: ImageFile.ImageFile, path: Path, shrink: int = 1) -> np.ndarray:
    """Pixels as stored: [H, W] grey of any depth, or uint8 or uint16 [H, W, 3 or 4], EXIF orientation not applied.

    Args:
        shrink: 1, 2, 4 or 8. A JPEG that needs no rotation may be decoded so many times smaller, [ceil(H / shrink),
            ceil(W / shrink)], in a fraction of the time.
    """
    if image.format == "JPEG" and image.mode in ("L", "RGB"):
        if shrink > 1 and orientation(image) == 1:
            # Pillow takes the largest factor at which the image stays at least this large.
            image.draft(image.mode, (max(image.width // shrink, 1), max(image.height // shrink, 1)))
        else:
            pixels = _jpeg(path)
            if pixels is not None:
                return pixels
    swapped = _swapped_tiles(image)
    array = pixel_values(image)
    if swapped:
        with _header(path) as again:
            again.tile = swapped
            array = array.astype(np.uint16) << 8 | pixel_values(again)
    return array


def raw_values(image: Image.Image) -> np.ndarray:
    """The decoded values as stored; of a palette image its indices."""
    # Pillow checks a TIFF's size again while decoding.
    with no_pillow_limit() if image.format == "TIFF" else nullcontext():
        image.load()
    if image.width * image.height <= _LARGE:
        return np.array(image)
    # Image.tobytes, which np.array uses, would take twice the memory.
    first = np.asarray(image.crop((0, 0, image.width, 1)))
    values = np.empty((image.height, *first.shape[1:]), dtype=first.dtype)
    step = max(_LARGE // image.width // 16, 1)
    for top in range(0, image.height, step):
        bottom = min(top + step, image.height)
        values[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return values


def frames(image: ImageFile.ImageFile) -> int:
    """Number of frames or pages; an MPO counts as one photo, the others are previews."""
    return getattr(image, "n_frames", 1) if image.format != "MPO" else 1


def orientation(image: ImageFile.ImageFile) -> int:
    """EXIF's orientation 1..8; 1 where Pillow applies it itself."""
    # Pillow turns a TIFF itself, and decodes a whole PNG to look for a late EXIF chunk: there only an early one counts.
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return 1
    value = image.getexif().get(_EXIF_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def apply_orientation(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels with one of EXIF's eight orientations applied, as a view."""
    if orientation in TURNED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


@contextmanager
def no_pillow_limit() -> Iterator[None]:
    # Pillow's own limit lies below ours, and is one global number.
    with _limit_lock:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _header(path: Path) -> ImageFile.ImageFile:
    formats = PILLOW_FORMATS
    if HAS_HEIF and is_heif(_start(path)):
        import pillow_heif

        pillow_heif.register_heif_opener()
        formats = ("HEIF",)
    with no_pillow_limit():
        return Image.open(io.BytesIO(embedded_image(path)) if is_embedded(path) else path, formats=formats)


def _start(path: Path) -> bytes:
    if is_embedded(path):
        return embedded_image(path)[:12]
    with path.open("rb") as file:
        return file.read(12)


def _jpeg(path: Path) -> np.ndarray | None:
    """uint8 [H, W] or [H, W, 3] decoded by torchvision: the values of Pillow in half the time. None if it cannot.

    Used only where a model has loaded its operators already.
    """
    torch = sys.modules.get("torch")
    decoder: Any = getattr(getattr(torch, "ops", None), "image", None)
    if is_embedded(path) or not hasattr(decoder, "decode_jpeg"):
        return None
    try:
        pixels = decoder.decode_jpeg(decoder.read_file(str(path)), 0)
    except RuntimeError:
        return None
    return pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy() if len(pixels) == 3 else None


def pixel_values(image: Image.Image) -> np.ndarray:
    """The decoded pixels: grey of any depth, RGB or RGBA; palettes and other colour spaces become RGB."""
    values = raw_values(image)
    if image.mode in GREY16:
        fits = values.dtype.kind == "i" and values.min() >= 0 and values.max() <= 65535
        return values.astype(np.uint16) if fits else values
    if image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return np.array(image.convert("RGBA"))
    if image.mode in ("1", "L", "RGB", "RGBA", "F"):
        return values
    return np.array(image.convert("RGB"))


def _swapped_tiles(image: ImageFile.ImageFile) -> list[Any]:
    """Tiles that decode the lower bytes of 16-bit colours; empty if the file has 8 bits.

    Pillow keeps only the upper bytes: decoding again with the byte order swapped yields the lower ones.
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
