"""Anything that `predict` takes as an image - path, URL, PIL image, array, function - as pixels, or a clear error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskrcnn.config import Preprocess
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.channels import as_model_input
from maskrcnn.images.image_limits import check_size
from maskrcnn.images.image_reader import ReadImage
from maskrcnn.images.pillow_file import pixel_values
from maskrcnn.images.sources import read_source

ImageLike = str | Path | np.ndarray | Image.Image | Callable[[], np.ndarray]


def read_image_like(image: ImageLike, preprocess: Preprocess) -> tuple[ReadImage, Path | None]:
    """The pixels of an image as a model takes them, and its path if it has one.

    Raises:
        MaskRCNNError: it is no image, or cannot be read.
    """
    if callable(image) and not isinstance(image, type):
        image = image()
    if isinstance(image, np.ndarray):
        return as_model_input(image, preprocess), None
    if isinstance(image, Image.Image):
        return as_model_input(_pil_pixels(image), preprocess), None
    if isinstance(image, str | Path):
        return read_source(image, preprocess), Path(image)
    what = f"expected a path, URL, PIL image or numpy array, found {type(image).__name__}"
    raise MaskRCNNError(what, fix=_fix_for(image))


def check_image_list(images: Any) -> Iterable[Any]:
    """The images, unchanged. Raises `MaskRCNNError` for a single image, or for what is no iterable."""
    single = isinstance(images, str | bytes | bytearray | Path | Image.Image | dict)
    if single or (isinstance(images, np.ndarray) and images.ndim < 4) or not isinstance(images, Iterable):
        what = f"expected a list of images, or what gives them one by one; found {type(images).__name__}"
        raise MaskRCNNError(what, fix="put it into a list: [image]")
    return images


def _pil_pixels(image: Image.Image) -> np.ndarray:
    """A copy of its pixels with 16 bits kept; palettes become RGB."""
    check_size(image.height, image.width, None)
    try:
        return pixel_values(image)
    except Exception as error:
        what = f"a PIL image that cannot be read: {str(error)[:200]}"
        raise MaskRCNNError(what, fix="open the file again and keep it open, or give its path") from error


def _fix_for(image: object) -> str:
    kind = type(image)
    if kind.__module__.split(".")[0] == "torch":
        return "of a tensor [C, H, W] of uint8 give image.permute(1, 2, 0).cpu().numpy()"
    if isinstance(image, bytes | bytearray | memoryview) or hasattr(image, "read"):
        return "of an image file in memory give PIL.Image.open(io.BytesIO(data))"
    if isinstance(image, list | tuple):
        return "give one list of images, and numpy.asarray(image) of a nested list of numbers"
    if hasattr(image, "__iter__") and not isinstance(image, dict):
        return "give list(images), or use stream(images), which takes them one by one"
    return "give one of these, or a list of them"
