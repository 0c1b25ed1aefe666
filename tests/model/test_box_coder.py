"""Deltas against torchvision's BoxCoder, and there and back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder

from maskrcnn.model.box_coder import decode_deltas, encode_deltas

WEIGHTS = [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Two times [N, 4]; no side more than 50 times the other box's."""
    corner, side = st.floats(-200, 800, width=32), st.floats(4, 200, width=32)
    rows = draw(st.lists(st.tuples(*[st.tuples(corner, corner, side, side)] * 2), min_size=1, max_size=8))
    x, y, w, h = torch.tensor(rows).unbind(-1)
    goal, reference = torch.stack((x, y, x + w, y + h), dim=-1).unbind(1)
    return goal, reference


@settings(max_examples=40, deadline=None)
@given(pairs(), st.sampled_from(WEIGHTS))
def test_deltas_are_torchvisions(pair: tuple[Tensor, Tensor], weights: tuple[float, ...]) -> None:
    deltas = encode_deltas(*pair, weights)
    torch.testing.assert_close(deltas, BoxCoder(weights).encode_single(*pair), atol=1e-4, rtol=1e-4)


@settings(max_examples=40, deadline=None)
@given(pairs(), st.sampled_from(WEIGHTS), st.floats(0.1, 30))
def test_boxes_are_torchvisions(pair: tuple[Tensor, Tensor], weights: tuple[float, ...], spread: float) -> None:
    reference = pair[0]
    deltas = torch.randn(reference.shape, generator=torch.Generator().manual_seed(0)) * spread
    expected = BoxCoder(weights).decode_single(deltas, reference)
    torch.testing.assert_close(decode_deltas(deltas, reference, weights), expected, atol=1e-2, rtol=1e-4)


@settings(max_examples=40, deadline=None)
@given(pairs(), st.sampled_from(WEIGHTS))
def test_there_and_back(pair: tuple[Tensor, Tensor], weights: tuple[float, ...]) -> None:
    goal, reference = pair
    torch.testing.assert_close(
        decode_deltas(encode_deltas(goal, reference, weights), reference, weights), goal, atol=5e-3, rtol=1e-4
    )


def test_deltas_by_hand() -> None:
    deltas = encode_deltas(torch.tensor([10.0, 0, 14, 20]), torch.tensor([0.0, 0, 8, 10]))
    # Centres (12, 10) and (4, 5); sizes 4 x 20 and 8 x 10.
    assert deltas.tolist() == pytest.approx([1.0, 0.5, -0.693147, 0.693147], abs=1e-5)


def test_leading_dimensions() -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(2, 3, 5, 2, generator=generator) * 50
    boxes = torch.cat((corner, corner + 10), dim=-1)
    goal = boxes.flip(2)
    deltas = encode_deltas(goal, boxes)
    assert torch.equal(deltas[1, 2], encode_deltas(goal[1, 2], boxes[1, 2]))
    torch.testing.assert_close(decode_deltas(deltas, boxes), goal)


def test_growth_is_limited_and_the_boxes_type_kept() -> None:
    box = torch.tensor([[0.0, 0, 16, 16]])
    grown = decode_deltas(torch.full((1, 4), 1e4, dtype=torch.bfloat16) * torch.tensor([0, 0, 1, 1]), box)
    assert grown.dtype == torch.float32
    torch.testing.assert_close(grown, torch.tensor([[-492.0, -492, 508, 508]]))  # 1000 / 16 times as large


@pytest.mark.parametrize(
    ("goal", "reference"),
    [
        ([5.0, 5, 5, 5], [0.0, 0, 20, 20]),
        ([5.0, 5, 5, 5], [5.0, 5, 5, 5]),
        ([0.0, 0, 20, 0], [3.0, 3, 9, 30]),
        ([0.0, 0, 0, 0], [0.0, 0, 0, 0]),
        ([0.0, 0, 20, 20], [0.0, 0, 0, 0]),
    ],
)
def test_empty_boxes_have_finite_deltas(goal: list[float], reference: list[float]) -> None:
    assert encode_deltas(torch.tensor(goal), torch.tensor(reference)).isfinite().all()
