"""Overlaps, clipping and size checks against torchvision's operators, over any leading dimensions."""

from __future__ import annotations

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskrcnn.ops.boxes import box_area, clip_boxes, has_min_side, intersection_over_first, iou

corner = st.floats(-50, 150, width=32) | st.integers(-20, 100).map(float)
extent = st.just(0.0) | st.floats(0, 80, width=32) | st.integers(1, 60).map(float)


@st.composite
def boxes(draw: st.DrawFn, most: int = 6) -> Tensor:
    """Well-formed boxes [N, 4]; some are lines or points."""
    rows = draw(st.lists(st.tuples(corner, corner, extent, extent), max_size=most))
    x, y, w, h = torch.tensor(rows).reshape(-1, 4).unbind(1)
    return torch.stack((x, y, x + w, y + h), dim=1)


@settings(max_examples=40, deadline=None)
@given(boxes(), boxes())
def test_iou_is_torchvisions_and_zero_where_both_are_empty(a: Tensor, b: Tensor) -> None:
    expected = torchvision.ops.box_iou(a, b).nan_to_num(0.0)
    torch.testing.assert_close(iou(a, b), expected)


@settings(max_examples=40, deadline=None)
@given(boxes(), boxes())
def test_share_of_the_first_box(a: Tensor, b: Tensor) -> None:
    expected = torch.zeros(len(a), len(b))
    for i, (x1, y1, x2, y2) in enumerate(a.tolist()):
        for j, (u1, v1, u2, v2) in enumerate(b.tolist()):
            covered = max(min(x2, u2) - max(x1, u1), 0) * max(min(y2, v2) - max(y1, v1), 0)
            expected[i, j] = covered / ((x2 - x1) * (y2 - y1)) if covered else 0.0
    torch.testing.assert_close(intersection_over_first(a, b), expected, atol=1e-4, rtol=1e-4)


def test_overlaps_by_hand() -> None:
    a, b = torch.tensor([[0.0, 0, 4, 2]]), torch.tensor([[2.0, 1, 6, 5], [4, 0, 8, 2], [1, 0, 2, 1]])
    torch.testing.assert_close(iou(a, b), torch.tensor([[2 / 22, 0, 1 / 8]]))
    torch.testing.assert_close(intersection_over_first(a, b), torch.tensor([[2 / 8, 0, 1 / 8]]))
    torch.testing.assert_close(intersection_over_first(b, a), torch.tensor([[2 / 16], [0], [1]]))


@pytest.mark.parametrize("overlap", [iou, intersection_over_first])
@pytest.mark.parametrize("lead", [(3,), (2, 3), (1,)])
def test_leading_dimensions_are_a_loop(overlap: object, lead: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(*lead, count, 4, generator=generator).sort(-1).values[..., [0, 1, 2, 3]] for count in (5, 7))
    got = overlap(a, b)  # type: ignore[operator]
    assert got.shape == (*lead, 5, 7)
    each = [overlap(x, y) for x, y in zip(a.reshape(-1, 5, 4), b.reshape(-1, 7, 4), strict=True)]  # type: ignore[operator]
    torch.testing.assert_close(got.reshape(-1, 5, 7), torch.stack(each))
    shared = overlap(a.reshape(-1, 5, 4)[:1], b.reshape(-1, 7, 4))  # type: ignore[operator]
    torch.testing.assert_close(shared[-1], overlap(a.reshape(-1, 5, 4)[0], b.reshape(-1, 7, 4)[-1]))  # type: ignore[operator]


@settings(max_examples=40, deadline=None)
@given(boxes(), boxes(), st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), min_size=2, max_size=2))
def test_clipping_is_torchvisions_image_by_image(a: Tensor, b: Tensor, sizes: list[tuple[int, int]]) -> None:
    count = min(len(a), len(b))
    batch = torch.stack((a[:count], b[:count]))
    expected = torch.stack(
        [torchvision.ops.clip_boxes_to_image(rows, size) for rows, size in zip(batch, sizes, strict=True)]
    )
    assert torch.equal(clip_boxes(batch, torch.tensor(sizes)), expected)
    levels = batch[:, None].expand(-1, 3, -1, -1)
    assert torch.equal(clip_boxes(levels, torch.tensor(sizes)), expected[:, None].expand(-1, 3, -1, -1))


@settings(max_examples=40, deadline=None)
@given(boxes(12), st.sampled_from([1e-3, 1.0, 20.0]))
def test_area_and_smallest_side_are_torchvisions(a: Tensor, side: float) -> None:
    torch.testing.assert_close(box_area(a), torchvision.ops.box_area(a))
    assert has_min_side(a, side).nonzero().flatten().tolist() == torchvision.ops.remove_small_boxes(a, side).tolist()
