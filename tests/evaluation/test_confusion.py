"""Who is taken for whom, on a drawn case."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from maskrcnn.annotations.objects import Objects
from maskrcnn.evaluation.analysis import analyse_tables
from maskrcnn.evaluation.confusion import confused_pairs, confusion_matrix, merge_classes
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.matching import match_detections
from maskrcnn.evaluation.tables import TableBuilder, Tables
from maskrcnn.masks import Crop, Masks

CAT, DOG, BIRD, NOTHING = range(4)
NAMES = ("cat", "dog", "bird")
SIZE = (100, 200)


def square(x: int, side: int = 20) -> Crop:
    return Crop(np.ones((side, side), dtype=bool), x, 10)


def drawn(label: Callable[..., Objects]) -> Tables:
    """A cat found, a dog called cat, a bird missed, a crowd of birds with one detection, and one false alarm."""
    truth = label([square(0), square(30), square(60), square(90, 40)], [CAT, DOG, BIRD, BIRD], [0, 0, 0, 1])
    found = [
        (square(0), CAT, 0.9),
        (square(31), CAT, 0.8),
        (square(95), BIRD, 0.7),
        (square(160), DOG, 0.6),
        (square(60), BIRD, 0.2),
    ]
    crops = [crop for crop, _, _ in found]
    boxes = np.array([crop.box for crop in crops], dtype=np.float32)
    labels, scores = np.array([kind for _, kind, _ in found]), np.array([score for _, _, score in found])
    builder = TableBuilder(NAMES)
    builder.update(EvaluatedImage(1, SIZE, truth, boxes, scores, labels, Masks(crops, SIZE)))
    return builder.tables()


def test_each_object_and_each_detection_counts_once(label: Callable[..., Objects]) -> None:
    tables = drawn(label)
    counts = confusion_matrix(tables, match_detections(tables, "mask"), 0.5)
    expected = np.zeros((4, 4), dtype=int)
    expected[CAT, CAT] = expected[DOG, CAT] = expected[BIRD, NOTHING] = expected[NOTHING, DOG] = 1
    assert counts.tolist() == expected.tolist()
    low = confusion_matrix(tables, match_detections(tables, "mask"), 0.1)
    assert low[BIRD].tolist() == [0, 0, 1, 0]


def test_the_right_class_goes_before_a_better_overlap(label: Callable[..., Objects]) -> None:
    truth = label([square(0)], [CAT])
    crops = [square(0), square(2)]
    boxes = np.array([crop.box for crop in crops], dtype=np.float32)
    sample = EvaluatedImage(1, SIZE, truth, boxes, np.array([0.9, 0.8]), np.array([DOG, CAT]), Masks(crops, SIZE))
    builder = TableBuilder(NAMES)
    builder.update(sample)
    tables = builder.tables()
    counts = confusion_matrix(tables, match_detections(tables, "mask"), 0.5)
    assert counts[CAT].tolist() == [1, 0, 0, 0]
    assert counts[NOTHING].tolist() == [0, 1, 0, 0]


def test_rows_are_objects_and_columns_detections(simulate: Callable[..., list[EvaluatedImage]]) -> None:
    builder = TableBuilder(NAMES)
    for sample in simulate(7, crowds=0.2):
        builder.update(sample)
    tables = builder.tables()
    analysis = analyse_tables(tables, 100)
    matches, counts = analysis.matches, analysis.confusion
    objects = np.bincount(tables.truths["label"][~matches.region], minlength=3)
    kept = (tables.detections["score"] >= analysis.threshold) & matches.judged
    detections = np.bincount(tables.detections["label"][kept], minlength=3)
    assert counts[:-1].sum(axis=1).tolist() == objects.tolist()
    assert counts[:, :-1].sum(axis=0).tolist() == detections.tolist()
    for row, curve in zip(analysis.per_class(), analysis.curves, strict=True):
        assert row["objects"] == curve.objects
    right = np.diag(counts)[:-1]
    assert right.sum() == round(analysis.overall.at(analysis.threshold)["recall"] * objects.sum())


def test_the_most_confused_pair_leads() -> None:
    counts = np.array([[5, 3, 0, 1], [7, 2, 0, 0], [0, 1, 0, 0], [9, 9, 9, 0]])
    assert confused_pairs(counts) == [(1, 0, 7), (0, 1, 3), (2, 1, 1)]
    assert confused_pairs(counts, 1) == [(1, 0, 7)]


def test_merging_keeps_every_count() -> None:
    counts = np.random.default_rng(0).integers(0, 9, (31, 31))
    counts[-1, -1] = 0
    names, merged = merge_classes([*(str(k) for k in range(30)), "nothing"], counts, 7)
    assert merged.sum() == counts.sum()
    assert (names[-2], names[-1], merged.shape) == ("23 others", "nothing", (9, 9))
    for place, name in enumerate(names[:7]):
        k = int(name)
        assert merged[place, place] == counts[k, k]
        assert merged[place].sum() == counts[k].sum()
        assert merged[:, place].sum() == counts[:, k].sum()
