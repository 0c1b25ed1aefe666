"""Boxes given by a caller: what is accepted, cut, or refused by its number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from maskrcnn.errors import MaskRCNNError
from maskrcnn.prediction.box_prompts import BoxPrompts

NAMES = ("cat", "dog")


def test_boxes_are_cut_at_the_image_and_classes_are_names_or_numbers() -> None:
    prompts = BoxPrompts.of([[-3, 1.5, 900, 20], [2, 2, 4, 4]], ["dog", 0], NAMES, (30, 40))
    assert prompts.boxes.tolist() == [[0, 1.5, 40, 20], [2, 2, 4, 4]]
    assert prompts.boxes.dtype == np.float32
    assert prompts.labels is not None
    assert prompts.labels.tolist() == [1, 0]
    assert BoxPrompts.of(np.zeros((0, 4)), [], NAMES, (30, 40)).boxes.shape == (0, 4)
    assert BoxPrompts.of((), None, NAMES, (30, 40)).labels is None


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ([[1, 2, 3]], r"boxes: expected numbers \[N, 4\]"),
        ([1, 2, 3, 4], r"boxes: expected numbers \[N, 4\]"),
        ("here", r"boxes: expected numbers \[N, 4\]"),
        (None, r"boxes: expected numbers \[N, 4\]"),
        ([[1, 2, 3, 4], [1]], r"boxes: expected numbers \[N, 4\]"),
        ([[0, 0, 5, 5], [5, 5, 2, 9]], r"box 1: expected x1 < x2 .* 40 x 30 .*found \[5.0, 5.0, 2.0, 9.0\] .*corners"),
        ([[0, 0, float("nan"), 5]], "box 0: expected"),
        ([[0, 0, float("inf"), 5]], "box 0: expected"),
        ([[41, 0, 50, 5]], "box 0: expected"),
    ],
)
def test_what_is_no_box_is_refused(boxes: Any, said: str) -> None:
    with pytest.raises(MaskRCNNError, match=said):
        BoxPrompts.of(boxes, None, NAMES, (30, 40))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["dogs"], "unknown class 'dogs' .*dog"),
        ([2], "labels: expected 0 to 1 or names, found 2"),
        ([True], "labels: expected 0 to 1 or names, found True"),
        ([0, 1], "labels: expected one for each of 1 boxes"),
        ("d", "labels: expected one for each of 1 boxes"),
    ],
)
def test_what_is_no_class_is_refused(labels: Any, said: str) -> None:
    with pytest.raises(MaskRCNNError, match=said):
        BoxPrompts.of([[0, 0, 5, 5]], labels, NAMES, (30, 40))
