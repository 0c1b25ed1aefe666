"""Labelled outlines with few corners, planted under masks that are round."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.evaluator import evaluate
from maskrcnn.evaluation.subject import Subject
from maskrcnn.inference.predictor import Predictor
from maskrcnn.masks import Crop, Masks
from maskrcnn.results.result import Result
from tests.conftest import write_coco
from tests.parsed_calls import check_call


def diamond(box: list[float], points: int) -> list[float]:
    """The corners of a diamond in a box (x, y, width, height), and points on its edges: this many in all."""
    x, y, width, height = box
    corners = np.array(
        [[x + width / 2, y], [x + width, y + height / 2], [x + width / 2, y + height], [x, y + height / 2]]
    )
    share = np.linspace(0, 1, points // 4, endpoint=False)[:, None]
    edges = [corners[k] + share * (corners[(k + 1) % 4] - corners[k]) for k in range(4)]
    return np.concatenate(edges).round(2).flatten().tolist()


@pytest.fixture
def measured(oracle: Callable[..., Predictor], tmp_path: Path) -> Callable[[int], Evaluation]:
    """Of a model that finds each object's box, and an ellipse in it; the labels are diamonds of some points."""

    def measure(points: int) -> Evaluation:
        folder = tmp_path / str(points)
        write_coco(folder, "val", 6, side=256)
        content = json.loads((folder / "val.json").read_text())
        for annotation in content["annotations"]:
            annotation["segmentation"] = [diamond(annotation["bbox"], points)]
        (folder / "val.json").write_text(json.dumps(content))

        def ellipses(found: Result) -> Result:
            masks = Masks([_ellipse(crop) for crop in found.masks.crops], found.size)
            return Result(found.boxes, found.scores, found.labels, masks, found.class_names, found.size, found.image)

        model = oracle(folder, ("disc", "triangle"), change=ellipses)
        subject = Subject("people", str(folder), "val")
        return evaluate(model, open_dataset(folder, "val"), analyse=True, subject=subject)

    return measure


def _ellipse(crop: Crop) -> Crop:
    height, width = crop.bitmap.shape
    y, x = np.mgrid[:height, :width]
    return Crop(((y + 0.5) / height * 2 - 1) ** 2 + ((x + 0.5) / width * 2 - 1) ** 2 <= 1, crop.x, crop.y)


def test_coarse_outlines_come_first(measured: Callable[[int], Evaluation]) -> None:
    found = measured(4).next_steps[0]
    assert found.topic == "masks-behind-boxes"
    assert "outlines are coarse" in found.what
    assert "Half of the outlines have 4 corners or fewer" in found.evidence
    assert "more points" in found.action
    assert found.call is not None
    assert check_call(found.call)[0] == "view_dataset"


def test_outlines_of_many_points_are_not_called_coarse(measured: Callable[[int], Evaluation]) -> None:
    found = measured(40).next_steps[0]
    assert found.topic == "masks-behind-boxes"
    assert "coarse" not in found.what
    assert "corners" not in found.evidence
