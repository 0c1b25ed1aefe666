"""Each common mistake behind an AP of zero, planted, is named; a sound set-up is not accused of it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import numpy as np
import pytest

from maskrcnn.evaluation.box_probe import READINGS, BoxProbe
from maskrcnn.evaluation.class_mixups import mixed_up_classes
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.evaluation.subject import Subject
from maskrcnn.evaluation.tables import TableBuilder
from maskrcnn.evaluation.zero_ap import explain_zero_ap, nothing_to_measure
from maskrcnn.masks import Crop, Masks

NAMES = ("cat", "dog", "bird")
Simulate = Callable[..., list[EvaluatedImage]]


def told(samples: list[EvaluatedImage], names: tuple[str, ...] = NAMES) -> dict[str, Recommendation]:
    builder, probe = TableBuilder(names), BoxProbe()
    for sample in samples:
        builder.update(sample)
        probe.update(sample)
    tables, subject = builder.tables(), Subject("mine", "my data", "val")
    setup = [
        *nothing_to_measure(tables, 0.05, subject),
        *probe.advice(subject),
        *mixed_up_classes(tables, names, subject),
    ]
    decisive = any(finding.decisive for finding in setup)
    return {finding.topic: finding for finding in (*setup, *(() if decisive else explain_zero_ap(tables, subject)))}


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
    assert set(found) == {"labels-shifted"}
    assert "'cat' as 'dog'" in found["labels-shifted"].evidence
    assert found["labels-shifted"].command == "maskrcnn dataset view 'my data' --split val --out labels.png"


def test_two_classes_that_changed_places(simulate: Simulate) -> None:
    samples = good(simulate)
    for sample in samples:
        sample.labels = np.array([1, 0, 2])[sample.labels]
    assert "'cat' as 'dog'" in told(samples)["labels-shifted"].evidence


def test_a_confusion_is_no_exchange(simulate: Simulate) -> None:
    samples = good(simulate)
    for sample in samples:
        sample.labels = np.where(sample.labels == 1, 0, sample.labels)
    assert "labels-shifted" not in told(samples)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (1, 0), (14, -10), (-30, 0), (0, 8)])
def test_labels_that_lie_beside_their_objects(simulate: Simulate, x: int, y: int) -> None:
    samples = []
    for sample in simulate(3, crowds=0, wrong_class=0, shift=0.05, cut=0.05, rate=4, largest=60):
        boxes = sample.truth.boxes + np.array([x, y, x, y], dtype=np.float32)
        samples.append(with_truth(sample, boxes=boxes, crops=[None] * len(boxes)))
    found = told(samples)
    assert ("labels-moved" in found) == (max(abs(x), abs(y)) > 5)
    if "labels-moved" in found:
        move = [int(number) for number in re.findall(r"[xy] ([+-]\d+)", found["labels-moved"].evidence)]
        assert move == pytest.approx([-x, -y], abs=2)
        side = f"{'right' if x > 0 else 'left'}" if x else f"{'below' if y > 0 else 'above'}"
        assert side in found["labels-moved"].what


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
