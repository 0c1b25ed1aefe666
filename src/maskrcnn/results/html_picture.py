"""A picture inside a page."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

from PIL import Image

SIDE = 800  # of pictures in a notebook, whose file holds them, in pixels


def html_picture(picture: Image.Image, side: int = SIDE) -> str:
    """An <img> element that holds its own JPEG of an RGB picture, at most ``side`` pixels wide or high."""
    small = picture.convert("RGB")
    small.thumbnail((side, side))
    buffer = BytesIO()
    # A PNG of a photo would be ten times as large, and the file of a notebook holds them all.
    small.save(buffer, format="JPEG", quality=88, subsampling=0)
    data = b64encode(buffer.getvalue()).decode()
    return f'<img alt="the objects over the image" style="max-width:100%" src="data:image/jpeg;base64,{data}">'
