"""Measuring a model on a data set: classes by name, the limit of detections, and images that cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maskrcnn.data.dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluate.evaluator import class_map, evaluate
from maskrcnn.masks import Masks
from maskrcnn.model.config import preset
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.predict.predictor import Predictor
from maskrcnn.predict.result import Result


class Oracle(Predictor):
    """Answers each image with its labels, in the order asked."""

    def __init__(self, data: Path, names: tuple[str, ...]) -> None:
        config = preset("lite").replace(backbone="resnet18", box_hidden=(8,), max_detections=9)
        super().__init__(MaskRCNN(config, names), "cpu", "fp32")
        self.data, self.calls, self.limits = open_dataset(data, "val"), 0, []

    def predict(self, images, score=0.5, batch_size=None):  # type: ignore[no-untyped-def, override]
        index = next(i for i in range(len(self.data)) if np.array_equal(self.data.pixels(i), images))
        self.limits.append(self.model.config.max_detections)
        objects = self.data.objects(index)
        labels = np.array([self.names.index(self.data.names[label]) for label in objects.labels], dtype=np.int64)
        size = images.shape[:2]
        scores = np.linspace(0.9, 0.5, len(labels), dtype=np.float32)
        return Result(objects.boxes, scores, labels, Masks(objects.crops, size), self.names, size)


def test_the_truth_scores_a_hundred_whatever_the_order_of_names(shapes: Path) -> None:
    oracle = Oracle(shapes, ("star", "triangle", "disc"))
    steps: list[int] = []
    result = evaluate(oracle, open_dataset(shapes, "val"), advance=lambda: steps.append(1))
    assert result.metrics["mask_AP"] == result.metrics["box_AP"] == pytest.approx(100)
    assert set(result.per_class) == {"disc", "triangle"}
    assert len(steps) == result.images == 4


def test_the_limit_of_detections_is_the_models_unless_given(shapes: Path) -> None:
    oracle = Oracle(shapes, ("disc", "triangle"))
    assert evaluate(oracle, open_dataset(shapes, "val")).max_detections == 9
    result = evaluate(oracle, open_dataset(shapes, "val"), max_detections=1)
    assert result.max_detections == oracle.limits[-1] == 1
    assert oracle.model.config.max_detections == 9
    assert result.metrics["mask_AP"] < 100


def test_an_unreadable_image_is_told_and_the_rest_measured(shapes: Path) -> None:
    oracle, dataset = Oracle(shapes, ("disc", "triangle")), open_dataset(shapes, "val")
    (shapes / "val" / "3.png").write_bytes(b"")
    oracle.data.records.pop(2)
    result = evaluate(oracle, dataset)
    assert result.images == 3
    assert len(result.problems) == 1
    assert "3.png" in result.problems[0]


def test_classes_are_matched_by_name() -> None:
    assert class_map(("a", "b", "c"), ("c", "a")).tolist() == [1, -1, 0]
    assert class_map(("nucleus",), ("object",)).tolist() == [0]
    with pytest.raises(MaskRCNNError, match="no name in common"):
        class_map(("a", "b"), ("c",))
