"""Checks before an image is decoded: a regular file that is not empty, and pixels and bytes within limits.

What a decoder raises afterwards becomes a `MaskRCNNError` as well (`as_image_error`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskrcnn.errors import MaskRCNNError, errors_at
from maskrcnn.json_yaml import shown

MAX_PIXELS = 200_000_000
MAX_IMAGE_BYTES = 2**30  # of decoded pixels; reading, resizing and batching take a few times as much
LIMIT_VARIABLE = "MASKRCNN_MAX_IMAGE_BYTES"


def check_image_file(path: Path) -> None:
    """Raises `MaskRCNNError` unless there is a file that is not empty."""
    try:
        found = path.stat()
    except PermissionError as error:
        raise MaskRCNNError(f"cannot be read: {error.strerror}", where=path, fix="check its rights") from None
    except (OSError, ValueError):
        raise MaskRCNNError("no such image file", where=path, fix="check the path") from None
    if stat.S_ISDIR(found.st_mode):
        raise MaskRCNNError("expected an image file, found a folder", where=path, fix="name a file in it")
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would block
        raise MaskRCNNError("expected an image file, found a pipe or device", where=path, fix="save it as a file")
    if found.st_size == 0:
        raise MaskRCNNError("the image file is empty (0 bytes)", where=path, fix="copy or download it again")


@contextmanager
def as_image_error(what: str, path: Path) -> Iterator[None]:
    """Report any error inside as a `MaskRCNNError` that names the file; ``what`` describes errors of other types."""
    try:
        with errors_at(path):
            yield
    except MaskRCNNError:
        raise
    except Exception as error:
        raise MaskRCNNError(f"{what}: {str(error)[:200]}", where=path, fix="copy or download it again") from error


def check_size(height: int, width: int, where: object, pixel_bytes: int = 3) -> None:
    """Raises `MaskRCNNError` for an image of more than MAX_PIXELS pixels or MAX_IMAGE_BYTES bytes.

    The environment variable MASKRCNN_MAX_IMAGE_BYTES sets another number of bytes, and of pixels in proportion.

    Args:
        where: the file or address, for the error.
        pixel_bytes: of one pixel with all its channels, once decoded.
    """
    pixels, _ = _limits(where)
    if width * height > pixels:
        what = f"expected at most {pixels:,} pixels, found {width} x {height} = {width * height:,}"
        raise MaskRCNNError(what, where=where, fix="cut the image into tiles or scale it down")
    check_bytes(width * height * pixel_bytes, where)


def read_by_region(height: int, width: int, pixel_bytes: int = 3) -> bool:
    """Whether an image is larger than those that are read whole; see `check_size`."""
    pixels, allowed = _limits(None)
    return width * height > pixels or width * height * pixel_bytes > allowed


def check_bytes(needed: int, where: object = None) -> None:
    """Raises `MaskRCNNError` for pixels of more than MAX_IMAGE_BYTES, once decoded; see `check_size`."""
    _, allowed = _limits(where)
    if needed > allowed:
        fix = f"cut it into tiles or scale it down; with memory for several times as much, set {LIMIT_VARIABLE}"
        raise MaskRCNNError(f"expected at most {allowed:,} bytes of pixels, found {needed:,}", where=where, fix=fix)


def _limits(where: object) -> tuple[int, int]:
    """The largest numbers of pixels and bytes of an image."""
    setting = os.environ.get(LIMIT_VARIABLE)
    if not setting:
        return MAX_PIXELS, MAX_IMAGE_BYTES
    if not setting.isdecimal() or not 0 < len(setting) < 16:
        what = f"{LIMIT_VARIABLE}: expected a number of bytes, found {shown(setting)}"
        raise MaskRCNNError(what, where=where, fix="correct it")
    return MAX_PIXELS * int(setting) // MAX_IMAGE_BYTES, int(setting)
