"""Writes labelme files: a .json beside each image in a folder a split, and labels.txt.

Masks without holes are written as polygons, others as mask shapes, objects without a mask as rectangles.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskrcnn.annotations.objects import Drawn
from maskrcnn.datasets.conversion.dataset_writer import DatasetWriter, LabelledImage, polygons_of
from maskrcnn.datasets.formats.labelme_shapes import CROWD
from maskrcnn.output.atomic_file import write_text

_VERSION = "5.5.0"


class LabelmeWriter(DatasetWriter):
    """train/a.jpg with train/a.json, and so on; in the folder itself for data without splits."""

    def image_folder(self, split: str) -> Path:
        return self.folder / split

    def add(self, image: LabelledImage) -> None:
        shapes: list[dict[str, Any]] = []
        for group, drawn in enumerate(image.objects, start=1):
            forms = _forms(drawn)
            flags = {CROWD: True} if drawn.annotation.crowd else {}
            for kind, points, mask in forms:
                shapes.append(
                    {
                        "label": self.names[drawn.annotation.label],
                        "points": points,
                        "group_id": group if len(forms) > 1 else None,
                        "description": "",
                        "shape_type": kind,
                        "flags": flags,
                        "mask": mask,
                    }
                )
        content: dict[str, Any] = {
            "version": _VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": image.path.name,
            "imageData": None,
            "imageHeight": image.record.height,
            "imageWidth": image.record.width,
        }
        write_text(image.path.with_suffix(".json"), json.dumps(content, ensure_ascii=False))

    def close(self) -> None:
        write_text(self.folder / "labels.txt", "".join(f"{name}\n" for name in self.names))


def _forms(drawn: Drawn) -> list[tuple[str, list[list[float]], str | None]]:
    """shape_type, points and mask of each shape that makes up an object."""
    if drawn.crop is None:
        x1, y1, x2, y2 = drawn.box
        return [("rectangle", [[x1, y1], [x2, y2]], None)]
    polygons = polygons_of(drawn)
    if polygons is not None:
        return [("polygon", polygon.reshape(-1, 2).tolist(), None) for polygon in polygons]
    bitmap, x, y = drawn.crop
    buffer = io.BytesIO()
    Image.fromarray(bitmap.astype(np.uint8)).save(buffer, "PNG")
    corner = [float(x + bitmap.shape[1] - 1), float(y + bitmap.shape[0] - 1)]
    return [("mask", [[float(x), float(y)], corner], base64.b64encode(buffer.getvalue()).decode("ascii"))]
