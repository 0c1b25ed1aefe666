"""Images inside labelme files: a .json whose imageData is an image file in base64 can stand for an image file."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_formats import PILLOW_FORMATS
from maskrcnn.json_yaml import read_json

MAX_BYTES = 2**28  # of a label file
_SPACES = str.maketrans("", "", " \t\r\n")
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}


def is_embedded(path: Path) -> bool:
    """Whether this is a .json, which may hold an image."""
    return path.suffix.lower() == ".json"


def embedded_image(path: Path) -> bytes:
    """The image file inside a .json.

    Raises:
        MaskRCNNError: the file holds no image, or one that is not valid base64.
    """
    content = read_json(path, max_bytes=MAX_BYTES)
    text = content.get("imageData") if isinstance(content, dict) else None
    if not isinstance(text, str) or not text:
        raise MaskRCNNError("no image: a .json without a picture in imageData", where=path, fix="add the image file")
    try:
        return decode_base64(text)
    except ValueError as error:
        what = f"the picture in imageData is no base64: {error}"
        raise MaskRCNNError(what, where=path, fix="add the image file") from error


def decode_base64(text: str) -> bytes:
    """The bytes of a base64 text, which may be a data URL and broken into lines.

    Raises:
        ValueError: it is no base64.
    """
    text = text[text.index(",") + 1 :] if text.startswith("data:") and "," in text[:100] else text
    return base64.b64decode(text.translate(_SPACES), validate=True)


def image_suffix(content: bytes) -> str:
    """The suffix for the format of an image file, such as .png; "" for an unknown format."""
    try:
        with Image.open(io.BytesIO(content), formats=PILLOW_FORMATS) as image:
            kind = image.format or ""
    except (OSError, ValueError, SyntaxError):
        return ""
    return _SUFFIXES.get(kind, f".{kind.lower()}")
