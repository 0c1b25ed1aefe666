"""Both forms of non-maximum suppression against torchvision and against the greedy definition in exact fractions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from maskrcnn.ops.nms import nms, nms_plain

FORMS = pytest.mark.parametrize("form", [nms, nms_plain])
Form = Callable[..., Tensor]

# A coarse grid: many equal boxes, many ties at the threshold, some empty boxes.
place, extent = st.integers(0, 6), st.integers(0, 5)
row = st.tuples(place, place, extent, extent, st.booleans(), st.integers(0, 2))
rows = st.lists(row, min_size=1, max_size=14)
# Exact in binary, or a rounding that a box on this grid cannot meet.
threshold = st.sampled_from([0.0, 0.25, 0.5, 0.7, 0.75, 1.0])


def tensors(rows: list[tuple]) -> tuple[Tensor, Tensor, Tensor]:
    x, y, w, h, valid, group = torch.tensor([tuple(map(int, values)) for values in rows]).reshape(-1, 6).unbind(1)
    return torch.stack((x, y, x + w, y + h), dim=1).float(), valid.bool(), group


def greedy(boxes: Tensor, valid: Tensor, threshold: Fraction, group: Tensor) -> list[bool]:
    """The definition, box by box, for whole-number boxes."""
    survivors: list[int] = []
    whole = [list(map(int, box)) for box in boxes.tolist()]
    for k in range(len(whole)):
        rivals = [s for s in survivors if group[s] == group[k]]
        if valid[k] and all(exact_iou(whole[k], whole[s]) <= threshold for s in rivals):
            survivors.append(k)
    return [k in survivors for k in range(len(whole))]


def exact_iou(a: list[int], b: list[int]) -> Fraction:
    inter = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return Fraction(inter, union) if union else Fraction(0)


@FORMS
@settings(max_examples=40, deadline=None)
@given(rows, threshold)
def test_with_groups_it_is_the_greedy_definition(form: Form, rows: list[tuple], threshold: float) -> None:
    boxes, valid, group = tensors(rows)
    keep = form(boxes, valid, threshold, group)
    assert keep.dtype == torch.bool
    assert keep.tolist() == greedy(boxes, valid, Fraction(threshold), group)


@FORMS
@settings(max_examples=40, deadline=None)
@given(rows, threshold, st.booleans())
def test_it_is_torchvisions_on_the_valid_rows(form: Form, rows: list[tuple], threshold: float, grouped: bool) -> None:
    boxes, valid, group = tensors(rows)
    scores = torch.arange(len(boxes), 0, -1).float()
    if grouped:
        kept = torchvision.ops.batched_nms(boxes[valid], scores[valid], group[valid], threshold)
    else:
        kept = torchvision.ops.nms(boxes[valid], scores[valid], threshold)
    expected = torch.zeros(len(boxes), dtype=torch.bool)
    expected[valid.nonzero().flatten()[kept]] = True
    assert torch.equal(form(boxes, valid, threshold, group if grouped else None), expected)


@FORMS
def test_random_boxes_in_their_hundreds(form: Form) -> None:
    generator = torch.Generator().manual_seed(0)
    corner, size = torch.rand(2, 400, 2, generator=generator) * torch.tensor([[[90.0]], [[40.0]]])
    boxes = torch.cat((corner, corner + size), dim=1)
    scores = torch.rand(400, generator=generator).sort(descending=True).values
    expected = torch.zeros(400, dtype=torch.bool)
    expected[torchvision.ops.nms(boxes, scores, 0.5)] = True
    assert 20 < expected.sum() < 380
    assert torch.equal(form(boxes, torch.ones(400, dtype=torch.bool), 0.5), expected)


@FORMS
def test_a_suppressed_box_suppresses_nobody(form: Form) -> None:
    """Each box of the chain overlaps only its neighbours by 2/3: every other one survives."""
    start = torch.arange(31.0)
    boxes = torch.stack((start, 0 * start, start + 5, 0 * start + 1), dim=1)
    keep = form(boxes, torch.ones(31, dtype=torch.bool), 0.5)
    assert keep.tolist() == [k % 2 == 0 for k in range(31)]
    valid = torch.ones(31, dtype=torch.bool)
    valid[0] = False
    assert form(boxes, valid, 0.5).tolist() == [k % 2 == 1 for k in range(31)]


@FORMS
@pytest.mark.parametrize("shape", [(0,), (2, 3, 0), (0, 3)])
def test_nothing_to_suppress(form: Form, shape: tuple[int, ...]) -> None:
    boxes, valid = torch.zeros(*shape, 4), torch.ones(shape, dtype=torch.bool)
    assert form(boxes, valid, 0.5).shape == shape


@FORMS
def test_leading_dimensions_are_a_loop(form: Form) -> None:
    generator = torch.Generator().manual_seed(1)
    corner = torch.rand(2, 3, 20, 2, generator=generator) * 10
    boxes = torch.cat((corner, corner + 6), dim=-1)
    valid = torch.rand(2, 3, 20, generator=generator) < 0.8
    group = torch.randint(0, 2, (2, 3, 20), generator=generator)
    for given_group in (None, group):
        keep = form(boxes, valid, 0.5, given_group)
        assert keep.shape == (2, 3, 20)
        for b in range(2):
            for level in range(3):
                alone = None if given_group is None else group[b, level]
                assert torch.equal(keep[b, level], form(boxes[b, level], valid[b, level], 0.5, alone))


@FORMS
@pytest.mark.parametrize(
    ("part", "whole", "survives"),
    [(1, 2, True), (3, 4, True), (7, 10, True), (9, 10, True), (3, 5, False), (3, 10, False), (4, 5, False)],
)
def test_an_overlap_equal_to_the_threshold_is_torchvisions(form: Form, part: int, whole: int, survives: bool) -> None:
    """The IoU is a float32, the threshold is not: an equal overlap is greater where the float32 is rounded up."""
    boxes = torch.tensor([[0.0, 0, whole, 1], [0, 0, part, 1]])
    assert (1 in torchvision.ops.nms(boxes, torch.tensor([1.0, 0.5]), part / whole)) == survives
    assert form(boxes, torch.ones(2, dtype=torch.bool), part / whole).tolist() == [True, survives]


class _Suppression(nn.Module):
    def forward(self, boxes: Tensor, valid: Tensor, group: Tensor) -> Tensor:
        return nms(boxes, valid, 0.5, group)


def batch(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(2, 30, 2, generator=generator) * 8
    boxes = torch.cat((corner, corner + 5), dim=-1)
    group = torch.randint(0, 2, (2, 30), generator=generator)
    return boxes, torch.rand(2, 30, generator=generator) < 0.8, group


def test_it_compiles_as_one_graph() -> None:
    compiled = torch.compile(_Suppression(), backend="eager", fullgraph=True)
    for seed in range(4):
        assert torch.equal(compiled(*batch(seed)), nms(*batch(seed)[:2], 0.5, batch(seed)[2]))
    # A long chain needs many rounds of the loop.
    start = torch.arange(30.0).expand(2, 30)
    boxes = torch.stack((start, 0 * start, start + 5, 0 * start + 1), dim=-1)
    keep = compiled(boxes, torch.ones(2, 30, dtype=torch.bool), torch.zeros(2, 30, dtype=torch.long))
    assert keep[1].tolist() == [k % 2 == 0 for k in range(30)]


def test_it_exports() -> None:
    exported = torch.export.export(_Suppression(), batch(0)).module()
    for seed in range(4):
        assert torch.equal(exported(*batch(seed)), nms(*batch(seed)[:2], 0.5, batch(seed)[2]))
