"""Objects counted in each image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from maskrcnn.evaluation.counting import Counting, count_objects
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.matching import match_detections
from maskrcnn.evaluation.tables import TableBuilder


def test_by_hand() -> None:
    counting = Counting(np.array([10, 0, 5, 0]), np.array([12, 1, 5, 0]), np.array([9, 0, 5, 0]))
    assert counting.bias == pytest.approx(3 / 4)
    assert counting.error == pytest.approx(3 / 4)
    assert counting.relative_error == pytest.approx(3 / 15)
    assert counting.f1 == pytest.approx([18 / 22, 0, 1, 1])
    assert counting.worst(9).tolist() == [1, 0]
    assert counting.worst(1).tolist() == [1]


def test_of_equally_bad_images_the_one_with_more_mistakes_leads() -> None:
    counting = Counting(np.array([1, 7, 3]), np.array([0, 0, 0]), np.array([0, 0, 0]))
    assert counting.worst(3).tolist() == [1, 2, 0]
    assert counting.bias == pytest.approx(-11 / 3)


def test_no_images_are_unknown() -> None:
    nothing = np.zeros(0, dtype=int)
    counting = Counting(nothing, nothing, nothing)
    assert np.isnan([counting.bias, counting.error, counting.relative_error]).all()
    assert counting.worst(3).tolist() == []


def test_regions_and_low_scores_are_left_out(simulate: Callable[..., list[EvaluatedImage]]) -> None:
    builder, samples = TableBuilder(("a", "b", "c")), simulate(2, crowds=0.4)
    for sample in samples:
        builder.update(sample)
    tables = builder.tables()
    matches = match_detections(tables, "mask")
    counting = count_objects(tables, matches, 0.5)
    for number, sample in enumerate(samples):
        own = tables.detections["image"] == number
        kept = own & (tables.detections["score"] >= 0.5)
        assert counting.truth[number] == (~sample.truth.crowd).sum()
        assert counting.counted[number] == (kept & ~matches.ignored).sum()
        assert counting.found[number] == (kept & matches.correct).sum()
    assert matches.ignored.any()
