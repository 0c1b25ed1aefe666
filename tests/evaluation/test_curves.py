"""Precision, recall and F1 at every threshold, counted one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.evaluation.curves import THRESHOLDS, all_curves, curve
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.matching import average_precision, class_precisions, match_detections
from maskrcnn.evaluation.tables import TableBuilder

scored = st.lists(st.tuples(st.integers(0, 100), st.booleans()), max_size=30)


@settings(max_examples=100, deadline=None)
@given(scored, st.integers(0, 10))
def test_each_threshold_counted_one_by_one(rows: list[tuple[int, bool]], missed: int) -> None:
    scores, correct = np.array([score / 100 for score, _ in rows]), np.array([right for _, right in rows], dtype=bool)
    objects = int(correct.sum()) + missed
    found = curve(scores, correct, objects)
    for place, threshold in enumerate(THRESHOLDS):
        kept = [right for (score, right) in rows if score / 100 >= threshold]
        tp = sum(kept)
        assert found.precision[place] == pytest.approx(tp / len(kept) if kept else np.nan, nan_ok=True)
        assert found.recall[place] == pytest.approx(tp / objects if objects else np.nan, nan_ok=True)
        total = len(kept) + objects
        assert found.f1[place] == pytest.approx(2 * tp / total if objects else np.nan, nan_ok=True)
    if objects:
        assert found.at_recall.mean() == pytest.approx(average_precision(scores, correct, objects))
    if correct.any():
        assert found.at(found.best)["f1"] == pytest.approx(found.f1.max())
    else:
        assert np.isnan(found.best)


def test_the_best_threshold_is_the_middle_of_its_plateau() -> None:
    found = curve(np.array([0.8, 0.9, 0.2]), np.array([True, True, False]), 2)
    assert found.f1.max() == 1
    assert found.best == pytest.approx(0.5)
    assert found.at(0.5) == {"precision": 1.0, "recall": 1.0, "f1": 1.0}


def test_classes_add_up_to_all_together(simulate: Callable[..., list[EvaluatedImage]]) -> None:
    builder = TableBuilder(("a", "b", "c"))
    for sample in simulate(3, crowds=0.2):
        builder.update(sample)
    tables = builder.tables()
    matches = match_detections(tables, "mask")
    together, each = all_curves(tables, matches)
    assert together.objects == sum(one.objects for one in each)
    tp = sum(np.nan_to_num(one.recall) * one.objects for one in each)
    assert tp / together.objects == pytest.approx(together.recall)
    means = [one.at_recall.mean() * 100 for one in each]
    assert means == pytest.approx(class_precisions(tables, matches))
