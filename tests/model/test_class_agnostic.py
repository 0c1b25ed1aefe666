"""One box and one mask for all classes are what equal rows for each class would give."""

from __future__ import annotations

import pytest
import torch

from maskrcnn.model.mask_rcnn import MaskRCNN
from tests.networks import batch_of, quick


@pytest.fixture
def pair() -> tuple[MaskRCNN, MaskRCNN]:
    """A network with class-agnostic heads, and one whose heads repeat them for each of three classes."""
    torch.manual_seed(0)
    names = ["cat", "dog", "cow"]
    config = quick("lite", backbone="timm:test_efficientnet")
    one = MaskRCNN(config.replace(box_class_agnostic=True, mask_class_agnostic=True), names).eval()
    each = MaskRCNN(config, names).eval()
    with torch.no_grad():
        for layer in (one.box_head.logits, one.box_head.deltas, one.mask_head.logits, one.rpn.logits):
            layer.weight.normal_(std=0.3)
        one.mask_head.logits.bias.fill_(0.1)
    state = one.state_dict()
    for layer in ("box_head.deltas", "mask_head.logits"):
        for part in ("weight", "bias"):
            value = state[f"{layer}.{part}"]
            state[f"{layer}.{part}"] = torch.cat((value, value, value))
    each.load_state_dict(state)
    return one, each


def test_detections_are_the_same(pair: tuple[MaskRCNN, MaskRCNN]) -> None:
    batch = batch_of([2, 2])
    with torch.no_grad():
        found, expected = (model.detect(batch.images, batch.sizes) for model in pair)
    assert found.valid.sum() > 5
    assert len(found.labels[found.valid].unique()) > 1
    for part, want in zip(found, expected, strict=True):
        torch.testing.assert_close(part, want, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("counts", [[2, 3], [0, 0]])
def test_losses_are_the_same(pair: tuple[MaskRCNN, MaskRCNN], counts: list[int]) -> None:
    batch = batch_of(counts)
    found, expected = (model.train().losses(batch) for model in pair)
    for part, want in zip(found, expected, strict=True):
        torch.testing.assert_close(part, want, atol=1e-4, rtol=1e-4)
