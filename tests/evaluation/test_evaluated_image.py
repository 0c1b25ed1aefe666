"""One image beside its detections."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from maskrcnn.annotations.objects import Objects
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.masks import Crop, Masks

SIZE = (50, 80)


@pytest.fixture
def sample(label: Callable[..., Objects]) -> EvaluatedImage:
    crops = [Crop(np.ones((10, 10), dtype=bool), 5, 5), Crop(np.ones((10, 20), dtype=bool), 40, 20)]
    truth = label(crops, [0, 1], [False, True])
    found = [Crop(np.ones((10, 5), dtype=bool), 5, 5), Crop(np.ones((5, 5), dtype=bool), 41, 21)]
    boxes = np.array([crop.box for crop in found], dtype=np.float32)
    return EvaluatedImage(3, SIZE, truth, boxes, np.array([0.4, 0.8]), np.array([0, 1]), Masks(found, SIZE))


def test_overlaps_are_iou_or_the_share_in_a_crowd(sample: EvaluatedImage) -> None:
    expected = [[0.5, 0], [0, 1]]
    assert sample.mask_overlap() == pytest.approx(np.array(expected))
    assert sample.box_overlap() == pytest.approx(np.array(expected))


def test_without_a_mask_the_box_is_a_region_for_masks_and_an_object_for_boxes(sample: EvaluatedImage) -> None:
    sample.truth = dataclasses.replace(sample.truth, crops=[None, None], crowd=np.array([False, False]))
    assert sample.mask_overlap() == pytest.approx(np.array([[1, 0], [0, 1]]))
    assert sample.box_overlap() == pytest.approx(np.array([[0.5, 0], [0, 0.125]]))
    assert sample.truth_areas.tolist() == [100, 200]


def test_nothing_on_either_side(sample: EvaluatedImage, label: Callable[..., Objects]) -> None:
    nothing = sample.above(0.9)
    assert nothing.mask_overlap().shape == nothing.box_overlap().shape == (0, 2)
    empty = dataclasses.replace(sample, truth=label([], []))
    assert empty.mask_overlap().shape == empty.box_overlap().shape == (2, 0)
    assert dataclasses.replace(sample, masks=None).mask_overlap().tolist() == [[0, 0], [0, 0]]


def test_above_keeps_the_best_first(sample: EvaluatedImage) -> None:
    both, best = sample.above(0.4), sample.above(0.5)
    assert both.scores.tolist() == [0.8, 0.4]
    assert best.labels.tolist() == [1]
    assert best.masks is not None
    assert best.masks[0].box == (41.0, 21.0, 46.0, 26.0)
