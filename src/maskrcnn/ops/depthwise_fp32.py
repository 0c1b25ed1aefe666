"""Depthwise convolutions in fp32 under bf16 autocast: for training on CPUs."""

from __future__ import annotations

import types

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def keep_depthwise_in_fp32(model: nn.Module) -> None:
    """Run depthwise convolutions in fp32 under CPU autocast.

    The gradient of a channels-last 5×5 depthwise convolution is 4 to 5 times slower in bf16 than in fp32 on x86 CPUs
    (torch 2.14), which made it half of a training step; memory traffic, not arithmetic, bounds these layers.
    """
    for module in model.modules():
        # Without a gradient there is nothing to gain, and the casts cost.
        if type(module) is not nn.Conv2d or module.padding_mode != "zeros" or not module.weight.requires_grad:
            continue
        if module.groups == module.in_channels > 1:
            module.forward = types.MethodType(_forward_fp32, module)  # type: ignore[method-assign]


def _forward_fp32(self: nn.Conv2d, x: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        out = F.conv2d(x.float(), self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
    return out.to(x.dtype)
