"""Writes LVIS: COCO's layout with what is known of absent and of partly marked classes (see `formats.lvis`).

Data of other formats counts as marked in full: every class without an object is absent.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from maskrcnn.annotations.objects import Drawn
from maskrcnn.datasets.conversion.coco_writer import CocoWriter
from maskrcnn.datasets.conversion.dataset_writer import LabelledImage

# From how many training images on a class counts as common, and as frequent.
_COMMON, _FREQUENT = 11, 101


class LvisWriter(CocoWriter):
    """LVIS annotations, without the synset and the definition of classes."""

    takes_verdicts = True

    def start(self) -> None:
        super().start()
        self.ids = {name: label + 1 for label, name in enumerate(self.names)}
        self.images_with: dict[str, Counter[int]] = {split: Counter() for split in self.splits}
        self.objects_of: dict[str, Counter[int]] = {split: Counter() for split in self.splits}

    def file_stem(self, split: str) -> str:
        return f"lvis_v1_{split}" if split else "lvis_v1"

    def add(self, image: LabelledImage) -> None:
        crowd = [drawn for drawn in image.objects if drawn.annotation.crowd]
        self.omissions.add("crowd-listed", len(crowd))
        partial = {*image.record.partial, *(self.names[drawn.annotation.label] for drawn in crowd)}
        record = replace(image.record, partial=tuple(name for name in self.names if name in partial))
        single = [drawn for drawn in image.objects if not drawn.annotation.crowd]
        labels = Counter(drawn.annotation.label for drawn in single)
        self.objects_of[image.split] += labels
        self.images_with[image.split].update(labels.keys())
        super().add(image._replace(record=record, objects=single))

    def image_entry(self, image: LabelledImage) -> dict[str, Any]:
        there = {self.names[drawn.annotation.label] for drawn in image.objects}
        absent = image.record.absent
        if absent is None:
            absent = tuple(name for name in self.names if name not in there and name not in image.record.partial)
        return {
            "coco_url": f"{image.path.parent.name}/{image.path.name}",
            "neg_category_ids": [self.ids[name] for name in absent],
            "not_exhaustive_category_ids": [self.ids[name] for name in image.record.partial],
        }

    def object_entry(self, drawn: Drawn, image: LabelledImage) -> dict[str, Any]:
        entry = super().object_entry(drawn, image)
        del entry["iscrowd"]
        return entry

    def categories(self, split: str) -> list[dict[str, Any]]:
        entries = super().categories(split)
        for label, entry in enumerate(entries):
            images, objects = self.images_with[split][label], self.objects_of[split][label]
            frequency = "r" if images < _COMMON else "c" if images < _FREQUENT else "f"
            entry |= {"synonyms": [self.names[label]], "frequency": frequency}
            entry |= {"image_count": images, "instance_count": objects}
        return entries
