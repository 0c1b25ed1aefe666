"""Depthwise convolutions under CPU autocast: computed in fp32, the rest untouched."""

from __future__ import annotations

import copy

import pytest
import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn

from maskrcnn.ops.depthwise_fp32 import keep_depthwise_in_fp32


def photo(channels: int = 4) -> Tensor:
    return torch.randn(2, channels, 9, 9, generator=torch.Generator().manual_seed(0))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv2d(4, 8, 5, stride=2, padding=2, groups=4),
        nn.Conv2d(8, 4, 3, dilation=2, groups=2),
    )


def treated(model: nn.Module) -> nn.Module:
    other = copy.deepcopy(model)
    keep_depthwise_in_fp32(other)
    return other


def test_without_autocast_nothing_changes() -> None:
    model = network()
    assert torch.equal(treated(model)(photo()), model(photo()))
    assert list(treated(model).state_dict()) == list(model.state_dict())


def test_a_depthwise_convolution_is_computed_in_fp32() -> None:
    layer = network()[1]
    x = photo().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        out = treated(layer)(x)
        wide = treated(layer)(photo())
    expected = layer(x.float())
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, expected.bfloat16())
    # fp32 in, fp32 out: not even the input was rounded.
    assert torch.equal(wide, layer(photo()))


def test_other_convolutions_stay_in_bf16() -> None:
    for index in (0, 2):
        layer = network()[index]
        with torch.autocast("cpu", torch.bfloat16):
            x = photo(layer.in_channels)
            assert torch.equal(treated(layer)(x), layer(x))
            assert treated(layer)(x).dtype == torch.bfloat16


def test_gradients_reach_weights_and_input() -> None:
    layer = network()[1]
    x = photo().requires_grad_()
    changed = treated(layer)
    with torch.autocast("cpu", torch.bfloat16):
        changed(x).square().sum().backward()
    got = x.grad
    assert got is not None
    x.grad = None
    layer(x).square().sum().backward()
    torch.testing.assert_close(changed.weight.grad, layer.weight.grad)
    torch.testing.assert_close(got, x.grad)


@pytest.mark.parametrize(
    "layer",
    [Conv2dSame(4, 4, 3, stride=2, groups=4), nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect", groups=4)],
    ids=["TensorFlow's padding", "reflected padding"],
)
def test_other_kinds_of_padding_are_kept(layer: nn.Module) -> None:
    expected, out = layer(photo()), treated(layer)(photo())
    assert out.shape == expected.shape
    assert torch.equal(out, expected)
