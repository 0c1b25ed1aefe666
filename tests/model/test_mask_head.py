"""The mask head against the plain operators it stands for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from maskrcnn.config import preset
from maskrcnn.model import mask_head
from maskrcnn.model.batch import Batch
from maskrcnn.model.box_head import RoISamples
from maskrcnn.model.mask_head import MaskHead, mask_targets
from maskrcnn.model.roi_align import crop_patches


@pytest.mark.parametrize("rois", [0, 1, 5])
@pytest.mark.parametrize("name", ["lite", "resnet50_fpn"])
def test_it_is_a_transposed_convolution_and_a_1x1(name: str, rois: int) -> None:
    torch.manual_seed(0)
    head = MaskHead(3, preset(name))
    for layer in (head.upsample, head.logits):
        torch.nn.init.normal_(layer.weight, std=0.1)
        torch.nn.init.normal_(layer.bias)
    x = torch.randn(rois, head.config.fpn_channels, 14, 14, requires_grad=True)
    want = head.logits(F.relu(head.upsample(head.convs(x))))
    got = head(x)
    assert got.shape == (rois, 3, 28, 28)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
    goal = torch.randn(got.shape, generator=torch.Generator().manual_seed(1))
    names = [key for key, _ in head.named_parameters()]
    wanted = torch.autograd.grad((want * goal).sum(), [x, *head.parameters()])
    found = torch.autograd.grad((got * goal).sum(), [x, *head.parameters()])
    for key, one, other in zip(["input", *names], found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-4, msg=key)


@pytest.mark.parametrize("rois", [0, 1, 6])
@pytest.mark.parametrize("classes", [1, 5])
@pytest.mark.parametrize("biased", [True, False])
def test_one_class_is_the_others_row(rois: int, classes: int, biased: bool) -> None:
    """The mask of a class alone is that of all classes' masks, as is its gradient; background counts as the last."""
    torch.manual_seed(0)
    head = MaskHead(classes, preset("lite"))
    if not biased:
        head.logits.bias = None
    for value in head.parameters():
        torch.nn.init.normal_(value, std=0.1)
    x = torch.randn(rois, head.config.fpn_channels, 7, 7, requires_grad=True)
    labels = torch.randint(0, classes + 1, (rois,), generator=torch.Generator().manual_seed(1))
    of_row = labels.clamp(max=classes - 1)[:, None, None, None].expand(-1, 1, 14, 14)
    want, got = head(x).gather(1, of_row).squeeze(1), head.of_class(x, labels)
    assert got.shape == (rois, 14, 14)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
    goal = torch.randn(got.shape, generator=torch.Generator().manual_seed(1))
    inputs = {"input": x, **dict(head.named_parameters())}
    wanted = torch.autograd.grad((want * goal).sum(), list(inputs.values()))
    found = torch.autograd.grad((got * goal).sum(), list(inputs.values()))
    for key, one, other in zip(inputs, found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-4, msg=key)
    if rois and classes > 1:
        unread = sorted(set(range(classes)) - set(of_row[:, 0, 0, 0].tolist()))
        assert not dict(zip(inputs, found, strict=True))["logits.weight"][unread].any()


def patches_and_rois(side: int, seed: int) -> tuple[Batch, RoISamples]:
    """Objects with patches of random coverage, and RoIs that overlap them by a half at least."""
    generator = torch.Generator().manual_seed(seed)
    objects = 6
    corner = (torch.rand(1, objects, 2, generator=generator) * 50).floor()
    frames = torch.cat((corner, corner + 8 + (torch.rand(1, objects, 2, generator=generator) * 120).floor()), -1)
    size = frames[..., 2:] - frames[..., :2]
    # An overlap of a half allows at most twice the width or twice the height.
    stretch = torch.tensor([[1.0, 1.0], [1.98, 1.0], [1.0, 1.98], [1.4, 1.4], [0.8, 0.8], [1.2, 0.9]])
    rois = torch.cat((frames[..., :2], frames[..., :2] + size * stretch), -1)
    every = torch.ones(1, objects, dtype=torch.bool)
    zeros = torch.zeros(1, objects, dtype=torch.long)
    batch = Batch(
        images=torch.zeros(1, 3, 256, 256),
        sizes=torch.tensor([[256, 256]]),
        boxes=frames,
        labels=zeros,
        valid=every,
        frames=frames,
        patches=torch.randint(0, 256, (1, objects, side, side), generator=generator, dtype=torch.uint8),
        patch_sizes=torch.minimum(size.flip(-1).long(), torch.tensor(side)),
        crowd=torch.zeros(1, 0, 4),
        seeds=torch.zeros(1, dtype=torch.long),
    )
    return batch, RoISamples(rois, every, every, zeros, torch.arange(objects)[None])


@pytest.mark.parametrize("side", [20, 56, 112])
@pytest.mark.parametrize("aligned", [True, False])
def test_a_known_limit_takes_no_point_from_a_target(side: int, aligned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The most sample points that a foreground RoI can need are enough: without a limit targets are the same."""
    config = preset("lite").replace(mask_sampling=0, roi_aligned=aligned)
    for seed in range(3):
        batch, rois = patches_and_rois(side, seed)
        limited, _ = mask_targets(rois, batch, 28, config)
        with monkeypatch.context() as patched:
            patched.setattr(
                mask_head,
                "crop_patches",
                lambda *arguments: crop_patches(*arguments[:-1], None),  # type: ignore[arg-type]
            )
            unlimited, exists = mask_targets(rois, batch, 28, config)
        assert exists.all()
        assert limited.std() > 0.05
        torch.testing.assert_close(limited, unlimited, atol=1e-5, rtol=0)
