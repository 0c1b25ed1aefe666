"""Writes Pascal VOC: one folder for all splits, with ImageSets, maps of objects and classes, boxes and labelmap.txt.

Each pixel belongs to one object: where masks overlap, the smaller object is written. Objects without a mask are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maskrcnn.datasets.conversion.dataset_writer import Item, Writer
from maskrcnn.datasets.conversion.id_maps import draw_ids
from maskrcnn.datasets.conversion.omissions import Losses
from maskrcnn.datasets.formats.voc_map import VOID, colours, number_of, write_map
from maskrcnn.datasets.formats.voc_objects import write_objects
from maskrcnn.output.atomic_file import write_text

_WHOLE = "default"


class VocWriter(Writer):
    """One VOC folder for all splits."""

    def __init__(self, folder: Path, names: Sequence[str], splits: Sequence[str], losses: Losses) -> None:
        super().__init__(folder, names, splits, losses)
        self.stems: dict[str, list[str]] = {split: [] for split in splits}
        for place in ("SegmentationObject", "SegmentationClass", "Annotations"):
            (folder / place).mkdir(exist_ok=True)

    def image_folder(self, split: str) -> Path:
        return self.folder / "JPEGImages"

    def add(self, item: Item) -> None:
        single = [drawn for drawn in item.objects if not drawn.annotation.crowd]
        crowd = [drawn for drawn in item.objects if drawn.annotation.crowd]
        self.losses.add("crowd-void", len(crowd))
        self.losses.add("many", int(len(single) >= VOID))
        (places,) = draw_ids(single, item.record.size, self.losses, max_layers=1)
        void = np.zeros(item.record.size, dtype=bool)
        for drawn in crowd:
            if drawn.crop is None:
                x1, y1, x2, y2 = (round(side) for side in drawn.box)
                void[y1:y2, x1:x2] = True
            else:
                bitmap, x, y = drawn.crop
                void[y : y + bitmap.shape[0], x : x + bitmap.shape[1]] |= bitmap
        classes = np.array([0, *(drawn.annotation.label + 1 for drawn in single)])
        for folder, values in (("SegmentationObject", places), ("SegmentationClass", classes[places])):
            numbers = number_of(values)
            numbers[void & (places == 0)] = VOID
            write_map(self.folder / folder / f"{item.image.stem}.png", numbers)
        write_objects(self.folder / "Annotations" / f"{item.image.stem}.xml", item, self.names)
        self.stems[item.split].append(item.image.stem)

    def close(self) -> None:
        sets = self.folder / "ImageSets" / "Segmentation"
        sets.mkdir(parents=True, exist_ok=True)
        for split, stems in self.stems.items():
            text = "".join(f"{stem}\n" for stem in stems)
            write_text(sets / f"{split or _WHOLE}.txt", text)
        lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
        for label, name in enumerate(self.names):
            colour = ",".join(map(str, colours(np.array(number_of(label + 1))).tolist()))
            lines.append(f"{name}:{colour}::")
        write_text(self.folder / "labelmap.txt", "\n".join(lines) + "\n")
