"""Networks for any number of channels of 8 or 16 bits."""

from __future__ import annotations

import pytest
import torch

from maskrcnn.config import preset
from maskrcnn.model.batch import Batch
from maskrcnn.model.mask_rcnn import MaskRCNN


def network(channels: int, depth: int, backbone: str = "timm:test_resnet") -> MaskRCNN:
    torch.manual_seed(0)
    mean = tuple(0.01 * (k + 1) for k in range(channels))
    preprocess = {"mean": mean, "std": (0.02,) * channels, "depth": depth}
    small = {"fpn_channels": 16, "box_hidden": (16,), "mask_convs": (16,), "roi_samples": 16, "proposals": (50, 50)}
    return MaskRCNN(preset("lite").replace(backbone=backbone, preprocess=preprocess, **small), ["cell"])


def images(channels: int, depth: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    values = torch.randint(0, 2**depth // 10, (2, channels, 96, 128), generator=generator)
    return values.to(torch.uint8 if depth == 8 else torch.uint16)


@pytest.mark.parametrize(("channels", "depth"), [(1, 8), (3, 16), (4, 8), (12, 16)])
def test_it_detects_and_learns(channels: int, depth: int) -> None:
    model, pixels = network(channels, depth), images(channels, depth)
    sizes = torch.tensor([[96, 128], [80, 100]])
    boxes = torch.tensor([[[10.0, 10, 50, 60]], [[20, 20, 70, 70]]])
    batch = Batch(
        images=pixels,
        sizes=sizes,
        boxes=boxes,
        labels=torch.zeros(2, 1, dtype=torch.long),
        valid=torch.ones(2, 1, dtype=torch.bool),
        frames=boxes,
        patches=torch.full((2, 1, 8, 8), 255, dtype=torch.uint8),
        patch_sizes=torch.full((2, 1, 2), 8),
        crowd=torch.zeros(2, 0, 4),
        seeds=torch.arange(2),
    )
    losses = model.train().losses(batch)
    losses.total.backward()
    first = next(p for p in model.backbone.parameters() if p.dim() == 4)
    assert first.shape[1] == channels
    assert torch.isfinite(losses.total)
    assert first.grad is not None
    assert (first.grad.flatten(2).abs().sum((0, 2)) > 0).all()
    found = model.eval().detect(pixels, sizes)
    assert torch.isfinite(found.boxes).all()


@pytest.mark.parametrize("depth", [8, 16])
def test_values_are_shares_of_full_scale(depth: int) -> None:
    """Stored as whole numbers or given as floats, the network sees (value / full scale - mean) / std."""
    model, pixels = network(4, depth), images(4, depth)
    sizes = torch.tensor([[96, 128], [96, 128]])
    seen: list[torch.Tensor] = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model.features(pixels, sizes)
        model.features(pixels.float(), sizes)
    assert torch.equal(*seen)
    mean = torch.tensor(model.config.preprocess.mean)[:, None, None]
    expected = (pixels.double() / (2**depth - 1) - mean) / 0.02
    torch.testing.assert_close(seen[0].double(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("backbone", ["resnet18", "timm:test_efficientnet"])
def test_every_kind_of_backbone(backbone: str) -> None:
    model = network(7, 8, backbone)
    with torch.no_grad():
        levels = model.features(images(7, 8), torch.tensor([[96, 128], [96, 128]])).levels
    assert [level.shape[-1] for level in levels[:4]] == [32, 16, 8, 4]
