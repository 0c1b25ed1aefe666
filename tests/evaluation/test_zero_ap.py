"""Each common mistake behind an AP of zero, planted, is named; a sound set-up is not accused of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.evaluation.tables import TableBuilder
from maskrcnn.evaluation.zero_ap import READINGS, BoxProbe, explain_zero_ap
from maskrcnn.masks import Crop, Masks

NAMES = ("cat", "dog", "bird")
Simulate = Callable[..., list[EvaluatedImage]]


def told(samples: list[EvaluatedImage], names: tuple[str, ...] = NAMES) -> dict[str, Recommendation]:
    builder, probe = TableBuilder(names), BoxProbe()
    for sample in samples:
        builder.update(sample)
        probe.update(sample)
    return {finding.topic: finding for finding in explain_zero_ap(builder.tables(), probe, names, 0.05)}


def good(simulate: Simulate) -> list[EvaluatedImage]:
    return simulate(0, crowds=0, wrong_class=0, shift=0.05, cut=0.05)


def with_truth(sample: EvaluatedImage, **changes: object) -> EvaluatedImage:
    return dataclasses.replace(sample, truth=dataclasses.replace(sample.truth, **changes))


def test_a_sound_set_up_is_only_told_its_scores(simulate: Simulate) -> None:
    assert set(told(good(simulate))) == {"scores"}


def test_no_truth(simulate: Simulate) -> None:
    nothing = [with_truth(sample, crowd=np.ones(len(sample.truth.crowd), dtype=bool)) for sample in good(simulate)]
    found = told(nothing)
    assert set(found) == {"no-truth"}
    assert "crowd region" in found["no-truth"].evidence


def test_no_masks(simulate: Simulate) -> None:
    boxes = [with_truth(sample, crops=[None] * len(sample.truth.crops)) for sample in good(simulate)]
    assert "no-masks" in told(boxes)


def test_no_detections(simulate: Simulate) -> None:
    found = told([sample.above(2.0) for sample in good(simulate)])
    assert set(found) == {"no-detections"}
    assert "0.05" in found["no-detections"].evidence


def test_classes_that_never_meet(simulate: Simulate) -> None:
    samples = [with_truth(sample, labels=np.zeros_like(sample.truth.labels)) for sample in good(simulate)]
    for sample in samples:
        sample.labels = np.full_like(sample.labels, 2)
    found = told(samples)
    assert "'cat'" in found["classes-apart"].evidence
    assert "'bird'" in found["classes-apart"].evidence


def test_shifted_labels(simulate: Simulate) -> None:
    samples = good(simulate)
    for sample in samples:
        sample.labels = (sample.labels + 1) % 3
    found = told(samples)
    assert "labels-shifted" in found
    assert "is called" in found["labels-shifted"].evidence


def test_masks_apart_from_boxes(simulate: Simulate) -> None:
    samples = []
    for sample in good(simulate):
        assert sample.masks is not None
        thin = [
            Crop(crop.bitmap & (np.indices(crop.bitmap.shape)[0] % 5 == 0), crop.x, crop.y) for crop in sample.masks
        ]
        samples.append(dataclasses.replace(sample, masks=Masks(thin, sample.size)))
    assert "masks-apart" in told(samples)


WRITTEN = {
    # How a wrong file turns true boxes (x1, y1, x2, y2) into those that were read.
    "xyxy-as-xywh": lambda b, size: np.stack((b[:, 0], b[:, 1], b[:, 0] + b[:, 2], b[:, 1] + b[:, 3]), axis=1),
    "xywh-as-xyxy": lambda b, size: np.stack((b[:, 0], b[:, 1], b[:, 2] - b[:, 0], b[:, 3] - b[:, 1]), axis=1),
    "x-y-swapped": lambda b, size: b[:, [1, 0, 3, 2]],
    "mirrored": lambda b, size: np.stack((size[1] - b[:, 2], b[:, 1], size[1] - b[:, 0], b[:, 3]), axis=1),
    "upside-down": lambda b, size: np.stack((b[:, 0], size[0] - b[:, 3], b[:, 2], size[0] - b[:, 1]), axis=1),
    "turned": lambda b, size: np.array([*size[::-1], *size[::-1]])[[0, 1, 2, 3]] - b[:, [2, 3, 0, 1]],
    "halved": lambda b, size: b / 2,
    "doubled": lambda b, size: b * 2,
    "quartered": lambda b, size: b / 4,
    "quadrupled": lambda b, size: b * 4,
}


def test_every_reading_is_planted() -> None:
    assert WRITTEN.keys() == READINGS.keys()


@pytest.mark.parametrize("name", WRITTEN)
def test_misread_boxes(simulate: Simulate, name: str) -> None:
    samples = []
    for sample in simulate(3, crowds=0, wrong_class=0, shift=0.05, cut=0.05, rate=4, largest=90):
        boxes = WRITTEN[name](sample.truth.boxes.astype(np.float64), sample.size)
        samples.append(with_truth(sample, boxes=boxes, crops=[None] * len(boxes)))
    assert f"boxes-{name}" in told(samples)


def test_unsure_and_sure_models_are_told_apart(simulate: Simulate) -> None:
    unsure, sure = good(simulate), good(simulate)
    for sample in unsure:
        sample.scores = sample.scores * 0.3
    assert "sure of none" in told(unsure)["scores"].what
    assert "disagree" in told(sure)["scores"].what
