"""Our matching agrees with COCO's: the same AP at every IoU, for boxes and masks, with crowds and ties."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from maskrcnn.annotations.objects import Objects
from maskrcnn.evaluation.coco_metrics import CocoMetrics
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.matching import IOUS, average_precision, class_precisions, match_detections
from maskrcnn.evaluation.tables import TableBuilder, Tables
from maskrcnn.masks import Crop, Masks

NAMES = ("a", "b", "c")
Simulate = Callable[..., list[EvaluatedImage]]


def gathered(samples: list[EvaluatedImage]) -> Tables:
    builder = TableBuilder(NAMES)
    for sample in samples:
        builder.update(sample)
    return builder.tables()


@pytest.mark.parametrize("kind", ["box", "mask"])
@pytest.mark.parametrize(("seed", "crowds"), [(0, 0.1), (1, 0.5), (2, 0.0)])
def test_class_ap_is_cocos_at_every_iou(simulate: Simulate, kind: str, seed: int, crowds: float) -> None:
    # One decimal of score makes many ties; falling ids put the images into another order.
    samples = simulate(seed, crowds=crowds, digits=1)
    for number, sample in enumerate(samples):
        sample.image_id = 1000 - number
        crops = [None if i % 5 == 0 else crop for i, crop in enumerate(sample.truth.crops)]
        sample.truth = dataclasses.replace(sample.truth, crops=crops)
    metrics, tables = CocoMetrics(NAMES, 1000), gathered(samples)
    for sample in samples:
        metrics.update(sample)
    precision, _ = metrics.arrays(kind)
    for place, iou in enumerate(IOUS):
        expected = precision[place, :, :, 0, -1].mean(axis=0) * 100
        assert class_precisions(tables, match_detections(tables, kind, iou)) == pytest.approx(expected, abs=1e-6)


def pair(label: Callable[..., Objects], shifts: list[int], crowd: bool = False) -> Tables:
    """Squares of 20 pixels found `shifts` pixels from one object, the first with the highest score."""
    truth = label([Crop(np.ones((20, 20), dtype=bool), 40, 40)], [0], [crowd])
    crops = [Crop(np.ones((20, 20), dtype=bool), 40 + shift, 40) for shift in shifts]
    boxes = np.array([crop.box for crop in crops], dtype=np.float32)
    scores = np.linspace(0.9, 0.1, len(shifts))
    sample = EvaluatedImage(1, (100, 100), truth, boxes, scores, np.zeros(len(shifts), int), Masks(crops, (100, 100)))
    return gathered([sample])


def test_the_better_score_comes_first_and_a_second_one_is_wrong(label: Callable[..., Objects]) -> None:
    matches = match_detections(pair(label, [3, 0]), "mask")
    assert matches.correct.tolist() == [True, False]
    assert matches.judged.all()
    assert matches.found.tolist() == [True]


def test_the_iou_decides(label: Callable[..., Objects]) -> None:
    # A shift of 5 of 20 pixels leaves 15 / 25.
    tables = pair(label, [5])
    assert match_detections(tables, "mask", 0.6).correct.tolist() == [True]
    assert match_detections(tables, "mask", 0.61).correct.tolist() == [False]


def test_all_detections_in_a_region_are_left_unjudged(label: Callable[..., Objects]) -> None:
    matches = match_detections(pair(label, [0, 1, 15], crowd=True), "mask")
    assert matches.ignored.tolist() == [True, True, False]
    assert not matches.correct.any()
    assert not matches.found.any()


def test_average_precision_by_hand() -> None:
    # Precision 1 up to recall 0.5, 2/3 up to 1: 51 and 50 of the 101 points.
    value = average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 2)
    assert value == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert average_precision(np.zeros(0), np.zeros(0, bool), 3) == 0
    assert np.isnan(average_precision(np.array([0.5]), np.array([False]), 0))
