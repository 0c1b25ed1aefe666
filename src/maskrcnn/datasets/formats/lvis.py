"""LVIS: COCO's layout with federated annotation, lvis_v1_train.json beside the images.

An image lists the classes that were looked for and are absent (`neg_category_ids`), and those of which not every object
is marked (`not_exhaustive_category_ids`); of all others nothing is known. There are no crowd regions. Data of other
formats counts as marked in full: every class without an object is absent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskrcnn.annotations.objects import Drawn
from maskrcnn.datasets.conversion.coco_writer import CocoWriter
from maskrcnn.datasets.conversion.dataset_writer import Item
from maskrcnn.datasets.conversion.omissions import Losses
from maskrcnn.datasets.formats import coco
from maskrcnn.datasets.formats.location import Location

read = coco.read

# From how many training images on a class counts as common, and as frequent.
_COMMON, _FREQUENT = 11, 101


def find(path: Path) -> dict[str, Location]:
    """The .json files of the splits of a folder, or a .json file itself."""
    return coco.find(path, kinds=("lvis",))


class LvisWriter(CocoWriter):
    """LVIS annotations; what is not known of a class (synset, definition) is left out."""

    def __init__(self, folder: Path, names: Sequence[str], splits: Sequence[str], losses: Losses) -> None:
        super().__init__(folder, names, splits, losses)
        self.ids = {name: label + 1 for label, name in enumerate(names)}
        self.images_with: dict[str, Counter[int]] = {split: Counter() for split in splits}
        self.objects_of: dict[str, Counter[int]] = {split: Counter() for split in splits}

    def file_stem(self, split: str) -> str:
        return f"lvis_v1_{split}" if split else "lvis_v1"

    def add(self, item: Item) -> None:
        crowd = [drawn for drawn in item.objects if drawn.annotation.crowd]
        self.losses.add("crowd-listed", len(crowd))
        partial = {*item.record.partial, *(self.names[drawn.annotation.label] for drawn in crowd)}
        record = replace(item.record, partial=tuple(name for name in self.names if name in partial))
        single = [drawn for drawn in item.objects if not drawn.annotation.crowd]
        labels = Counter(drawn.annotation.label for drawn in single)
        self.objects_of[item.split] += labels
        self.images_with[item.split].update(labels.keys())
        super().add(item._replace(record=record, objects=single))

    def image_entry(self, item: Item) -> dict[str, Any]:
        there = {self.names[drawn.annotation.label] for drawn in item.objects}
        absent = item.record.absent
        if absent is None:
            absent = tuple(name for name in self.names if name not in there and name not in item.record.partial)
        return {
            "coco_url": f"{item.image.parent.name}/{item.image.name}",
            "neg_category_ids": [self.ids[name] for name in absent],
            "not_exhaustive_category_ids": [self.ids[name] for name in item.record.partial],
        }

    def object_entry(self, drawn: Drawn, item: Item) -> dict[str, Any]:
        entry = super().object_entry(drawn, item)
        del entry["iscrowd"]
        return entry

    def categories(self, split: str) -> list[dict[str, Any]]:
        return [entry | self._counts(split, label) for label, entry in enumerate(super().categories(split))]

    def _counts(self, split: str, label: int) -> dict[str, Any]:
        images = self.images_with[split][label]
        frequency = "r" if images < _COMMON else "c" if images < _FREQUENT else "f"
        return {
            "synonyms": [self.names[label]],
            "frequency": frequency,
            "image_count": images,
            "instance_count": self.objects_of[split][label],
        }
