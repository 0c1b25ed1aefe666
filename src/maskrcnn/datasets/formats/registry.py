"""The formats of labelled data: how each is recognised, read and written. One file a format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskrcnn.datasets.conversion.coco_writer import CocoWriter
from maskrcnn.datasets.conversion.cvat_writer import CvatWriter
from maskrcnn.datasets.conversion.dataset_writer import Writer
from maskrcnn.datasets.conversion.labelme_writer import LabelmeWriter
from maskrcnn.datasets.conversion.voc_writer import VocWriter
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats import binmask, coco, cvat, idmask, labelme, lvis, voc, yolo
from maskrcnn.datasets.formats.location import Location


@dataclass(frozen=True)
class Format:
    """One format. All can say several classes, several parts and holes of an object.

    Attributes:
        name: by which a user asks for it.
        title: what its users call it.
        layout: the files by which it is recognised, for messages.
        find: the splits in a folder, or in a label file, by name ("" if undivided); empty if it is another format.
        read: the data set of one of them; class names are passed for formats that only number their classes.
        writer: writes a new data set.
        crowd: it can mark a group as one region, or its writer deals with such regions itself.
        boxes: it can say that an object has a box and no mask.
        verdicts: it can say which classes were looked for in an image.
    """

    name: str
    title: str
    layout: str
    find: Callable[[Path], dict[str, Location]]
    read: Callable[[Location, Sequence[str] | None], Dataset]
    writer: type[Writer]
    crowd: bool = True
    boxes: bool = True
    verdicts: bool = False


# In this order they are looked for: first those that a label file alone gives away.
FORMATS = (
    Format(
        "coco",
        "COCO",
        "train.json beside train/, or annotations/instances_train.json beside train/",
        coco.find,
        coco.read,
        CocoWriter,
    ),
    Format(
        "lvis",
        "LVIS",
        "lvis_v1_train.json beside train/ or train2017/",
        lvis.find,
        lvis.read,
        lvis.LvisWriter,
        verdicts=True,
    ),
    Format("cvat", "CVAT for images", "annotations.xml beside images/", cvat.find, cvat.read, CvatWriter),
    Format(
        "voc",
        "Pascal VOC",
        "JPEGImages, SegmentationObject and ImageSets",
        voc.find,
        voc.read,
        VocWriter,
        boxes=False,
    ),
    Format(
        "idmask",
        "id masks",
        "train/images and train/masks, or images and masks, or a.png and a_masks.png",
        idmask.find,
        idmask.read,
        idmask.IdmaskWriter,
        boxes=False,
    ),
    Format(
        "binmask",
        "one mask file an object",
        "images/a.jpg and masks/a/*.png, or a/images and a/masks",
        binmask.find,
        binmask.read,
        binmask.BinmaskWriter,
        boxes=False,
    ),
    Format(
        "yolo",
        "YOLO-seg",
        "data.yaml, or images/train and labels/train with .txt files",
        yolo.find,
        yolo.read,
        yolo.YoloWriter,
        crowd=False,
    ),
    Format("labelme", "labelme", "images with a .json beside each", labelme.find, labelme.read, LabelmeWriter),
)
BY_NAME = {form.name: form for form in FORMATS}


def detect(path: Path) -> tuple[Format, dict[str, Location]] | None:
    """The format of a folder or a label file, and its splits in their order; None for nothing known."""
    for form in FORMATS:
        if found := form.find(path):
            return form, found
    # A damaged .json may be COCO: its reader says what is wrong.
    damaged = coco.find(path, kinds=("",))
    return (BY_NAME["coco"], damaged) if damaged else None


def expected() -> str:
    """The formats that are known, in one line."""
    return "; ".join(f"{form.title} ({form.layout})" for form in FORMATS)
