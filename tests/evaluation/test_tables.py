"""What is kept of an image: the right rows, in COCO's order, and little of it."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from maskrcnn.annotations.objects import Objects
from maskrcnn.evaluation.box_probe import BoxProbe
from maskrcnn.evaluation.coco_metrics import CocoMetrics
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.tables import TableBuilder
from maskrcnn.masks import Crop, Masks

NAMES = ("a", "b", "c")
Simulate = Callable[..., list[EvaluatedImage]]


def test_rows_say_what_was_labelled_found_and_overlaps(simulate: Simulate) -> None:
    samples = simulate(0)
    builder = TableBuilder(NAMES)
    for index, sample in enumerate(samples):
        builder.update(dataclasses.replace(sample, index=index, found=7))
    tables = builder.tables()
    assert tables.images["index"].tolist() == list(range(len(samples)))
    assert set(tables.images["found"]) == {7}
    for number, sample in enumerate(samples):
        own = tables.detections[tables.detections["image"] == number]
        order = np.argsort(-sample.scores, kind="stable")
        assert own["score"] == pytest.approx(sample.scores[order])
        assert own["label"].tolist() == sample.labels[order].tolist()
        truths = tables.truths[tables.truths["image"] == number]
        assert truths["label"].tolist() == sample.truth.labels.tolist()
        assert truths["area"].tolist() == [crop.area for crop in sample.truth.crops]
        found, truth = (Masks(list(crops), sample.size).dense() for crops in (sample.masks[order], sample.truth.crops))
        first = int((tables.detections["image"] < number).sum()), int((tables.truths["image"] < number).sum())
        pairs = tables.pairs[tables.detections["image"][tables.pairs["detection"]] == number]
        stored = {(int(p["detection"]) - first[0], int(p["truth"]) - first[1]): p for p in pairs}
        for i in range(len(found)):
            for j in range(len(truth)):
                shared = (found[i] & truth[j]).sum()
                iou = shared / (found[i].sum() if sample.truth.crowd[j] else (found[i] | truth[j]).sum())
                if iou >= 0.1:
                    assert stored[i, j]["mask"] == pytest.approx(iou)
                elif (i, j) in stored:
                    assert stored[i, j]["box"] >= 0.1


def test_images_stand_by_rising_id(simulate: Simulate) -> None:
    samples = simulate(1)
    straight, turned = TableBuilder(NAMES), TableBuilder(NAMES)
    for sample in samples:
        straight.update(sample)
    for sample in reversed(samples):
        turned.update(sample)
    a, b = straight.tables(), turned.tables()
    for name in ("images", "detections", "truths", "pairs"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


def test_boxes_are_compared_where_no_object_has_a_mask(label: Callable[..., Objects]) -> None:
    square = Crop(np.ones((10, 10), dtype=bool), 0, 0)
    for crops, kind in (([square], "mask"), ([None], "box")):
        truth = label([square], [0])
        truth = Objects(truth.boxes, truth.labels, truth.crowd, crops, truth.ids)
        builder = TableBuilder(("a",))
        builder.update(
            EvaluatedImage(1, (20, 20), truth, truth.boxes, np.ones(1), np.zeros(1, int), Masks([square], (20, 20)))
        )
        tables = builder.tables()
        assert tables.kind == kind
        assert tables.regions("mask").tolist() == [crops == [None]]
        assert tables.regions("box").tolist() == [False]


def test_nothing_at_all_gives_empty_tables() -> None:
    tables = TableBuilder(NAMES).tables()
    assert [len(part) for part in (tables.images, tables.detections, tables.truths, tables.pairs)] == [0] * 4


def test_memory_hardly_grows_with_images(simulate: Simulate) -> None:
    """Ten times the images of 24 megapixels: some hundred bytes more for each detection, and no pixels."""
    template = simulate(0, images=3, crowds=0, rate=1)[2]
    large = (4000, 6000)

    def run(count: int) -> tuple[int, int]:
        """Peak of what Python allocates, and growth of the whole process, in bytes."""
        metrics, builder, probe = CocoMetrics(NAMES, 100), TableBuilder(NAMES), BoxProbe()
        before = resident()
        tracemalloc.start()
        for number in range(count):
            parts = template.boxes, template.scores, template.labels, Masks(template.masks.crops, large)
            sample = EvaluatedImage(number, large, template.truth, *parts)
            metrics.update(sample)
            builder.update(sample)
            probe.update(sample)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak, resident() - before

    run(5)
    few, many = run(20), run(200)
    allowed = 180 * 300 * len(template.boxes)
    assert many[0] - few[0] < allowed
    assert many[1] - few[1] < 2 * allowed


def resident() -> int:
    """Bytes of this process in memory, which also counts what lies outside Python; 0 where the system does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * 4096 if statm.exists() else 0
