"""From annotations as written to drawn objects: masks, boxes without masks, and one line for each that is unusable."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.annotations.annotation import Annotation, checked_polygons, clipped_box
from maskrcnn.annotations.objects import draw_all
from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.masks import Crop, encode

SIZE = (20, 30)
SQUARE = np.array([2.0, 3, 8, 3, 8, 9, 2, 9])
CROP = Crop(np.ones((6, 6), dtype=bool), 2, 3)


def annotation(segmentation: Any, box: Any = None, number: int = 1, area: float | None = None) -> Annotation:
    return Annotation(number, 0, False, box, area, segmentation)


@pytest.mark.parametrize("segmentation", [[SQUARE], CROP, dict(encode(CROP, SIZE))])
def test_every_form_draws_the_same_mask(segmentation: Any) -> None:
    objects = draw_all([annotation(segmentation)], SIZE, "a.json")
    problems = list(objects.problems)
    (crop,) = objects.crops
    assert crop is not None
    assert crop.box == (2, 3, 8, 9)
    assert crop.area == 36
    assert objects.boxes.tolist() == [[2, 3, 8, 9]]
    assert objects.areas is not None
    assert objects.areas.tolist() == [36]
    assert problems == []


def test_a_box_without_a_mask_is_an_object() -> None:
    objects = draw_all([annotation(None, (1.5, 2, 6, 4)), annotation([SQUARE], area=30.5)], SIZE, "a.json")
    problems = list(objects.problems)
    assert objects.crops[0] is None
    assert objects.crops[1] is not None
    assert objects.boxes[0].tolist() == [1.5, 2, 6, 4]
    assert objects.areas is not None
    assert objects.areas.tolist() == [9.0, 30.5]
    assert problems == []


def test_what_has_no_shape_is_one_line_and_the_rest_stays() -> None:
    outside = [SQUARE + 100]
    found = [annotation(None, number=4), annotation(outside, number=5), annotation([SQUARE], number=6)]
    objects = draw_all(found, SIZE, "dir/a.json")
    problems = list(objects.problems)
    assert objects.ids.tolist() == [6]
    assert [problem.check for problem in problems] == ["no-shape", "empty-mask"]
    assert str(problems[0]) == "dir/a.json, annotation 4: dropped, it has neither a mask nor a box (draw or remove it)"
    assert sum(problem.objects_lost for problem in problems) == 2


@pytest.mark.parametrize(("box", "kept"), [((2, 3, 8, 9), True), ((1, 2, 9.9, 10.5), True), ((8, 9, 2, 3), False)])
def test_a_box_that_misses_its_mask_gives_way(box: Any, kept: bool) -> None:
    objects = draw_all([annotation([SQUARE], box)], SIZE, "a.json")
    problems = list(objects.problems)
    assert objects.boxes[0].tolist() == pytest.approx(list(box) if kept else [2, 3, 8, 9])
    assert [problem.check for problem in problems] == ([] if kept else ["box-mask-disagree"])
    assert not any(problem.objects_lost for problem in problems)


@given(*(st.floats(-50, 50) for _ in range(2)), *(st.floats(0.01, 80) for _ in range(2)))
def test_boxes_are_clipped_or_refused(x: float, y: float, width: float, height: float) -> None:
    inside = min(x + width, 30) > max(x, 0) and min(y + height, 20) > max(y, 0)
    if not inside:
        with pytest.raises(DataError, match="outside the 30 x 20 image"):
            clipped_box([x, y, width, height], SIZE)
        return
    box = clipped_box([x, y, width, height], SIZE)
    assert box == (max(x, 0), max(y, 0), min(x + width, 30), min(y + height, 20))


@pytest.mark.parametrize(
    ("bbox", "check"),
    [
        ([1, 2, 3], "bad-box"),
        ("text", "bad-box"),
        ([1, 2, 0, 5], "zero-area"),
        ([1, 2, -4, 5], "zero-area"),
        ([1, 2, math.nan, 5], "zero-area"),
        ([1, 2, math.inf, 5], "zero-area"),
        ([31, 2, 4, 5], "outside-image"),
    ],
)
def test_wrong_boxes_name_their_check(bbox: Any, check: str) -> None:
    with pytest.raises(DataError) as caught:
        clipped_box(bbox, SIZE)
    assert caught.value.check == check


def test_no_box_is_no_error() -> None:
    assert clipped_box(None, SIZE) is None
    assert clipped_box([], SIZE) is None


def test_polygons_need_three_points() -> None:
    assert len(checked_polygons([[1, 2, 3, 4], SQUARE.tolist()])) == 1
    for wrong in ([[1, 2]], [["a"]], 5):
        with pytest.raises(DataError, match=r"3 points|lists of numbers"):
            checked_polygons(wrong)


def test_a_problem_is_one_line() -> None:
    problem = DataError("zero-area", "it is flat", fix="remove it").problem("a.json, annotation 1", objects_lost=1)
    assert str(problem) == "a.json, annotation 1: dropped, it is flat (remove it)"
    assert str(Problem("no-mask", "a.json", "boxes only", severity="note")) == "a.json: boxes only"


def test_the_masks_of_one_image_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskrcnn.annotations.objects._MAX_PIXELS", 70)
    objects = draw_all([annotation([SQUARE])] * 4, SIZE, "a.json")  # 36 pixels each
    assert len(objects.labels) == 2
    assert [(problem.check, problem.objects_lost) for problem in objects.problems] == [("masks-too-large", 1)] * 2
