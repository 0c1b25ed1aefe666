"""Images and id maps, whose pixels are 0 or the number of an object: images/a.jpg with masks/a.png.

`mask_pairs` matches the files; cellpose's a.png and a_masks.png in one folder are read as well. Maps are PNG, TIFF,
.npy or any other lossless kind, of whole numbers. Objects can overlap on the pages of a TIFF: an object is all pixels
of its number on any page. Classes come from `class_table`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels
from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.datasets.formats import binmask
from maskrcnn.datasets.formats.class_table import ClassTable, names_of, read_names, read_table
from maskrcnn.datasets.formats.location import Location, split_folders_that
from maskrcnn.datasets.formats.mask_pairs import pairs
from maskrcnn.datasets.formats.reader_checks import add_record, require_images
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.id_map_file import open_id_map
from maskrcnn.images.image_reader import read_id_map
from maskrcnn.masks.crop import Crop, union
from maskrcnn.text import plural

_MAX_PAGES = 64


def find(path: Path) -> dict[str, Location]:
    """The folders with images and masks of the splits of a folder, or the folder itself."""
    return split_folders_that(_fits, path)


def _fits(folder: Path) -> bool:
    return pairs(folder) is not None and not binmask.fits(folder)


def read(place: Location) -> Labels:
    """The data set of a folder of images and masks.

    Raises:
        MaskRCNNError: no image there has a usable mask.
    """
    folder = place.path
    found = pairs(folder) or []
    records: list[ImageRecord] = []
    table, problems = read_table(folder)
    for image, mask, problem in found:
        problems += [problem] if problem is not None else []
        if mask is not None:
            add_record(records, problems, image, mask, map_name="mask")
    masks = sum(pair.mask is not None for pair in found)
    count = f"{plural(len(found), 'image')} and {plural(masks, 'mask')} but no usable pair"
    what = f"expected images with a mask of the same name, found {count}"
    require_images(records, what, problems, folder, "name each mask as its image, masks/<image's name>.png")
    listed = read_names(folder)
    if table.rows is None and len(listed) > 1:
        what = f"names.txt has {len(listed)} names and no classes.csv gives each object one: all have the first"
        problems.append(Problem("class-unsaid", str(folder), what, "add classes.csv: image,object,class", "warning"))
    classes = names_of(folder, place.siblings)
    return Labels(classes, records, _IdMapReader(table, classes), problems)


class _IdMapReader:
    """Reads the id map of an image."""

    def __init__(self, table: ClassTable, names: Sequence[str]) -> None:
        self.table, self.labels = table, {name: label for label, name in enumerate(names)}

    def __call__(self, index: int, record: ImageRecord) -> tuple[list[Annotation], list[Problem]]:
        assert record.labels is not None
        if (pages := open_id_map(record.labels).pages) > _MAX_PAGES:
            what = f"expected at most {_MAX_PAGES} pages, found {pages}"
            raise MaskRCNNError(what, where=record.labels, fix="save one map an image")
        layers = []
        for page in range(pages):
            ids = read_id_map(record.labels, page)
            if ids.shape != record.size:
                what = f"expected a mask of {record.height} x {record.width}, found {ids.shape[0]} x {ids.shape[1]}"
                raise MaskRCNNError(what, where=record.labels, fix="make it the size of its image")
            layers.append(map_annotations(ids))
        annotations, problems = [], []
        for annotation in _union_by_id(layers):
            try:
                label, crowd = self.table.of(record.path.stem, str(annotation.id), self.labels)
            except DataError as error:
                problems.append(error.problem(record.labels, 0, 1, entry=f"object {annotation.id}"))
                continue
            annotations.append(annotation._replace(label=label, crowd=crowd))
        return annotations, problems


def map_annotations(ids: np.ndarray) -> list[Annotation]:
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


def _union_by_id(layers: Sequence[list[Annotation]]) -> list[Annotation]:
    """The objects of several maps, merged by number."""
    if len(layers) == 1:
        return layers[0]
    parts: dict[int, list[Crop]] = {}
    for annotation in (annotation for layer in layers for annotation in layer):
        assert isinstance(annotation.segmentation, Crop)
        parts.setdefault(annotation.id, []).append(annotation.segmentation)
    whole = {number: union(parts[number]) for number in sorted(parts)}
    return [Annotation(number, 0, False, crop.box, None, crop) for number, crop in whole.items()]
