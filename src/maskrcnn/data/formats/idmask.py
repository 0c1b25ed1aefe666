"""Images and id maps: images/<stem>.* with masks/<stem>.png or .tif, whose pixels are 0 or the number of an object.

One class, named by the first line of a names.txt in the folder or its parent, else "object".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from maskrcnn.data.dataset import Dataset, ImageRecord, Objects
from maskrcnn.data.image_io import find_images, image_size, read_ids
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
    paths: list[Path] = []
    problems: list[str] = []
    for image in images:
        mask = masks.get(image.stem)
        if mask is None:
            problems.append(f"{image}: dropped, no masks/{image.stem}.png (add the mask, an empty one if no object)")
            continue
        try:
            size, mask_size = image_size(image), image_size(mask)
        except MaskRCNNError as error:
            problems.append(f"dropped, {error}")
            continue
        if size != mask_size:
            problems.append(
                f"{image}: dropped, the image has {size[0]} x {size[1]}, its mask {mask_size[0]} x {mask_size[1]} "
                "(make both the same size)"
            )
            continue
        records.append(ImageRecord(len(records) + 1, image, *size))
        paths.append(mask)
    if not records:
        raise MaskRCNNError(
            f"expected images with a mask of the same name, found {len(images)} images and {len(masks)} masks "
            f"but no usable pair{': ' + problems[0] if problems else ''}",
            where=folder,
            fix="name each mask as its image, masks/<image's name>.png",
        )
    return Dataset([_name(folder)], records, _IdMaps(paths), problems, skipped=len(images) - len(records))


class _IdMaps:
    """Reads the objects of the i-th image from its id map."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __call__(self, index: int, record: ImageRecord) -> tuple[Objects, list[str], list[str]]:
        ids = read_ids(self.paths[index])
        if ids.shape != (record.height, record.width):
            raise MaskRCNNError(
                f"expected a mask of {record.height} x {record.width}, found {ids.shape[0]} x {ids.shape[1]}",
                where=self.paths[index],
                fix="make it the size of its image",
            )
        return objects_of(ids), [], []


def objects_of(ids: np.ndarray) -> Objects:
    """The objects of an id map, whole numbers [H, W], in the order of their ids; 0 is background."""
    largest = int(ids.max(initial=0))
    values = np.arange(1, largest + 1) if largest <= ids.size else np.unique(ids[ids > 0])
    if largest > ids.size:
        ids = np.searchsorted(values, ids, side="right")
    places = ndimage.find_objects(ids.astype(np.int32, copy=False))
    crops, numbers = [], []
    for number, place in enumerate(places, start=1):
        if place is not None:
            rows, columns = place
            crops.append(Crop(ids[place] == number, int(columns.start), int(rows.start)))
            numbers.append(int(values[number - 1]))
    count = len(crops)
    boxes = [(c.x, c.y, c.x + c.bitmap.shape[1], c.y + c.bitmap.shape[0]) for c in crops]
    return Objects(
        boxes=np.array(boxes, dtype=np.float32).reshape(count, 4),
        labels=np.zeros(count, dtype=np.int64),
        crowd=np.zeros(count, dtype=bool),
        crops=crops,
        ids=np.array(numbers, dtype=np.int64),
    )


def _name(folder: Path) -> str:
    for place in (folder, folder.parent):
        file = place / "names.txt"
        lines = file.read_text(encoding="utf-8-sig").strip().splitlines() if file.is_file() else []
        if lines:
            return lines[0].strip()
    return "object"
