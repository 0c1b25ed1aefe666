"""RoIAlign and RoIPool against the textbook's example, torchvision's operators and a loop from the definition."""

from __future__ import annotations

import math

import pytest
import torch
import torchvision
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from maskrcnn.model import roi_align as module
from maskrcnn.model.pyramid import Pyramid, assign_levels
from maskrcnn.model.roi_align import roi_align, roi_pool

coordinate = st.floats(-60, 160, width=32) | st.floats(-1000, 1000, width=32)


@st.composite
def boxes_of_any_kind(draw: st.DrawFn) -> list[float]:
    """Ordinary, outside, degenerate (zero or negative extent) and huge boxes."""
    x, y = draw(coordinate), draw(coordinate)
    w, h = (draw(st.sampled_from([0.0, 0.3, -5.0]) | st.floats(0, 90, width=32) | st.floats(0, 900)) for _ in "wh")
    return [x, y, x + w, y + h]


def on_one_map(boxes: torch.Tensor, features: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
    return roi_align(features, boxes, torch.zeros(len(boxes), dtype=torch.long), *args, **kwargs)


def test_the_worked_example_of_the_textbooks() -> None:
    features = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)
    out = on_one_map(torch.tensor([[1.2, 0.8, 2.8, 2.2]]), features, 2, sampling=1)
    # Bin centres x = 1.6, 2.4 and y = 1.15, 1.85 on the plane 1 + x + 4y.
    expected = [[1 + 1.6 + 4 * 1.15, 1 + 2.4 + 4 * 1.15], [1 + 1.6 + 4 * 1.85, 1 + 2.4 + 4 * 1.85]]
    torch.testing.assert_close(out[0, 0], torch.tensor(expected))
    assert out[0, 0, 0, 0].item() == pytest.approx(7.2)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(boxes_of_any_kind(), max_size=6),
    st.booleans(),
    st.sampled_from([1, 2, 0]),
    st.sampled_from([1.0, 0.25, 1 / 16]),
    st.sampled_from([7, (2, 3)]),
)
def test_equals_torchvision_forward_and_gradient(
    boxes: list[list[float]], aligned: bool, sampling: int, scale: float, bins: int | tuple[int, int]
) -> None:
    # torchvision asks for a negative number of points where one extent alone is negative, and crashes.
    extents = torch.tensor(boxes).reshape(-1, 4)[:, 2:] - torch.tensor(boxes).reshape(-1, 4)[:, :2]
    assume(sampling or not aligned or not (extents < 0).any())
    generator = torch.Generator().manual_seed(0)
    ours = torch.randn(2, 3, 24, 30, generator=generator).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    rois = torch.tensor(boxes).reshape(-1, 4)
    image = torch.arange(len(rois)) % 2
    got = roi_align(ours, rois, image, bins, scale, sampling, aligned)
    want = torchvision.ops.roi_align(
        theirs, torch.cat((image[:, None].float(), rois), 1), bins, scale, sampling or -1, aligned
    )
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
    weight = torch.randn(got.shape, generator=generator)
    (got * weight).sum().backward()
    (want * weight).sum().backward()
    gradient = ours.grad if ours.grad is not None else torch.zeros_like(ours)
    torch.testing.assert_close(gradient, theirs.grad, atol=1e-5, rtol=1e-5)


def bilinear(feature: torch.Tensor, y: float, x: float) -> float:
    height, width = feature.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    values = [feature[top, left], feature[top, right], feature[bottom, left], feature[bottom, right]]
    return sum(
        v.item() * w for v, w in zip(values, [(1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx), dy * dx], strict=True)
    )


@settings(max_examples=40, deadline=None)
@given(
    boxes_of_any_kind().filter(lambda b: abs(b[2] - b[0]) + abs(b[3] - b[1]) < 200), st.booleans(), st.integers(0, 3)
)
def test_maximum_equals_a_brute_force_loop(box: list[float], aligned: bool, sampling: int) -> None:
    feature = torch.randn(9, 11, generator=torch.Generator().manual_seed(1))
    scale, bins = 0.25, 3
    got = on_one_map(torch.tensor([box]), feature[None, None], bins, scale, sampling, aligned, "max")[0, 0]
    x1, y1, x2, y2 = (value * scale - 0.5 * aligned for value in torch.tensor(box).tolist())
    width, height = (x2 - x1, y2 - y1) if aligned else (max(x2 - x1, 1.0), max(y2 - y1, 1.0))
    many_y, many_x = (sampling or max(math.ceil(extent / bins), 0) for extent in (height, width))
    for i in range(bins):
        for j in range(bins):
            values = [
                bilinear(
                    feature,
                    y1 + (i + (p + 0.5) / many_y) * height / bins,
                    x1 + (j + (q + 0.5) / many_x) * width / bins,
                )
                for p in range(many_y)
                for q in range(many_x)
            ]
            assert got[i, j].item() == pytest.approx(max(values, default=0.0), abs=1e-4)


