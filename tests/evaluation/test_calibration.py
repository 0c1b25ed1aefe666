"""Scores against how often they are right, in bins counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from maskrcnn.evaluation.calibration import BINS, calibrate
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.matching import DetectionMatches, match_detections
from maskrcnn.evaluation.tables import DETECTION, IMAGE, PAIR, TRUTH, TableBuilder, Tables


def judged(
    scores: list[float], right: list[bool], ignored: list[bool] | None = None
) -> tuple[Tables, DetectionMatches]:
    """Detections of which some find an object of their own (row 0) and some lie in a region (row 1)."""
    detections = np.zeros(len(scores), DETECTION)
    detections["score"] = scores
    truth = np.where(right, 0, -1)
    truth[np.array(ignored or [False] * len(scores), dtype=bool)] = 1
    tables = Tables(("a",), np.zeros(1, IMAGE), detections, np.zeros(2, TRUTH), np.zeros(0, PAIR))
    return tables, DetectionMatches(truth, np.array([False, True]))


def test_by_hand() -> None:
    tables, matches = judged([0.05, 0.92, 0.94, 0.96, 0.98], [False, True, False, False, True])
    found = calibrate(tables, matches)
    assert found.counts.tolist() == [1, *[0] * 8, 4]
    assert found.scores[[0, 9]] == pytest.approx([0.05, 0.95])
    assert found.accuracy[[0, 9]] == pytest.approx([0.0, 0.5])
    assert np.isnan(found.accuracy[1:9]).all()
    assert found.error == pytest.approx((1 * 0.05 + 4 * 0.45) / 5)
    assert found.bias == pytest.approx(3.85 / 5 - 2 / 5)


def test_what_lies_in_a_region_does_not_count() -> None:
    tables, matches = judged([0.9, 0.9], [True, False], [False, True])
    assert calibrate(tables, matches).counts.sum() == 1


def test_no_detections_is_unknown() -> None:
    found = calibrate(*judged([], []))
    assert np.isnan(found.error)
    assert np.isnan(found.bias)
    assert found.counts.tolist() == [0] * BINS


def test_equals_a_plain_count(simulate: Callable[..., list[EvaluatedImage]]) -> None:
    builder = TableBuilder(("a", "b", "c"))
    for sample in simulate(0, digits=5):
        builder.update(sample)
    tables = builder.tables()
    matches = match_detections(tables, "mask")
    found = calibrate(tables, matches)
    scores, right = tables.detections["score"][matches.judged], matches.correct[matches.judged]
    place = np.minimum((scores * BINS).astype(int), BINS - 1)
    gaps = [abs(scores[place == k].mean() - right[place == k].mean()) * (place == k).sum() for k in np.unique(place)]
    assert found.counts.tolist() == np.bincount(place, minlength=BINS).tolist()
    assert found.error == pytest.approx(sum(gaps) / len(scores))
