"""Overlapping objects are found as a comparison of all pairs finds them, without comparing all pairs."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.objects import Drawn
from maskrcnn.datasets.doctor.overlap_checks import check_overlaps, neighbours
from maskrcnn.masks.crop import Crop


def drawn(number: int, crop: Crop | None, label: int = 0, crowd: bool = False, box: tuple | None = None) -> Drawn:
    return Drawn(Annotation(number, label, crowd, box, None, crop), crop, box or crop.box)  # type: ignore[union-attr]


def square(x: int, y: int, side: int = 10) -> Crop:
    return Crop(np.ones((side, side), dtype=bool), x, y)


corner, side = st.integers(0, 40), st.integers(1, 12)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(corner, corner, side, side), max_size=40), st.sampled_from([0.3, 0.5, 0.7, 0.95]))
def test_neighbours_equal_all_pairs(sizes: list[tuple[int, int, int, int]], least: float) -> None:
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in sizes], dtype=np.float64).reshape(-1, 4)
    xywh = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)
    overlap = coco_mask.iou(xywh, xywh, [0] * len(xywh)) if len(xywh) else np.zeros((0, 0))
    found = {(first, int(second)) for first, later in neighbours(boxes, least) for second in later}
    sure = {(int(i), int(j)) for i, j in np.argwhere(np.triu(overlap, 1) > least + 1e-9)}
    possible = {(int(i), int(j)) for i, j in np.argwhere(np.triu(overlap, 1) > least - 1e-9)}
    assert sure <= found <= possible


def test_the_later_one_is_the_duplicate_and_told_once() -> None:
    objects = [drawn(9, square(30, 0)), drawn(5, square(0, 0)), drawn(7, square(0, 0)), drawn(3, square(0, 0))]
    found = check_overlaps(objects, ["cat"], Path("a"))
    assert [(f.check, f.annotation) for f in found] == [("duplicate-object", 7), ("duplicate-object", 3)]
    assert "IoU 1.000 with annotation 5" in found[0].what


def test_crowds_and_boxes_of_two_classes_are_left_alone() -> None:
    box = (0.0, 0.0, 10.0, 10.0)
    pairs = [
        [drawn(1, square(0, 0), crowd=True), drawn(2, square(0, 0))],
        [drawn(1, None, 0, box=box), drawn(2, None, 1, box=box)],
        [drawn(1, None, 0, box=box), drawn(2, square(0, 0), 0)],
        [drawn(1, square(0, 0), 0), drawn(2, square(2, 0), 0)],
    ]
    assert [check_overlaps(pair, ["cat", "dog"], Path("a")) for pair in pairs] == [[], [], [], []]
    assert [f.check for f in check_overlaps([*pairs[1][:1], drawn(3, None, 0, box=box)], ["cat"], Path("a"))] == [
        "duplicate-object"
    ]


def test_ten_thousand_copies_of_one_object_take_no_pairs() -> None:
    crop = square(5, 5)
    objects = [drawn(number, crop, number % 2) for number in range(10_000)]
    start = time.process_time()
    found = check_overlaps(objects, ["cat", "dog"], Path("a"))
    assert time.process_time() - start < 5
    assert len(found) == 9_999
    assert {f.check for f in found} == {"duplicate-object", "conflicting-labels"}
