"""Advice follows from the numbers: each fault, planted, is named with its figures, and a sound model hears little."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from maskrcnn.annotations.objects import Objects
from maskrcnn.config import preset
from maskrcnn.evaluation.analysis import analyse_tables
from maskrcnn.evaluation.coco_metrics import CocoMetrics
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.next_steps import next_steps
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.evaluation.tables import TableBuilder
from maskrcnn.masks import Crop, Masks
from maskrcnn.text import plural, quoted

NAMES = ("cat", "dog", "bird")
SIZE = (400, 400)
Label = Callable[..., Objects]


def found(samples: list[EvaluatedImage], limit: int = 100) -> dict[str, Recommendation]:
    builder, metrics = TableBuilder(NAMES), CocoMetrics(NAMES, limit)
    for sample in samples:
        builder.update(sample)
        metrics.update(sample)
    analysis = analyse_tables(builder.tables(), limit)
    values = metrics.compute() | analysis.metrics()
    rows = {name: row | more for (name, row), more in zip(metrics.per_class.items(), analysis.per_class(), strict=True)}
    return {finding.topic: finding for finding in next_steps(analysis, values, rows, preset("lite"))}


def grid(label: Label, images: int = 30, side: int = 40) -> list[EvaluatedImage]:
    """Nine squares an image, three of each class, each found exactly with a score of 0.9."""
    crops = [Crop(np.ones((side, side), dtype=bool), 20 + 120 * x, 20 + 120 * y) for y in range(3) for x in range(3)]
    labels = np.arange(9) % 3
    samples = []
    for number in range(images):
        truth = label(crops, labels)
        samples.append(
            EvaluatedImage(number, SIZE, truth, truth.boxes, np.full(9, 0.9), labels.copy(), Masks(crops, SIZE))
        )
    return samples


def without(sample: EvaluatedImage, kept: np.ndarray) -> EvaluatedImage:
    assert sample.masks is not None
    parts = {name: getattr(sample, name)[kept] for name in ("boxes", "scores", "labels", "masks")}
    return dataclasses.replace(sample, **parts)


def test_a_perfect_model_only_hears_its_threshold(label: Label) -> None:
    advice = found(grid(label))
    assert set(advice) == {"threshold"}
    assert "0.45" in advice["threshold"].what
    assert "100% of the objects" in advice["threshold"].evidence


def test_scores_that_promise_too_little(label: Label) -> None:
    modest = [dataclasses.replace(sample, scores=sample.scores - 0.3) for sample in grid(label)]
    assert "too modest" in found(modest)["calibration"].what


def test_missed_small_objects_ask_for_a_larger_input(label: Label) -> None:
    samples = [without(sample, np.arange(9) > 2) for sample in grid(label, side=12)]
    finding = found(samples)["error-missed"]
    assert "90 objects, all of them small" in finding.what
    assert "cost 100% of the lost AP50" in finding.what
    assert "12 px wide in the image and 15 px in the network" in finding.evidence
    assert "larger input size than 512 px" in finding.action


def test_missed_large_objects_do_not(label: Label) -> None:
    samples = [without(sample, np.arange(9) > 2) for sample in grid(label, side=100)]
    finding = found(samples)["error-missed"]
    assert "large" in finding.what
    assert "add training images" in finding.action


def test_a_confused_pair_is_named(label: Label) -> None:
    samples = grid(label)
    for sample in samples[:10]:
        sample.labels = np.where(sample.labels == 0, 1, sample.labels)
    finding = found(samples)["error-class"]
    assert "'cat' is called 'dog'" in finding.what
    assert "30 of 90" in finding.evidence
    assert "'cat', 'dog'" in finding.action


def more(sample: EvaluatedImage, crops: list[Crop], score: float) -> EvaluatedImage:
    """The sample with further detections of cats."""
    boxes = np.array([crop.box for crop in crops], dtype=np.float32)
    return dataclasses.replace(
        sample,
        boxes=np.concatenate((sample.boxes, boxes)),
        scores=np.append(sample.scores, np.full(len(crops), score)),
        labels=np.append(sample.labels, np.zeros(len(crops), dtype=int)),
        masks=Masks([*sample.truth.crops, *crops], sample.size),
    )


def test_false_alarms_sure_or_not(label: Label) -> None:
    alarm = [Crop(np.ones((30, 30), dtype=bool), 70, 70)]
    sure = found([more(sample, alarm, 0.95) for sample in grid(label)])["error-background"]
    assert "30 detections" in sure.what
    assert "forgot to label" in sure.action
    unsure = found([more(dataclasses.replace(s, scores=s.scores * 0.5), alarm, 0.6) for s in grid(label)])
    assert "Raise the score threshold" in unsure["error-background"].action


def test_duplicates_and_poor_overlaps(label: Label) -> None:
    twice = found([more(s, [s.truth.crops[0]] * 3, 0.95) for s in grid(label)])["error-duplicate"]
    assert "nms_threshold" in twice.action
    assert "0.5" in twice.evidence
    samples = grid(label)
    for sample in samples:
        assert sample.masks is not None
        shifted = [Crop(crop.bitmap, crop.x + 16, crop.y) for crop in sample.masks]
        sample.masks = Masks([*shifted[:5], *sample.masks.crops[5:]], SIZE)
        sample.__dict__.pop("rle", None)
    poor = found(samples)["error-location"]
    assert "150 detections above the threshold" in poor.what
    assert "medium" in poor.evidence


def test_saturation_and_what_to_try(label: Label) -> None:
    finding = found(grid(label), limit=9)["max-detections"]
    assert "9 detections" in finding.what
    assert "30 images" in finding.what
    assert "--max-detections 18" in finding.action


def test_few_images_rare_and_absent_classes(label: Label) -> None:
    samples = [without(sample, sample.labels != 2) for sample in grid(label, images=3)]
    advice = found(samples)
    assert "3 images" in advice["few-images"].what
    assert "'cat'" in advice["rare-classes"].what
    assert "1 class is never predicted: 'bird'" in advice["never-predicted"].what
    assert "9 objects" in advice["never-predicted"].evidence


def test_overconfidence_and_wrong_counts(label: Label) -> None:
    alarms = [Crop(np.ones((30, 30), dtype=bool), 70, y) for y in (70, 190, 310)]
    samples = [more(sample, alarms, 0.9) for sample in grid(label)]
    advice = found(samples)
    assert "promise too much" in advice["calibration"].what
    assert "75% of cases" in advice["calibration"].evidence
    assert "Counts are 33% too high" in advice["counting"].what
    assert "360 detections of 270 objects" in advice["counting"].evidence


def test_rough_outlines(label: Label) -> None:
    samples = grid(label, side=100)
    for sample in samples:
        ragged = np.ones((100, 100), dtype=bool)
        ragged[::2, :8] = ragged[::2, -8:] = ragged[:8, ::2] = ragged[-8:, ::2] = False
        sample.masks = Masks([Crop(ragged, crop.x, crop.y) for crop in sample.truth.crops], SIZE)
    advice = found(samples)
    assert "rough-outlines" in advice
    assert "Boundary AP is" in advice["rough-outlines"].evidence


def test_the_dearest_mistake_leads(label: Label) -> None:
    samples = [without(sample, np.arange(9) > 5) for sample in grid(label, side=12)]
    samples[0].labels = np.where(samples[0].labels == 0, 1, samples[0].labels)
    assert next(iter(found(samples))) == "error-missed"


def test_words() -> None:
    assert [plural(1, "class"), plural(2, "class"), plural(1200, "image")] == ["1 class", "2 classes", "1,200 images"]
    assert quoted(["a", "b", "c"], 2) == "'a', 'b' and 1 more"
