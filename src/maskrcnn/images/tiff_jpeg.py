"""The JPEG segments of a TIFF page, as slide scanners and web maps write them: each a JPEG whose tables stand apart."""

from __future__ import annotations

import io
from typing import IO, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_limits import check_bytes
from maskrcnn.images.pillow_file import no_pillow_limit
from maskrcnn.images.tiff_codec import Segments

JPEG = 7
GREY, RGB, YCBCR = 1, 2, 6  # photometric interpretations
_CONTIGUOUS = 1  # planar configuration
_START, _END = b"\xff\xd8", b"\xff\xd9"
# Adobe's marker: the three components are red, green and blue. Without it decoders take them for YCbCr.
_IS_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"


def is_jpeg(page: Any) -> bool:
    """Whether a page of tifffile has JPEG segments of a kind that `read_jpeg_window` reads."""
    samples = {GREY: 1, RGB: 3, YCBCR: 3}.get(int(page.photometric))
    whole = page.samplesperpixel == 1 or int(page.planarconfig) == _CONTIGUOUS  # else each sample is a JPEG of its own
    return whole and int(page.compression) == JPEG and page.samplesperpixel == samples and page.bitspersample == 8


def read_jpeg_window(file: IO[bytes], page: Any, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    """The pixels of a window, uint8 [h, w, 1 or 3]; only segments that hold some are read.

    Args:
        file: the file, opened.
        page: of tifffile, of which `is_jpeg` holds.
        rows, columns: first and behind the last, within the page.

    Raises:
        MaskRCNNError: a segment is damaged, or of another size than the page states.
    """
    grid, numbers, (top, left) = Segments.of(page).part(rows, columns)
    check_bytes(grid.height * grid.across * grid.row_bytes)
    pixels = np.zeros((grid.height, grid.across * grid.columns, page.samplesperpixel), dtype=np.uint8)
    pixels[...] = page.nodata
    for place, number in enumerate(numbers):
        offset, length = page.dataoffsets[number], page.databytecounts[number]
        if offset and length:
            y, x = divmod(place, grid.across)
            target = pixels[y * grid.rows : (y + 1) * grid.rows, x * grid.columns : (x + 1) * grid.columns]
            file.seek(offset)
            target[...] = _decoded(file.read(length), page, target.shape)
    return pixels[rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left]


def _decoded(data: bytes, page: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The pixels of one segment, of the shape that the page states."""
    fix = "copy or download it again"
    if not data.startswith(_START):
        raise MaskRCNNError("a damaged tile: expected a JPEG", fix=fix)
    tables = bytes(page.jpegtables or b"").removeprefix(_START).removesuffix(_END)
    colours = _IS_RGB if int(page.photometric) == RGB else b""
    try:
        joined = io.BytesIO(b"".join((_START, colours, tables, data[len(_START) :])))
        with no_pillow_limit(), Image.open(joined, formats=("JPEG",)) as image:
            if image.height < shape[0] or image.width < shape[1]:
                what = f"a damaged tile: expected {shape[1]} x {shape[0]} pixels, found {image.width} x {image.height}"
                raise MaskRCNNError(what, fix=fix)
            check_bytes(image.height * image.width * 3)
            pixels = np.asarray(image)
    except UnidentifiedImageError:
        raise MaskRCNNError("a damaged tile: expected a JPEG", fix=fix) from None
    except (OSError, SyntaxError) as error:
        raise MaskRCNNError(f"a damaged tile: {str(error)[:100]}", fix=fix) from error
    pixels = pixels.reshape(*pixels.shape[:2], -1)[: shape[0], : shape[1]]
    if pixels.shape != shape:
        what = f"a damaged tile: expected {shape[2]} channels, found {pixels.shape[2]}"
        raise MaskRCNNError(what, fix=fix)
    return pixels
