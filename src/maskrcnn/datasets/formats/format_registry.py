"""The formats of labelled data: how each is recognised and read. One file a format; `conversion.writers` write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from maskrcnn.annotations.labels import Labels
from maskrcnn.datasets.formats import binmask, coco, cvat, geojson_labels, idmask, labelme, lvis, voc, yolo
from maskrcnn.datasets.formats.location import Location
from maskrcnn.errors import MaskRCNNError
from maskrcnn.text import suggestion


class DataFormat(NamedTuple):
    """One format.

    Attributes:
        name: as users write it in options.
        title: for messages.
        layout: the files by which it is recognised, for messages.
        find: the splits in a folder, or in a label file, by name ("" for none); empty if it is another format.
        read: the labels of one of them.
    """

    name: str
    title: str
    layout: str
    find: Callable[[Path], dict[str, Location]]
    read: Callable[[Location], Labels]


_READERS = (
    # In this order they are looked for: first those that a label file alone gives away.
    ("coco", "COCO", "train.json beside train/, or annotations/instances_train.json beside train/", coco),
    ("lvis", "LVIS", "lvis_v1_train.json beside train/ or train2017/", lvis),
    ("cvat", "CVAT for images", "annotations.xml beside images/", cvat),
    ("geojson", "GeoJSON", "images with a .geojson beside each", geojson_labels),
    ("voc", "Pascal VOC", "JPEGImages, SegmentationObject and ImageSets", voc),
    ("idmask", "id masks", "train/images and train/masks, or images and masks, or a.png and a_masks.png", idmask),
    ("binmask", "one mask file an object", "images/a.jpg and masks/a/*.png, or a/images and a/masks", binmask),
    ("yolo", "YOLO-seg", "data.yaml, or images/train and labels/train with .txt files", yolo),
    ("labelme", "labelme", "images with a .json beside each", labelme),
)
FORMATS = tuple(DataFormat(name, title, layout, form.find, form.read) for name, title, layout, form in _READERS)
BY_NAME = {form.name: form for form in FORMATS}


def detect(path: Path) -> tuple[DataFormat, dict[str, Location]] | None:
    """The format of a folder or a label file, and its splits in their order; None for nothing known."""
    for form in FORMATS:
        if found := form.find(path):
            return form, found
    # A damaged .json may be COCO: its reader says what is wrong.
    damaged = coco.find(path, kinds=("",))
    return (BY_NAME["coco"], damaged) if damaged else None


def format_named(name: str) -> DataFormat:
    """The format of this name. Raises `MaskRCNNError` for an unknown one."""
    if name not in BY_NAME:
        raise MaskRCNNError(f"unknown format {name!r}", fix=suggestion(name, BY_NAME))
    return BY_NAME[name]


def expected() -> str:
    """The formats that are known, in one line."""
    return "; ".join(f"{form.title} ({form.layout})" for form in FORMATS)
