"""The five losses against torch.nn.functional on the valid rows alone, and by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskrcnn.config import Config
from maskrcnn.model.batch import Batch
from maskrcnn.model.box_coder import encode_deltas
from maskrcnn.model.box_head import RoISamples
from maskrcnn.model.losses import (
    Losses,
    Term,
    box_loss,
    classification_loss,
    mask_loss,
    objectness_loss,
    rpn_box_loss,
)
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.rpn import AnchorPredictions


@st.composite
def places(draw: st.DrawFn) -> tuple[int, Tensor, Tensor]:
    """Seed, which of N places are sampled, and which are positive: some of those, and padding that must not count."""
    flags = draw(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12))
    sampled, positive = torch.tensor(flags).unbind(1)
    return draw(st.integers(0, 2**31)), sampled, positive


def random(seed: int, *shape: int, spoiled: Tensor | None = None) -> Tensor:
    """Normal values; spoiled rows hold large ones."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    if spoiled is not None:
        values[spoiled] *= 1e6
    return values.requires_grad_()


def agree(term: Term, expected: Tensor, over: Tensor) -> None:
    """Value and gradient; ``expected`` may be NaN where a mean over nothing must be 0."""
    loss = term.mean
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected.nan_to_num(0.0))
    gradient = torch.autograd.grad(loss, over, retain_graph=True)[0]
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, over)[0].nan_to_num(0.0))


@settings(max_examples=40, deadline=None)
@given(places())
def test_objectness(drawn: tuple[int, Tensor, Tensor]) -> None:
    seed, sampled, positive = drawn
    logits = random(seed, len(sampled), spoiled=~sampled)
    expected = F.binary_cross_entropy_with_logits(logits[sampled], positive[sampled].float())
    agree(objectness_loss(logits, positive, sampled), expected, logits)


BETAS = st.sampled_from([0.0, 1 / 9, 0.5, 1.0])


def distance(deltas: Tensor, targets: Tensor, beta: float) -> Tensor:
    if beta == 0:
        return (deltas - targets).abs().sum()
    return F.smooth_l1_loss(deltas, targets, beta=beta, reduction="sum")


@settings(max_examples=40, deadline=None)
@given(places(), BETAS)
def test_rpn_box(drawn: tuple[int, Tensor, Tensor], beta: float) -> None:
    seed, sampled, positive = drawn
    used = positive & sampled
    deltas, targets = random(seed, len(sampled), 4, spoiled=~used), random(seed + 1, len(sampled), 4).detach()
    total = distance(deltas[used], targets[used], beta)
    agree(rpn_box_loss(deltas, targets, positive, sampled, beta), total / max(int(sampled.sum()), 1), deltas)


@settings(max_examples=40, deadline=None)
@given(places())
def test_classification(drawn: tuple[int, Tensor, Tensor]) -> None:
    seed, sampled, _ = drawn
    logits = random(seed, len(sampled), 5, spoiled=~sampled)
    labels = torch.randint(0, 5, (len(sampled),), generator=torch.Generator().manual_seed(seed))
    agree(classification_loss(logits, labels, sampled), F.cross_entropy(logits[sampled], labels[sampled]), logits)


@settings(max_examples=40, deadline=None)
@given(places(), BETAS)
def test_box(drawn: tuple[int, Tensor, Tensor], beta: float) -> None:
    seed, sampled, foreground = drawn
    used = foreground & sampled
    deltas, targets = random(seed, len(sampled), 4, spoiled=~used), random(seed + 1, len(sampled), 4).detach()
    total = distance(deltas[used], targets[used], beta)
    agree(box_loss(deltas, targets, foreground, sampled, beta), total / max(int(sampled.sum()), 1), deltas)


@settings(max_examples=40, deadline=None)
@given(places())
def test_mask(drawn: tuple[int, Tensor, Tensor]) -> None:
    seed, foreground, _ = drawn
    logits = random(seed, len(foreground), 3, 3, spoiled=~foreground)
    targets = torch.rand(len(foreground), 3, 3, generator=torch.Generator().manual_seed(seed))
    expected = F.binary_cross_entropy_with_logits(logits[foreground], targets[foreground])
    agree(mask_loss(logits, targets, foreground), expected, logits)


NONE = torch.zeros(3, dtype=torch.bool)
EMPTY: dict[str, Callable[[Tensor], Term]] = {
    "objectness": lambda x: objectness_loss(x[:, 0], NONE, NONE),
    "rpn box": lambda x: rpn_box_loss(x, x.detach() + 1, ~NONE, NONE),
    "rpn box without a positive": lambda x: rpn_box_loss(x, x.detach() + 1, NONE, ~NONE),
    "classification": lambda x: classification_loss(x, torch.zeros(3, dtype=torch.long), NONE),
    "box": lambda x: box_loss(x, x.detach() + 1, ~NONE, NONE),
    "mask": lambda x: mask_loss(x[:, :, None], torch.ones(3, 4, 1), NONE),
}


