"""One mask file an object, in one of three layouts:

    <id>/images/<id>.png  with  <id>/masks/*.png           (Data Science Bowl 2018)
    images/<stem>.*       with  masks/<stem>/*.png         (written by conversion)
    images/<stem>.*       with  masks/<stem>_<k>.png

Mask files have the image's size; pixels above half of the largest value belong to the object. Its class comes from
classes.csv (see `class_table`), else by a folder masks/<stem>/<class>/, else by the file's name, as in cat_3.png.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels
from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.datasets.formats.class_table import DEFAULT_NAME, ClassTable, names_of, read_names, read_table
from maskrcnn.datasets.formats.location import Location, split_folders_that
from maskrcnn.datasets.formats.reader_checks import add_record, require_images
from maskrcnn.datasets.formats.split_names import subfolder, subfolders
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.id_map_file import open_id_map
from maskrcnn.images.image_reader import find_images, image_size, read_image
from maskrcnn.masks.crop import Crop, crop_of
from maskrcnn.text import plural

_CLASS_AND_NUMBER = re.compile(r"(.*[^\d_. -])[_. -]+\d+")
_NO_CLASS = ("mask", "masks", "instance", "obj", "label")


class _ImageMasks(NamedTuple):
    """An image, the folder of its masks, and its mask files, each with the class in its name ("" for none)."""

    image: Path
    folder: Path
    files: list[tuple[Path, str]]


def find(path: Path) -> dict[str, Location]:
    """The folders of the splits of a folder, or the folder itself."""
    return split_folders_that(fits, path)


def fits(folder: Path) -> bool:
    """Whether a folder has one of the three layouts."""
    return _pairs(folder) is not None


def _pairs(folder: Path) -> list[_ImageMasks] | None:
    """The images with their masks, which may be none; None if the folder has another layout."""
    masks, pictures = subfolder(folder, "masks"), subfolder(folder, "images")
    if pictures.is_dir() and masks.is_dir():
        beside = find_images(pictures)
        folders = {place.name for place in subfolders(masks)}
        if any(image.stem in folders for image in beside):
            return [_ImageMasks(image, masks / image.stem, list(_mask_files(masks / image.stem))) for image in beside]
        return _files_by_stem(beside, masks)
    places = [place for place in subfolders(folder) if (place / "images").is_dir() and (place / "masks").is_dir()]
    found = {place: find_images(place / "images") for place in places}
    own_folders = any(len(own) == 1 and own[0].stem == place.name for place, own in found.items())
    # Folders of several images are data sets of their own.
    if not own_folders or max(map(len, found.values())) > 1:
        return None
    # A missing image is reported when it is read.
    images = {place: own[0] if own else place / "images" / f"{place.name}.png" for place, own in found.items()}
    return [_ImageMasks(image, place / "masks", list(_mask_files(place / "masks"))) for place, image in images.items()]


def _mask_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """The mask files of one image's folder, and of folders of classes in it."""
    if folder.is_dir():
        for file in sorted(find_images(folder), key=_by_number):
            yield file, _class_in_name(file.stem.removeprefix(folder.name))
        for place in subfolders(folder):
            for file in sorted(find_images(place), key=_by_number):
                yield file, place.name


def _files_by_stem(images: Sequence[Path], masks: Path) -> list[_ImageMasks] | None:
    """Masks named <stem>_<k>.png, matched to the longest stem of an image."""
    pairs = {image.stem: _ImageMasks(image, masks, []) for image in images}
    for file in sorted(find_images(masks), key=_by_number):
        if file.stem in pairs:
            return None
        ends = [place.start() for place in re.finditer(r"[_-]", file.stem)]
        stem = next((file.stem[:end] for end in reversed(ends) if file.stem[:end] in pairs), None)
        if stem is not None and re.search(r"\d$", file.stem):
            pairs[stem].files.append((file, _class_in_name(file.stem[len(stem) :])))
    return list(pairs.values()) if any(pair.files for pair in pairs.values()) else None


