"""The building blocks of backbone and heads: convolution, norm, ReLU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn


class FrozenBatchNorm2d(nn.Module):
    """Batch norm of [B, C, H, W] whose statistics and affine part are buffers: loaded and saved, never trained."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x: Tensor) -> Tensor:
        scale, shift = (values[:, None, None] for values in norm_affine(self))
        return x * scale + shift


def norm_layer(kind: str, channels: int, eps: float = 1e-5) -> nn.Module:
    """Batch norm over ``channels``: "batch" learns, "frozen" keeps its statistics and affine part as loaded."""
    return FrozenBatchNorm2d(channels, eps=eps) if kind == "frozen" else nn.BatchNorm2d(channels, eps=eps)


def conv_norm(x: Tensor, conv: nn.Module, norm: nn.Module) -> Tensor:
    """norm(conv(x)). A frozen norm scales the weights instead of the map: two passes over it less, each way."""
    # Tracers look for the convolution and the norm as two modules.
    if not isinstance(norm, FrozenBatchNorm2d) or isinstance(x, fx.Proxy):
        return norm(conv(x))
    assert isinstance(conv, nn.Conv2d)
    scale, shift = norm_affine(norm)
    weight = conv.weight * scale[:, None, None, None]
    return F.conv2d(x, weight, shift, conv.stride, conv.padding, conv.dilation, conv.groups)


def norm_affine(norm: Any) -> tuple[Tensor, Tensor]:
    """Scale and shift, [O] each, of a norm with fixed statistics."""
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = norm.weight * scale
    shift = -norm.running_mean * scale
    return scale, shift if norm.bias is None else norm.bias + shift


def conv_block(inputs: int, outputs: int, kernel: int, norm: str = "none", relu: bool = True) -> nn.Sequential:
    """Convolution that keeps the size, with a bias where no norm follows."""
    block = nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=norm == "none"))
    if norm != "none":
        block.append(norm_layer(norm, outputs))
    if relu:
        block.append(nn.ReLU(inplace=True))
    return block