@pytest.mark.parametrize("name", EMPTY)
def test_nothing_valid_is_zero_with_a_gradient_of_zero(name: str) -> None:
    x = random(0, 3, 4)
    loss = EMPTY[name](x).mean
    assert loss.item() == 0.0
    assert torch.autograd.grad(loss, x)[0].abs().sum() == 0


def test_numbers_by_hand() -> None:
    yes = torch.ones(2, dtype=torch.bool)
    first = torch.tensor([True, False])
    pair = torch.tensor([0.0, math.log(3)])
    assert objectness_loss(pair, first, yes).mean.item() == pytest.approx(math.log(2 * 4) / 2)
    # Two classes and background; the second place is padding.
    logits = torch.tensor([[0.0, math.log(2), 0], [9, 9, 9]])
    assert classification_loss(logits, torch.tensor([1, 2]), first).mean.item() == pytest.approx(math.log(2))
    # |x| = 1/18 < 1/9 gives x² / (2/9) = 1/72; |x| = 2 gives 2 - 1/18. Divided by two sampled places.
    deltas = torch.tensor([[1 / 18, 2.0, 0, 0], [5, 5, 5, 5]])
    expected = (1 / 72 + 2 - 1 / 18) / 2
    assert rpn_box_loss(deltas, torch.zeros(2, 4), first, yes).mean.item() == pytest.approx(expected)
    assert box_loss(deltas, torch.zeros(2, 4), first, yes).mean.item() == pytest.approx(expected)
    assert rpn_box_loss(deltas, torch.zeros(2, 4), first, yes, 0.0).mean.item() == pytest.approx((1 / 18 + 2) / 2)
    assert box_loss(deltas, torch.zeros(2, 4), first, yes, 0.0).mean.item() == pytest.approx((1 / 18 + 2) / 2)
    masks = torch.zeros(2, 2, 2)
    masks[1] = 7.0
    assert mask_loss(masks, torch.full((2, 2, 2), 0.5), first).mean.item() == pytest.approx(math.log(2))


def test_half_precision_is_computed_in_float32() -> None:
    logits = torch.full((1000,), 0.1, dtype=torch.bfloat16)
    yes = torch.ones(1000, dtype=torch.bool)
    loss = objectness_loss(logits, yes, yes).mean
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log1p(math.exp(-logits[0].item())), rel=1e-5)


def test_the_total_is_the_sum() -> None:
    assert Losses(*torch.tensor([1.0, 2, 4, 8, 16])).total.item() == 31


@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_both_betas_are_the_settings(beta: float) -> None:
    """The losses of a network whose heads predict no movement at all, by hand from the targets that it was given."""
    torch.manual_seed(0)
    other = 0.7
    quick = {"backbone": "resnet18", "fpn_channels": 8, "box_hidden": (8,), "mask_convs": (8,)}
    model = MaskRCNN(Config(rpn_beta=beta, box_beta=other).replace(**quick), ["cat"])
    rpn, head = model.rpn, model.box_head
    boxes = torch.tensor([[[4.0, 4, 40, 50]]])
    batch = Batch(
        images=torch.zeros(1, 3, 64, 64),
        sizes=torch.tensor([[64, 64]]),
        boxes=boxes,
        labels=torch.zeros(1, 1, dtype=torch.long),
        valid=torch.ones(1, 1, dtype=torch.bool),
        crowd=torch.zeros(1, 0, 4),
        patches=torch.zeros(1, 1, 2, 2, dtype=torch.uint8),
        patch_sizes=torch.zeros(1, 1, 2, dtype=torch.long),
        frames=boxes.clone(),
        seeds=torch.zeros(1, dtype=torch.long),
    )
    anchors = torch.tensor([[0.0, 0, 32, 64], [100, 100, 132, 132]])
    said = AnchorPredictions([torch.zeros(1, 2)], [torch.zeros(1, 2, 4)], [anchors])
    _, _, positive, targets = rpn.select(anchors, batch)
    expected = distance(torch.zeros_like(targets[positive]), targets[positive], beta)
    assert rpn.losses(said, batch)[1].total == pytest.approx(expected.item())
    rois = RoISamples(
        boxes + 2, *(torch.ones(1, 1, dtype=torch.bool),) * 2, *(torch.zeros(1, 1, dtype=torch.long),) * 2
    )
    goal = encode_deltas(boxes, boxes + 2, model.config.box_weights)
    found = head.losses(torch.zeros(1, 2), torch.zeros(1, 1, 4), rois, batch)[1]
    assert found.total == pytest.approx(distance(torch.zeros_like(goal), goal, other).item())
