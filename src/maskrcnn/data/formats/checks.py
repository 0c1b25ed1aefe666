"""What readers of several formats check and tell in the same words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskrcnn.data.dataset import ImageRecord
from maskrcnn.data.id_file import open_ids
from maskrcnn.data.image_file import MAX_PIXELS
from maskrcnn.data.image_io import image_size
from maskrcnn.data.objects import Annotation
from maskrcnn.data.problem import DataError, Problem, unreadable
from maskrcnn.errors import MaskRCNNError


def checked_size(height: Any, width: Any, image: Path) -> tuple[int, int]:
    """(H, W) as a label file claims it, or from the image's header where it claims none.

    Raises:
        DataError: it claims more pixels than are read, or the image cannot be read either.
    """
    if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
        if height * width > MAX_PIXELS:
            what = f"expected at most {MAX_PIXELS:,} pixels, found width {width:,} and height {height:,}"
            raise DataError("bad-size", what, fix="correct the size, or cut the image into tiles")
        return height, width
    try:
        return image_size(image)
    except MaskRCNNError as error:
        raise DataError("unreadable-image", str(error), fix="") from error


def paired(number: int, image: Path, labels: Path, called: str) -> ImageRecord | Problem:
    """The record of an image with a map of its objects; a problem if one cannot be read, or their sizes differ."""
    try:
        size, map_size = image_size(image), open_ids(labels).size
    except MaskRCNNError as error:
        return unreadable(error, "unreadable-image")
    if size != map_size:
        what = f"the image has {size[0]} x {size[1]}, its {called} {map_size[0]} x {map_size[1]}"
        return Problem("size-mismatch", str(image), what, "make both the same size", images_lost=1)
    return ImageRecord(number, image, *size, labels)


def boxes_only(annotations: Sequence[Sequence[Annotation]], source: Path) -> list[Problem]:
    """One line for all objects that have a box and no mask."""
    single = [annotation for image in annotations for annotation in image if not annotation.crowd]
    maskless = sum(annotation.segmentation is None for annotation in single)
    if not maskless:
        return []
    what = f"{maskless:,} of {len(single):,} objects have a box and no mask: they train and measure boxes only"
    return [Problem("no-mask", str(source), what, "add masks if you have them", "note")]


def require_images(
    records: Sequence[ImageRecord], what: str, problems: Sequence[Problem], where: Path, fix: str
) -> None:
    """Raises MaskRCNNError if there is no record; `what` says of how many, and the first image lost why."""
    if not records:
        first = next((f", the first: {problem}" for problem in problems if problem.images_lost), "")
        raise MaskRCNNError(f"{what}{first}", where=where, fix=fix)
