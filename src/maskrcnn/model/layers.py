"""The one building block of every head: convolution, optional norm, ReLU."""

from __future__ import annotations

from torch import nn
from torchvision.ops import FrozenBatchNorm2d


def norm_layer(kind: str, channels: int, eps: float = 1e-5) -> nn.Module:
    """Batch norm over ``channels``: "batch" learns, "frozen" keeps its statistics and affine part as loaded."""
    return FrozenBatchNorm2d(channels, eps=eps) if kind == "frozen" else nn.BatchNorm2d(channels, eps=eps)


def conv_block(inputs: int, outputs: int, kernel: int, norm: str = "none", relu: bool = True) -> nn.Sequential:
    """Convolution that keeps the size, with a bias where no norm follows."""
    block = nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=norm == "none"))
    if norm != "none":
        block.append(norm_layer(norm, outputs))
    if relu:
        block.append(nn.ReLU(inplace=True))
    return block
