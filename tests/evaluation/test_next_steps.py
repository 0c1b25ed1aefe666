"""Advice follows from the numbers: each fault, planted, is named with its figures, and a sound model hears little."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from maskrcnn.annotations.objects import Objects
from maskrcnn.config import Config, preset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.analysis import analyse_tables
from maskrcnn.evaluation.coco_metrics import CocoMetrics
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.facts import Facts
from maskrcnn.evaluation.image_resampling import ImageResampling
from maskrcnn.evaluation.next_steps import next_steps
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.evaluation.tables import TableBuilder
from maskrcnn.masks import Crop, Masks
from maskrcnn.prediction.network import Network
from maskrcnn.prediction.prediction_options import PredictionOptions
from maskrcnn.runtime.artifact import Artifact
from maskrcnn.text import plural, quoted
from tests.parsed_calls import check_call

NAMES = ("cat", "dog", "bird")
SIZE = (400, 400)
Label = Callable[..., Objects]


def found(
    samples: list[EvaluatedImage],
    limit: int = 100,
    names: tuple[str, ...] = NAMES,
    config: Config | None = None,
    network: Network | None = None,
) -> dict[str, Recommendation]:
    builder, metrics = TableBuilder(names), CocoMetrics(names, limit)
    for sample in samples:
        builder.update(sample)
        metrics.update(sample)
    analysis = analyse_tables(builder.tables(), limit)
    values = metrics.compute() | analysis.metrics()
    rows = {name: row | more for (name, row), more in zip(metrics.per_class.items(), analysis.per_class(), strict=True)}
    config = (config or preset("lite")).replace(max_detections=limit)
    interval = ImageResampling(analysis.tables, analysis.tables.kind).interval()
    facts = Facts(analysis, values, rows, config, interval=interval, network=network)
    steps = next_steps(facts)
    for step in steps:
        if step.call is not None:
            check_call(step.call)
    return {step.topic: step for step in steps}


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


def first(advice: dict[str, Recommendation]) -> str:
    return next(iter(advice))


def test_a_perfect_model_hears_nothing(label: Label) -> None:
    assert found(grid(label)) == {}


def test_a_score_threshold_far_from_the_default(label: Label) -> None:
    low = found([dataclasses.replace(sample, scores=sample.scores - 0.6) for sample in grid(label)])
    assert first(low) == "threshold"
    assert "0.1" in low["threshold"].what
    assert "100% of the objects" in low["threshold"].evidence
    assert low["threshold"].gain == 100
    assert low["threshold"].measure == "F1"
    assert "--score 0.1" in low["threshold"].command


def test_scores_that_promise_too_little(label: Label) -> None:
    modest = [dataclasses.replace(sample, scores=sample.scores - 0.3) for sample in grid(label)]
    assert "too modest" in found(modest)["calibration"].what


def test_missed_small_objects_ask_for_a_larger_input(label: Label) -> None:
    # The smaller third of the objects is missed.
    samples = [without(mixed_sizes(label, sample), np.arange(9) > 2) for sample in grid(label)]
    advice = found(samples)
    assert first(advice) == "small-objects"
    assert "90 objects" in advice["small-objects"].what
    assert "12 px wide in the image and 15 px in the network" in advice["small-objects"].evidence
    assert "--size 1024" in advice["small-objects"].command
    assert advice["small-objects"].gain == pytest.approx(100 / 3, abs=40)
    assert "error-missed" not in advice


def mixed_sizes(label: Label, sample: EvaluatedImage) -> EvaluatedImage:
    """The same with objects of 12 pixels in the first row, and of 80 in the others."""
    crops = [
        Crop(np.ones((12 if row < 3 else 80,) * 2, dtype=bool), crop.x, crop.y)
        for row, crop in enumerate(sample.truth.crops)
        if crop is not None
    ]
    truth = label(crops, sample.labels)
    return dataclasses.replace(sample, truth=truth, boxes=truth.boxes, masks=Masks(crops, sample.size))


def test_small_objects_that_are_found_as_often_are_not_to_blame(label: Label) -> None:
    samples = grid(label, side=12)
    for number in range(10):
        samples[number] = without(samples[number], np.arange(9) > 2)
    advice = found(samples)
    assert "small-objects" not in advice
    assert first(advice) == "error-missed"


def test_missed_huge_objects_ask_for_a_smaller_input(label: Label) -> None:
    samples = []
    for number in range(30):
        crops = [Crop(np.ones((1000, 1000), dtype=bool), 0, 0), Crop(np.ones((60, 60), dtype=bool), 1010, 0)]
        truth = label(crops, np.zeros(2, dtype=int))
        sample = EvaluatedImage(
            number, (1080, 1080), truth, truth.boxes, np.full(2, 0.9), truth.labels.copy(), Masks(crops, (1080, 1080))
        )
        samples.append(sample if number < 5 else without(sample, np.array([False, True])))
    # 1000 of 1080 pixels are 474 in an input of 512; the largest anchors of lite are 384.
    assert "large-objects" not in found(samples)
    config = preset("lite").replace(anchor_sizes=(12, 24, 48, 96, 192))
    advice = found(samples, config=config)
    assert first(advice) == "large-objects"
    assert "25 objects" in advice["large-objects"].what
    assert "--size 1" in advice["large-objects"].command


def test_missed_large_objects_do_not_ask_for_a_larger_input(label: Label) -> None:
    samples = [without(sample, np.arange(9) > 2) for sample in grid(label, side=100)]
    finding = found(samples)["error-missed"]
    assert "90 of 270 objects" in finding.what
    assert "large" in finding.evidence
    assert "add training images" in finding.action
    assert "--init MODEL" in finding.command


def test_a_confused_pair_is_named(label: Label) -> None:
    samples = grid(label)
    for sample in samples[:10]:
        sample.labels = np.where(sample.labels == 0, 1, sample.labels)
    advice = found(samples)
    assert first(advice) == "error-class"
    finding = advice["error-class"]
    assert "'cat' is taken for 'dog'" in finding.what
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


def test_false_alarms_as_sure_as_right_ones_may_be_objects(label: Label) -> None:
    alarm = [Crop(np.ones((30, 30), dtype=bool), 70, 70)]
    advice = found([more(sample, alarm, 0.95) for sample in grid(label)])
    assert first(advice) == "unlabelled-objects"
    assert "30 detections where nothing is labelled" in advice["unlabelled-objects"].what
    assert "Label what was forgotten" in advice["unlabelled-objects"].action
    assert "error-background" not in advice


def test_duplicates_and_poor_overlaps(label: Label) -> None:
    twice = found([more(s, [s.truth.crops[0]] * 3, 0.95) for s in grid(label)])
    assert first(twice) == "error-duplicate"
    assert "nms_threshold" in twice["error-duplicate"].command
    assert "0.5" in twice["error-duplicate"].evidence
    samples = grid(label)
    for sample in samples:
        assert sample.masks is not None
        shifted = [Crop(crop.bitmap, crop.x + 16, crop.y) for crop in sample.masks]
        sample.masks = Masks([*shifted[:5], *sample.masks.crops[5:]], SIZE)
        sample.__dict__.pop("rle", None)
    behind = found(samples)
    assert first(behind) == "masks-behind-boxes"
    assert "median IoU of the masks is 0.43" in behind["masks-behind-boxes"].evidence


def test_poor_overlaps(label: Label) -> None:
    samples = []
    for sample in grid(label):
        crops = [Crop(c.bitmap, c.x + 18 * (row < 5), c.y) for row, c in enumerate(sample.truth.crops)]
        boxes = np.array([crop.box for crop in crops], dtype=np.float32)
        samples.append(dataclasses.replace(sample, boxes=boxes, masks=Masks(crops, SIZE)))
    advice = found(samples)
    assert first(advice) == "error-location"
    assert "150 detections with a score from" in advice["error-location"].evidence
    assert "times the area" not in advice["error-location"].evidence


def test_labels_that_are_larger_than_their_objects(label: Label) -> None:
    samples = []
    for sample in grid(label):
        crops = []
        for row, crop in enumerate(sample.truth.crops):
            assert crop is not None
            margin = 8 if row < 3 else 4  # of 40 pixels: too small to count, and small
            side = 40 - 2 * margin
            crops.append(Crop(np.ones((side, side), dtype=bool), crop.x + margin, crop.y + margin))
        boxes = np.array([crop.box for crop in crops], dtype=np.float32)
        samples.append(dataclasses.replace(sample, boxes=boxes, masks=Masks(crops, SIZE)))
    advice = found(samples)
    assert first(advice) == "error-location"
    assert "the labels have 1.6 times the area of the detections" in advice["error-location"].evidence
    assert "larger than the objects" in advice["error-location"].action
    assert "dataset view" in advice["error-location"].command


def test_saturation_and_what_to_try(label: Label) -> None:
    advice = found([without(sample, np.arange(9) < 6) for sample in grid(label)], limit=6)
    finding = advice["max-detections"]
    assert first(advice) == "max-detections"
    assert "6 detections" in finding.what
    assert "30 images" in finding.what
    assert "--max-detections 12" in finding.command
    assert "90 objects of these images are not found" in finding.evidence


def exported(most: int) -> Network:
    """Checks options as an exported model does, and predicts nothing."""
    network = SimpleNamespace(config=preset("lite").replace(max_detections=most), path=Path("m.onnx"))
    network.check = partial(Artifact.check, network)
    return cast(Network, network)


def test_an_exported_model_is_not_measured_with_more_than_it_returns(label: Label) -> None:
    samples = [without(sample, np.arange(9) < 6) for sample in grid(label)]
    few = found(samples, limit=6, network=exported(6))["max-detections"]
    assert few.call is None
    assert "export it again with `max_detections` 12" in few.action
    enough = found(samples, limit=6, network=exported(12))["max-detections"]
    assert "--max-detections 12" in enough.command
    assert "xport" not in enough.action


def test_no_input_size_is_advised_that_the_model_refuses(label: Label) -> None:
    samples = [without(mixed_sizes(label, sample), np.arange(9) > 2) for sample in grid(label)]
    assert "small-objects" in found(samples, network=exported(100))

    def refuse(options: PredictionOptions) -> None:
        if options.size is not None:
            raise MaskRCNNError("too large")

    refusing = cast(Network, SimpleNamespace(check=refuse))
    assert "small-objects" not in found(samples, network=refusing)


def test_a_limit_that_is_reached_by_unsure_detections_alone_is_no_matter(label: Label) -> None:
    alarms = [Crop(np.ones((9, 9), dtype=bool), 70 + 10 * k, 70) for k in range(11)]
    assert "max-detections" not in found([more(sample, alarms, 0.06) for sample in grid(label)], limit=20)


def test_few_images_rare_and_absent_classes(label: Label) -> None:
    samples = [without(sample, sample.labels != 2) for sample in grid(label, images=3)]
    samples[0] = without(samples[0], np.arange(len(samples[0].labels)) < 1)
    advice = found(samples)
    assert "3 images are too few" in advice["few-images"].what
    assert "'cat'" in advice["rare-classes"].what
    assert "1 class is never predicted: 'bird'" in advice["never-predicted"].what
    assert "9 objects" in advice["never-predicted"].evidence


def test_a_class_that_does_far_worse_is_named_with_its_number_of_objects(label: Label) -> None:
    samples = grid(label)
    for number, sample in enumerate(samples):
        samples[number] = without(sample, (sample.labels != 2) | (number % 5 == 0))
    advice = found(samples)
    finding = advice["weak-classes"]
    assert "'bird' does far worse" in finding.what
    assert "90 objects of 270" in finding.evidence
    assert "--classes bird" in finding.command


def test_neighbours_found_as_one(label: Label) -> None:
    samples = []
    for number in range(30):
        halves = [
            Crop(np.ones((40, 40), dtype=bool), x + 40 * k, 20 + 120 * y)
            for y in range(3)
            for x in (20, 160)
            for k in (0, 1)
        ]
        wholes = [Crop(np.ones((40, 80), dtype=bool), x, 20 + 120 * y) for y in range(3) for x in (20, 160)]
        kept = halves[:6] + wholes[3:]
        truth = label(halves, np.zeros(12, dtype=int))
        boxes = np.array([crop.box for crop in kept], dtype=np.float32)
        masks = Masks(kept, SIZE)
        samples.append(EvaluatedImage(number, SIZE, truth, boxes, np.full(9, 0.9), np.zeros(9, dtype=int), masks))
    advice = found(samples)
    assert first(advice) == "merged-objects"
    assert "90 detections cover two or more" in advice["merged-objects"].what
    assert "error-location" not in advice


def test_objects_found_in_pieces(label: Label) -> None:
    samples = []
    for sample in grid(label, side=90):
        whole = sample.truth.crops[0]
        pieces = [Crop(np.ones((30, 90), dtype=bool), whole.x, whole.y + 30 * k) for k in range(3)]
        crops = [*pieces, *sample.truth.crops[1:]]
        boxes = np.array([crop.box for crop in crops], dtype=np.float32)
        labels = np.append([0, 0], sample.labels)
        masks = Masks(crops, SIZE)
        samples.append(dataclasses.replace(sample, boxes=boxes, scores=np.full(11, 0.9), labels=labels, masks=masks))
    advice = found(samples)
    assert first(advice) == "split-objects"
    assert "30 labelled objects are found in pieces" in advice["split-objects"].what


def test_labelled_rectangles_are_named_as_such(label: Label) -> None:
    samples = []
    for sample in grid(label, side=80):
        discs = [Crop(np.hypot(*(np.indices((80, 80)) - 39.5)) < 26, crop.x, crop.y) for crop in sample.truth.crops]
        samples.append(dataclasses.replace(sample, masks=Masks(discs, SIZE)))
    advice = found(samples)
    assert first(advice) == "masks-behind-boxes"
    assert "plain rectangles" in advice["masks-behind-boxes"].what


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


def test_words() -> None:
    assert [plural(1, "class"), plural(2, "class"), plural(1200, "image")] == ["1 class", "2 classes", "1,200 images"]
    assert quoted(["a", "b", "c"], 2) == "'a', 'b' and 1 more"
