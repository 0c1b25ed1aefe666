"""Images and id maps: images/<stem>.* with masks/<stem>.png or .tif, whose pixels are 0 or the number of an object.

One class, named by the first line of a names.txt in the folder or its parent, else "object".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from maskrcnn.data.dataset import Dataset, ImageRecord
from maskrcnn.data.image_io import find_images, image_size, read_ids
from maskrcnn.data.objects import Annotation
from maskrcnn.data.problem import Problem, unreadable
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop

_MASK_SUFFIXES = (".png", ".tif", ".tiff")


def read(folder: str | Path) -> Dataset:
    """The data set of a folder with images/ and masks/.

    Raises:
        MaskRCNNError: no image there has a usable mask.
    """
    folder = Path(folder)
    masks = {p.stem: p for p in find_images(folder / "masks") if p.suffix.lower() in _MASK_SUFFIXES}
    images = find_images(folder / "images")
    records: list[ImageRecord] = []
    problems: list[Problem] = []
    for image in images:
        mask = masks.get(image.stem)
        if mask is None:
            what, fix = f"no masks/{image.stem}.png", "add the mask, an empty one if no object"
            problems.append(Problem("missing-mask", str(image), what, fix, images_lost=1))
            continue
        try:
            size, mask_size = image_size(image), image_size(mask)
        except MaskRCNNError as error:
            problems.append(unreadable(error, "unreadable-image"))
            continue
        if size != mask_size:
            what = f"the image has {size[0]} x {size[1]}, its mask {mask_size[0]} x {mask_size[1]}"
            problems.append(Problem("size-mismatch", str(image), what, "make both the same size", images_lost=1))
            continue
        records.append(ImageRecord(len(records) + 1, image, *size, mask))
    if not records:
        raise MaskRCNNError(
            f"expected images with a mask of the same name, found {len(images)} images and {len(masks)} masks "
            f"but no usable pair{f': {problems[0]}' if problems else ''}",
            where=folder,
            fix="name each mask as its image, masks/<image's name>.png",
        )
    return Dataset([_name(folder)], records, _read_map, problems)


def _read_map(index: int, record: ImageRecord) -> tuple[list[Annotation], list[Problem]]:
    assert record.labels is not None
    ids = read_ids(record.labels)
    if ids.shape != record.size:
        raise MaskRCNNError(
            f"expected a mask of {record.height} x {record.width}, found {ids.shape[0]} x {ids.shape[1]}",
            where=record.labels,
            fix="make it the size of its image",
        )
    return annotations_of(ids), []


def annotations_of(ids: np.ndarray) -> list[Annotation]:
    """The objects of an id map, whole numbers [H, W], in the order of their ids; 0 is background."""
    largest = int(ids.max(initial=0))
    values = np.arange(1, largest + 1) if largest <= ids.size else np.unique(ids[ids > 0])
    if largest > ids.size:
        ids = np.searchsorted(values, ids, side="right")
    found = []
    for number, place in enumerate(ndimage.find_objects(ids.astype(np.int32, copy=False)), start=1):
        if place is not None:
            rows, columns = place
            crop = Crop(ids[place] == number, int(columns.start), int(rows.start))
            found.append(Annotation(int(values[number - 1]), 0, False, crop.box, None, crop))
    return found


def _name(folder: Path) -> str:
    for place in (folder, folder.parent):
        file = place / "names.txt"
        lines = file.read_text(encoding="utf-8-sig").strip().splitlines() if file.is_file() else []
        if lines:
            return lines[0].strip()
    return "object"
