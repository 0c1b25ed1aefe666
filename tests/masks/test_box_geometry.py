"""Boxes as arrays against torchvision, pycocotools and a plain loop."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as truth

from maskrcnn.masks.box_geometry import (
    box_areas,
    box_sides,
    clip_to_image,
    intersections,
    match_one_to_one,
    pairwise_iou,
    rounded_xywh,
    to_xywh,
)

edge = st.floats(-100, 400, width=32)
side = st.one_of(st.just(0.0), st.floats(0.5, 300, width=32))
box = st.tuples(edge, edge, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
boxes = st.lists(box, max_size=6).map(lambda rows: np.array(rows, dtype=np.float64).reshape(-1, 4))


@given(boxes, boxes)
def test_iou_is_that_of_torchvision_and_pycocotools(a: np.ndarray, b: np.ndarray) -> None:
    found = pairwise_iou(a, b)
    assert found.shape == (len(a), len(b))
    if len(a) and len(b):
        expected = torchvision.ops.box_iou(torch.from_numpy(a), torch.from_numpy(b)).nan_to_num()
        np.testing.assert_allclose(found, expected, atol=1e-9)
        np.testing.assert_allclose(found, np.nan_to_num(truth.iou(to_xywh(a), to_xywh(b), [0] * len(b))), atol=1e-9)
        crowd = np.nan_to_num(truth.iou(to_xywh(a), to_xywh(b), [1] * len(b)))
        covered = intersections(a, b) / np.maximum(box_areas(a)[:, None], 1e-9)
        np.testing.assert_allclose(covered, crowd, atol=1e-9)


@given(boxes, st.integers(1, 300), st.integers(1, 300))
def test_sides_areas_and_clipping_are_those_of_torchvision(rows: np.ndarray, height: int, width: int) -> None:
    tensor = torch.from_numpy(rows)
    np.testing.assert_array_equal(box_areas(rows), torchvision.ops.box_area(tensor))
    np.testing.assert_array_equal(to_xywh(rows), torchvision.ops.box_convert(tensor, "xyxy", "xywh"))
    np.testing.assert_array_equal(box_sides(rows), to_xywh(rows)[:, 2:])
    clipped = clip_to_image(rows, (height, width))
    np.testing.assert_array_equal(clipped, torchvision.ops.clip_boxes_to_image(tensor, (height, width)))
    assert clip_to_image(rows.astype(np.float32), (height, width)).dtype == np.float32


def test_one_box_is_a_tuple() -> None:
    one = (0.1, 0.2, 0.4, 0.3)
    assert rounded_xywh(one, 6) == [0.1, 0.2, 0.3, 0.1]
    assert float(box_areas(one)) == (one[2] - one[0]) * (one[3] - one[1])
    assert pairwise_iou(one, one).item() == 1


@given(st.integers(0, 5), st.integers(0, 5), st.data())
def test_matching_takes_the_largest_overlaps_first(rows: int, columns: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, 4), min_size=rows * columns, max_size=rows * columns))
    overlap = np.array(values, dtype=np.float64).reshape(rows, columns) / 4
    pairs = sorted(itertools.product(range(rows), range(columns)), key=lambda pair: (-overlap[pair], pair))
    expected: list[tuple[int, int]] = []
    for row, column in pairs:
        free = all(row != other and column != another for other, another in expected)
        if free and overlap[row, column] >= 0.5:
            expected.append((row, column))
    assert match_one_to_one(overlap, 0.5) == expected


@pytest.mark.parametrize("overlap", [np.zeros((0, 3)), np.zeros((2, 0)), np.full((2, 2), np.nan)])
def test_nothing_to_match(overlap: np.ndarray) -> None:
    assert match_one_to_one(overlap, 0.5) == []