def _class_in_name(stem: str) -> str:
    """The class in the name of a mask file: cat of cat_3; "" for none."""
    found = _CLASS_AND_NUMBER.fullmatch(stem.strip("_- "))
    return found[1] if found and found[1].lower() not in _NO_CLASS else ""


def _by_number(file: Path) -> tuple[int, str]:
    """Order of mask files: by the number at the end, whatever class is before it."""
    number = re.search(r"\d{1,18}$", file.stem)
    return int(number[0]) if number else 0, file.stem


def read(place: Location) -> Labels:
    """The data set of a folder in one of the layouts.

    Raises:
        MaskRCNNError: no image there can be used.
    """
    pairs = _pairs(place.path) or []
    table, problems = read_table(place.path)
    records: list[ImageRecord] = []
    for pair in pairs:
        if not pair.files and not pair.folder.is_dir():
            what, fix = f"no folder masks/{pair.folder.name}", "add the masks, an empty folder if no object"
            problems.append(Problem("missing-mask", str(pair.image), what, fix, images_lost=1))
            continue
        add_record(records, problems, pair.image, pair.folder, len(pair.files))
    what = f"none of {plural(len(pairs), 'image')} with mask files can be used"
    fix = "arrange them as images/<name>.png and masks/<name>/1.png, 2.png, …"
    require_images(records, what, problems, place.path, fix)
    classes = _names(place, table)
    files_of = {pair.image: pair.files for pair in pairs}
    files = [files_of[record.path] for record in records]
    return Labels(classes, records, _MaskFileReader(files, table, classes), problems)


def _names(place: Location, table: ClassTable) -> list[str]:
    siblings = place.siblings or (place.path,)
    if table.rows is not None:
        return names_of(place.path, siblings)
    if names := read_names(place.path):
        return names
    named = {name for sibling in siblings for pair in _pairs(sibling) or () for _, name in pair.files}
    return sorted(name or DEFAULT_NAME for name in named) or [DEFAULT_NAME]


class _MaskFileReader:
    """Reads the mask files of an image."""

    def __init__(self, files: Sequence[list[tuple[Path, str]]], table: ClassTable, names: Sequence[str]) -> None:
        self.files, self.table = list(files), table
        self.labels = {name: label for label, name in enumerate(names)}

    def __call__(self, index: int, record: ImageRecord) -> tuple[list[Annotation], list[Problem]]:
        annotations, problems = [], []
        for number, (file, named) in enumerate(self.files[index], start=1):
            try:
                label, crowd = self._class(record.path.stem, file.stem, named)
                crop = _read_mask(file, record.size)
            except DataError as error:
                problems.append(error.problem(str(file), objects_lost=1))
                continue
            annotations.append(Annotation(number, label, crowd, crop.box, None, crop))
        return annotations, problems

    def _class(self, image: str, mask: str, named: str) -> tuple[int, bool]:
        if self.table.rows is not None or len(self.labels) == 1:
            return self.table.of(image, mask, self.labels)
        name = named or DEFAULT_NAME
        if name not in self.labels:
            raise DataError("unknown-category", f"names.txt has no class {name!r}", fix="add it, or rename the file")
        return self.labels[name], False


def _read_mask(file: Path, size: tuple[int, int]) -> Crop:
    """The tight mask in a file."""
    values = _values(file, size)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values)
    crop = crop_of(values > values.max(initial=0) / 2)
    if not crop.bitmap.size:
        raise DataError("empty-mask", "its mask covers no pixel of the image", fix="correct or remove it")
    return crop


def _values(file: Path, size: tuple[int, int]) -> np.ndarray:
    """The numbers of a mask file, or the largest of its colours, [H, W]; its size is checked before it is decoded."""
    try:
        opened = open_id_map(file)
        found = opened.size
        if found == size:
            return opened.read_page(0)
    except MaskRCNNError as error:
        try:
            found = image_size(file)
            if found == size:
                return read_image(file).pixels.max(axis=2)
        except MaskRCNNError:
            raise DataError("unreadable-mask", error.what, fix=error.fix) from error
    what = f"the image has {size[0]} x {size[1]}, its mask {found[0]} x {found[1]}"
    raise DataError("size-mismatch", what, fix="make both the same size")
