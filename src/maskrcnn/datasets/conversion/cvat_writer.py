"""Writes CVAT for images 1.1: annotations.xml, and the images of each split in images/<split>/.

Masks without holes are written as polygons, others as masks, objects without a mask as boxes.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from maskrcnn.annotations.objects import Drawn
from maskrcnn.datasets.conversion.dataset_writer import DatasetWriter, LabelledImage, polygons_of
from maskrcnn.datasets.formats.cvat import CROWD


class CvatWriter(DatasetWriter):
    """annotations.xml with images/train and so on."""

    def start(self) -> None:
        self.count = 0
        self.stream = self.open(self.folder / "annotations.xml")
        self.stream.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n')
        self.stream.write("<meta><task><labels>\n")
        for name in self.names:
            self.stream.write(
                f"<label><name>{escape(name)}</name><attributes><attribute><name>{CROWD}</name><mutable>False</mutable>"
                "<input_type>checkbox</input_type><default_value>false</default_value><values>false</values>"
                "</attribute></attributes></label>\n"
            )
        self.stream.write("</labels></task></meta>\n")

    def image_folder(self, split: str) -> Path:
        return self.folder / "images" / split

    def add(self, image: LabelledImage) -> None:
        subset = f" subset={quoteattr(image.split)}" if image.split else ""
        height, width = image.record.size
        self.stream.write(
            f'<image id="{self.count}" name={quoteattr(image.path.name)}{subset} width="{width}" height="{height}">\n'
        )
        self.count += 1
        for group, drawn in enumerate(image.objects, start=1):
            forms = _forms(drawn)
            label = quoteattr(self.names[drawn.annotation.label])
            grouped = f' group_id="{group}"' if len(forms) > 1 else ""
            crowd = f'<attribute name="{CROWD}">true</attribute>' if drawn.annotation.crowd else ""
            for tag, attributes in forms:
                start = f'<{tag} label={label} source="manual" occluded="0" {attributes} z_order="0"{grouped}>'
                self.stream.write(f"{start}{crowd}</{tag}>\n")
        self.stream.write("</image>\n")

    def close(self) -> None:
        self.stream.write("</annotations>\n")
        self.streams.close()


def _forms(drawn: Drawn) -> list[tuple[str, str]]:
    """Tag and attributes of each shape that makes up an object."""
    if drawn.crop is None:
        sides = zip(("xtl", "ytl", "xbr", "ybr"), map(float, drawn.box), strict=True)
        return [("box", " ".join(f'{name}="{side!r}"' for name, side in sides))]
    polygons = polygons_of(drawn)
    if polygons is not None:
        points = (polygon.reshape(-1, 2).tolist() for polygon in polygons)
        return [("polygon", f'points="{";".join(f"{x!r},{y!r}" for x, y in pairs)}"') for pairs in points]
    bitmap, x, y = drawn.crop
    flat = np.concatenate(([False], bitmap.ravel(), [not bitmap[-1, -1]]))
    runs = np.diff(np.flatnonzero(flat[1:] != flat[:-1]), prepend=0)
    rle = ", ".join(map(str, runs.tolist()))
    height, width = bitmap.shape
    return [("mask", f'rle="{rle}" left="{x}" top="{y}" width="{width}" height="{height}"')]
