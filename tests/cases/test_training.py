"""Advice on data of 80 classes for a model of one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskrcnn.data.dataset import open_dataset
from maskrcnn.evaluate.evaluator import evaluate
from maskrcnn.masks import Masks
from maskrcnn.model.config import preset
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.predict.predictor import Predictor
from maskrcnn.predict.result import Result

SIDE, CLASSES = 100, 80


def write_classes(folder: Path) -> None:
    """COCO data of 80 classes, an object each and a second person, on images of ten objects."""
    names = ["person", *(f"thing {number}" for number in range(1, CLASSES))]
    (folder / "val").mkdir(parents=True)
    images, annotations = [], []
    for place, label in enumerate([0, *range(CLASSES)]):
        image, cell = divmod(place, 10)
        x, y = 10 * cell, 40
        polygon = [x, y, x + 8, y, x + 8, y + 20, x, y + 20]
        annotations.append(
            {"id": place + 1, "image_id": image + 1, "category_id": label + 1, "iscrowd": 0, "area": 160,
             "bbox": [x, y, 8, 20], "segmentation": [polygon]}
        )  # fmt: skip
    for number in range(1, annotations[-1]["image_id"] + 1):
        Image.new("RGB", (SIDE, SIDE), (number, 0, 0)).save(folder / "val" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": SIDE, "height": SIDE})
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(names)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "val.json").write_text(json.dumps(content))


class People(Predictor):
    """Calls every object a person and is surer of the persons, except the second: AP is 51 of 101 recall points."""

    def __init__(self, data: Path) -> None:
        config = preset("lite").replace(backbone="resnet18", box_hidden=(8,), max_detections=100)
        super().__init__(MaskRCNN(config, ("person",)), "cpu", "fp32")
        self.data = open_dataset(data, "val")

    def stream(self, images: Any, score: float = 0.5, batch_size: int | None = None) -> Iterator[Any]:
        for index, read in enumerate(images):
            objects = self.data.objects(index)
            scores = np.where((objects.labels == 0) & (np.arange(len(objects.labels)) == 0), 0.99, 0.8)
            rows = np.flatnonzero((objects.labels != 0) | (scores > 0.9))
            masks = Masks([objects.crops[row] for row in rows], (SIDE, SIDE))
            labels = np.zeros(len(rows), dtype=np.int64)
            boxes, scores = objects.boxes[rows], scores[rows].astype(np.float32)
            yield Result(boxes, scores, labels, masks, self.names, (SIDE, SIDE), read())


def test_evaluate_advice_unknown_classes(case: Path, tmp_path: Path) -> None:
    write_classes(tmp_path / "data")
    result = evaluate(People(tmp_path / "data"), open_dataset(tmp_path / "data", "val"), analyse=True)
    person = result.per_class["person"]["mask_AP"]
    assert person == pytest.approx(100 * 51 / 101)
    assert result.metrics["mask_AP"] == pytest.approx(person / CLASSES)
    assert result.known_metrics["mask_AP"] == person
    first = result.findings[0]
    assert first.topic == "unknown-classes"
    assert "79 classes of 80 that are labelled here are not known to the model" in first.what
    assert f"mask AP {person:.1f}" in first.evidence
    assert not [finding for finding in result.findings if "labels disagree" in finding.what]