def test_chunks_give_what_one_call_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(1, 2, 40, 40, generator=generator)
    corner = torch.rand(50, 2, generator=generator) * 100
    boxes = torch.cat((corner, corner + torch.rand(50, 2, generator=generator) * 80), 1)
    cases = [{"sampling": 2}, {"sampling": 0}, {"sampling": 0, "mode": "max"}]
    whole = [on_one_map(boxes, features, 7, 0.25, **case) for case in cases]
    monkeypatch.setattr(module, "TAP_BUDGET", 3000)
    for case, expected in zip(cases, whole, strict=True):
        torch.testing.assert_close(on_one_map(boxes, features, 7, 0.25, **case), expected)


@pytest.mark.parametrize("aligned", [False, True])
def test_a_pyramid_reads_each_roi_from_torchvisions_level(aligned: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    strides = (4, 8, 16, 32)
    pyramid = [torch.randn(2, 3, 512 // s, 768 // s, generator=generator) for s in strides]
    centre = torch.rand(2, 40, 2, generator=generator) * 600
    side = 12 * 2 ** (torch.rand(2, 40, 2, generator=generator) * 7)
    boxes = torch.cat((centre - side / 2, centre + side / 2), -1)
    image = torch.arange(2).repeat_interleave(40)
    got = Pyramid.of(pyramid, strides, 2, aligned).roi_align(boxes.flatten(0, 1), image, 7)
    levels = assign_levels(boxes.reshape(-1, 4), strides)
    mapper = torchvision.ops.poolers.LevelMapper(2, 5)
    assert torch.equal(levels, mapper([boxes.reshape(-1, 4)]))
    assert levels.unique().numel() == 4
    for index, box in enumerate(boxes.reshape(-1, 4)):
        features, stride = pyramid[levels[index]], strides[levels[index]]
        roi = torch.cat((torch.tensor([float(index // 40)]), box))[None]
        want = torchvision.ops.roi_align(features, roi, 7, 1 / stride, 2, aligned)
        torch.testing.assert_close(got[index : index + 1], want, atol=1e-5, rtol=1e-5)


def test_no_roi_at_all() -> None:
    for sampling in (0, 2):
        assert on_one_map(torch.zeros(0, 4), torch.ones(1, 3, 8, 8), 7, sampling=sampling).shape == (0, 3, 7, 7)


@settings(max_examples=60, deadline=None)
@example([(-10, 0, 7, 0)], (2, 4))
@given(st.lists(st.tuples(*[st.integers(-20, 50)] * 4), max_size=5), st.sampled_from([1, 2, (2, 4)]))
def test_roi_pool_equals_torchvisions(corners: list[tuple[int, ...]], bins: int | tuple[int, int]) -> None:
    """Bin counts of powers of two, where torchvision's float32 bin edges are exact."""
    features = torch.randn(1, 2, 20, 24, generator=torch.Generator().manual_seed(4))
    boxes = torch.tensor(corners, dtype=torch.float32).reshape(-1, 4) * 1.3
    boxes = torch.cat((boxes[:, :2], torch.maximum(boxes[:, 2:], boxes[:, :2])), 1)
    got = roi_pool(features, boxes, torch.zeros(len(boxes), dtype=torch.long), bins, 0.5)
    want = torchvision.ops.roi_pool(features, torch.cat((torch.zeros(len(boxes), 1), boxes), 1), bins, 0.5)
    torch.testing.assert_close(got, want)


def test_rounding_moves_features_and_roi_align_does_not() -> None:
    """On a plane f(x) = x the mean of a RoI's bins is its centre: what is read there measures the shift, in cells."""
    plane = torch.arange(40.0).expand(1, 1, 40, 40)
    start = torch.linspace(64, 80, 33)
    boxes = torch.stack((start, start, start + 112, start + 112), 1)
    image = torch.zeros(33, dtype=torch.long)
    centre = (start + 56) / 16 - 0.5
    align = roi_align(plane, boxes, image, 7, 1 / 16, 2, aligned=True).mean((1, 2, 3)) - centre
    # The maximum of a bin is its last cell, so the mean over bins of a bin's two edge cells is the pooled centre.
    pool = (roi_pool(plane, boxes, image, 7, 1 / 16) - roi_pool(-plane, boxes, image, 7, 1 / 16)).mean((1, 2, 3)) / 2
    pool = pool - centre
    assert align.abs().max() < 1e-4
    assert pool.abs().max() * 16 > 6
