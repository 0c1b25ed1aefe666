"""The writer of each format, by the format's name."""

from __future__ import annotations

from maskrcnn.datasets.conversion.binmask_writer import BinmaskWriter
from maskrcnn.datasets.conversion.coco_writer import CocoWriter
from maskrcnn.datasets.conversion.cvat_writer import CvatWriter
from maskrcnn.datasets.conversion.dataset_writer import DatasetWriter
from maskrcnn.datasets.conversion.idmask_writer import IdmaskWriter
from maskrcnn.datasets.conversion.labelme_writer import LabelmeWriter
from maskrcnn.datasets.conversion.lvis_writer import LvisWriter
from maskrcnn.datasets.conversion.voc_writer import VocWriter
from maskrcnn.datasets.conversion.yolo_writer import YoloWriter

WRITERS: dict[str, type[DatasetWriter]] = {
    "coco": CocoWriter,
    "lvis": LvisWriter,
    "cvat": CvatWriter,
    "voc": VocWriter,
    "idmask": IdmaskWriter,
    "binmask": BinmaskWriter,
    "yolo": YoloWriter,
    "labelme": LabelmeWriter,
}
