"""Writes YOLO segmentation labels (see `formats.yolo`): images/train with labels/train, and so on, and a data.yaml.

An object of several parts or with holes becomes one polygon, joined by bridges of no width.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from maskrcnn.annotations.objects import Drawn
from maskrcnn.datasets.conversion.dataset_writer import DatasetWriter, LabelledImage
from maskrcnn.masks.crop import Crop
from maskrcnn.masks.outline import join, outline
from maskrcnn.masks.polygons import rasterise
from maskrcnn.output.atomic_file import write_text


class YoloWriter(DatasetWriter):
    """images/train and labels/train, and so on, with a data.yaml."""

    takes_crowds = False

    def start(self) -> None:
        self.masks = self.boxes = 0

    def image_folder(self, split: str) -> Path:
        return self.folder / "images" / split

    def add(self, image: LabelledImage) -> None:
        lines = []
        for drawn in image.objects:
            values = self._fractions(drawn, image.record.size)
            lines.append(" ".join([str(drawn.annotation.label), *map(repr, values.tolist())]) + "\n")
        file = self.folder / "labels" / image.split / f"{image.path.stem}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, "".join(lines))

    def _fractions(self, drawn: Drawn, size: tuple[int, int]) -> np.ndarray:
        scale = np.array(size[::-1], dtype=np.float64)
        if drawn.crop is None:
            self.boxes += 1
            corners = np.array(drawn.box, dtype=np.float64).reshape(2, 2)
            return np.concatenate((corners.mean(axis=0) / scale, (corners[1] - corners[0]) / scale))
        self.masks += 1
        polygon, joined = _one_polygon(drawn.annotation.segmentation, drawn.crop, size)
        self.omissions.add("joined", int(joined))
        return (polygon.reshape(-1, 2) / scale).ravel()

    def close(self) -> None:
        if self.masks:
            self.omissions.add("boxes-beside-masks", self.boxes)
        known = {"training": "train", "valid": "val", "validation": "val"}
        places = {known.get(split, split) or "train": f"images/{split}".strip("/") for split in self.splits}
        content = places | {"names": dict(enumerate(self.names))}
        write_text(self.folder / "data.yaml", yaml.safe_dump(content, allow_unicode=True, sort_keys=False))


def _one_polygon(segmentation: object, crop: Crop, size: tuple[int, int]) -> tuple[np.ndarray, bool]:
    """A polygon that draws the mask, and whether it is joined from several rings."""
    limit = np.array(size[::-1])
    # The source's own polygons are kept where they lie inside the image and do not overlap each other.
    if isinstance(segmentation, list):
        inside = all(((p.reshape(-1, 2) >= 0) & (p.reshape(-1, 2) <= limit)).all() for p in segmentation)
        if inside and len(segmentation) == 1:
            return segmentation[0], False
        if inside:
            polygon = join(segmentation)
            drawn = rasterise([polygon], size)
            if drawn[1:] == crop[1:] and np.array_equal(drawn.bitmap, crop.bitmap):
                return polygon, True
    parts, holes = outline(crop)
    return join([*parts, *holes]), len(parts) + len(holes) > 1
