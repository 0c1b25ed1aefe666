"""The pyramid against torchvision's, from the same weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7

from maskrcnn.config import Config
from maskrcnn.model.fpn import FPN

WIDTHS = [3, 5, 6, 7]


def stages(height: int, width: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = [(-(-height // s), -(-width // s)) for s in (4, 8, 16, 32)]
    return [torch.randn(2, c, *size, generator=generator) for c, size in zip(WIDTHS, sizes, strict=True)]


def copied(peer: FeaturePyramidNetwork, ours: FPN) -> FPN:
    """Ours with the peer's parameters: both list them in the same order, lateral first."""
    for module in (*peer.inner_blocks, *peer.layer_blocks):
        module.to(torch.float32)
    ours.lateral.load_state_dict(peer.inner_blocks.state_dict())
    ours.output.load_state_dict(peer.layer_blocks.state_dict())
    return ours.eval()


def randomised(peer: FeaturePyramidNetwork) -> FeaturePyramidNetwork:
    torch.manual_seed(0)
    for value in (*peer.parameters(), *peer.buffers()):
        if value.is_floating_point():
            value.data.uniform_(0.1, 0.6)
    return peer.eval()


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("size", [(64, 96), (70, 101)])
@torch.no_grad()
def test_it_is_torchvisions(norm: str, size: tuple[int, int]) -> None:
    layer = nn.BatchNorm2d if norm == "batch" else None
    peer = randomised(FeaturePyramidNetwork(WIDTHS, 8, extra_blocks=LastLevelMaxPool(), norm_layer=layer))
    ours = copied(peer, FPN(WIDTHS, Config(fpn_channels=8, fpn_norm=norm)))  # type: ignore[arg-type]
    expected = peer(dict(zip("0123", stages(*size), strict=True)))
    for level, want in zip(ours(stages(*size)), expected.values(), strict=True):
        torch.testing.assert_close(level, want, rtol=1e-5, atol=1e-4)


@torch.no_grad()
def test_extra_levels_by_convolution_are_torchvisions() -> None:
    """Where the last map is positive, so that a ReLU before the first convolution changes nothing."""
    peer = randomised(FeaturePyramidNetwork(WIDTHS, 8, extra_blocks=LastLevelP6P7(8, 8)))
    nn.init.normal_(peer.extra_blocks.p6.weight)  # of either sign, for the ReLU before the second
    positive = [stage.abs() for stage in stages(128, 192)]
    ours = copied(peer, FPN(WIDTHS, Config(fpn_channels=8, fpn_extra="conv", fpn_extra_levels=2)))
    for index, conv in enumerate((peer.extra_blocks.p6, peer.extra_blocks.p7)):
        ours.extra[index].load_state_dict(conv.state_dict())
    expected = peer(dict(zip("0123", positive, strict=True)))
    levels = ours(positive)
    assert [tuple(level.shape[-2:]) for level in levels[4:]] == [(2, 3), (1, 2)]
    for level, want in zip(levels, expected.values(), strict=True):
        torch.testing.assert_close(level, want, rtol=1e-5, atol=1e-3)


@torch.no_grad()
def test_two_extra_levels_by_subsampling() -> None:
    levels = FPN(WIDTHS, Config(fpn_channels=8, fpn_extra_levels=2))(stages(256, 320))
    assert torch.equal(levels[4], levels[3][:, :, ::2, ::2])
    assert torch.equal(levels[5], levels[3][:, :, ::4, ::4])
