"""Writes COCO: train.json beside train/, and so on; annotations.json beside images/ for data without splits.

Polygons stay as they were, or are traced along pixel edges; run lengths are written for crowds and for masks with
holes. Annotation and image ids are kept where they are unique. Other entries (licences, keypoints) are not written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from maskrcnn.annotations.objects import Drawn
from maskrcnn.datasets.conversion.dataset_writer import DatasetWriter, LabelledImage, polygons_of
from maskrcnn.masks.box_geometry import box_areas, rounded_xywh
from maskrcnn.masks.rle import encode


class _Ids:
    """Keeps ids that are unique and replaces others by the next free number."""

    def __init__(self) -> None:
        self.used: set[int] = set()
        self.highest = 0

    def unique(self, number: int) -> int:
        if number in self.used:
            number = self.highest + 1
        self.used.add(number)
        self.highest = max(self.highest, number)
        return number


class _SplitFile:
    """The .json of one split: annotations are written as they come, the rest at the end."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        stream.write('{"annotations": [')
        self.images: list[dict[str, Any]] = []
        self.image_ids, self.annotation_ids = _Ids(), _Ids()

    def add(self, annotation: dict[str, Any]) -> None:
        self.stream.write("\n" if len(self.annotation_ids.used) == 1 else ",\n")
        json.dump(annotation, self.stream, ensure_ascii=False)

    def close(self, categories: Sequence[dict[str, Any]]) -> None:
        images, classes = (json.dumps(entries, ensure_ascii=False) for entries in (self.images, categories))
        self.stream.write(f'],\n"images": {images},\n"categories": {classes}}}\n')


class CocoWriter(DatasetWriter):
    """COCO instance annotations."""

    def start(self) -> None:
        files = {split: self.folder / f"{self.file_stem(split)}.json" for split in self.splits}
        self.files = {split: _SplitFile(self.open(file)) for split, file in files.items()}

    def file_stem(self, split: str) -> str:
        """The name of a split's .json file."""
        return split or "annotations"

    def image_folder(self, split: str) -> Path:
        return self.folder / (split or "images")

    def add(self, image: LabelledImage) -> None:
        file = self.files[image.split]
        image_id = file.image_ids.unique(image.record.id)
        height, width = image.record.size
        entry = {"id": image_id, "file_name": image.path.name, "height": height, "width": width}
        file.images.append(entry | self.image_entry(image))
        for drawn in image.objects:
            annotation_id = file.annotation_ids.unique(drawn.annotation.id)
            entry = {"id": annotation_id, "image_id": image_id, "category_id": drawn.annotation.label + 1}
            file.add(entry | self.object_entry(drawn, image))

    def image_entry(self, image: LabelledImage) -> dict[str, Any]:
        """Further keys of an image's entry."""
        return {}

    def object_entry(self, drawn: Drawn, image: LabelledImage) -> dict[str, Any]:
        """The keys of an annotation's entry other than its ids."""
        annotation, crop, box = drawn
        area = annotation.area or (float(box_areas(box)) if crop is None else crop.area)
        entry: dict[str, Any] = {"bbox": rounded_xywh(box, 6), "iscrowd": int(annotation.crowd), "area": area}
        if crop is not None:
            source = annotation.segmentation
            raster = isinstance(source, dict) or (annotation.crowd and not isinstance(source, list))
            polygons = None if raster else polygons_of(drawn)
            if polygons is None:
                entry["segmentation"] = encode(crop, image.record.size)
            else:
                entry["segmentation"] = [polygon.tolist() for polygon in polygons]
        return entry

    def categories(self, split: str) -> list[dict[str, Any]]:
        """The entries of the classes."""
        return [{"id": label + 1, "name": name} for label, name in enumerate(self.names)]

    def close(self) -> None:
        for split, file in self.files.items():
            file.close(self.categories(split))
        self.streams.close()
