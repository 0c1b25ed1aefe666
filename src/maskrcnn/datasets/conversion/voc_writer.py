"""Writes Pascal VOC: one folder for all splits, with ImageSets, maps of objects and classes, boxes and labelmap.txt.

Each pixel belongs to one object: where masks overlap, the smaller object is written. Objects without a mask are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from maskrcnn.datasets.conversion.dataset_writer import DatasetWriter, LabelledImage
from maskrcnn.datasets.conversion.id_maps import draw_ids
from maskrcnn.datasets.formats.voc_colour_map import CLASSES, OBJECTS, VOID, colours, number_of, write_map
from maskrcnn.datasets.formats.voc_objects import SIDES
from maskrcnn.output.atomic_file import write_text


class VocWriter(DatasetWriter):
    """One VOC folder for all splits."""

    takes_boxes = False

    def start(self) -> None:
        self.stems: dict[str, list[str]] = {split: [] for split in self.splits}
        for place in (OBJECTS, CLASSES, "Annotations"):
            (self.folder / place).mkdir(exist_ok=True)

    def image_folder(self, split: str) -> Path:
        return self.folder / "JPEGImages"

    def add(self, image: LabelledImage) -> None:
        single = [drawn for drawn in image.objects if not drawn.annotation.crowd]
        crowd = [drawn for drawn in image.objects if drawn.annotation.crowd]
        self.omissions.add("crowd-void", len(crowd))
        self.omissions.add("many", int(len(single) >= VOID))
        (places,) = draw_ids(single, image.record.size, self.omissions, max_layers=1)
        void = np.zeros(image.record.size, dtype=bool)
        for drawn in crowd:
            assert drawn.crop is not None
            bitmap, x, y = drawn.crop
            void[y : y + bitmap.shape[0], x : x + bitmap.shape[1]] |= bitmap
        classes = np.array([0, *(drawn.annotation.label + 1 for drawn in single)])
        for folder, values in ((OBJECTS, places), (CLASSES, classes[places])):
            numbers = number_of(values)
            numbers[void & (places == 0)] = VOID
            write_map(self.folder / folder / f"{image.path.stem}.png", numbers)
        _write_objects(self.folder / "Annotations" / f"{image.path.stem}.xml", image, self.names)
        self.stems[image.split].append(image.path.stem)

    def close(self) -> None:
        sets = self.folder / "ImageSets" / "Segmentation"
        sets.mkdir(parents=True, exist_ok=True)
        for split, stems in self.stems.items():
            write_text(sets / f"{split or 'default'}.txt", "".join(f"{stem}\n" for stem in stems))
        lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
        for label, name in enumerate(self.names):
            colour = ",".join(map(str, colours(np.array(number_of(label + 1))).tolist()))
            lines.append(f"{name}:{colour}::")
        write_text(self.folder / "labelmap.txt", "\n".join(lines) + "\n")


def _write_objects(file: Path, image: LabelledImage, names: Sequence[str]) -> None:
    """The objects of an image; crowds are marked as difficult."""
    height, width = image.record.size
    lines = [
        "<annotation>",
        "<folder>JPEGImages</folder>",
        f"<filename>{escape(image.path.name)}</filename>",
        f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
        "<segmented>1</segmented>",
    ]
    for drawn in image.objects:
        x1, y1, x2, y2 = drawn.box
        corners = zip(SIDES, (x1 + 1, y1 + 1, x2, y2), strict=True)
        box = "".join(f"<{side}>{value:.10g}</{side}>" for side, value in corners)
        lines.append(
            f"<object><name>{escape(names[drawn.annotation.label])}</name><pose>Unspecified</pose><truncated>0</truncated>"
            f"<difficult>{int(drawn.annotation.crowd)}</difficult><bndbox>{box}</bndbox></object>"
        )
    write_text(file, "\n".join([*lines, "</annotation>", ""]))
