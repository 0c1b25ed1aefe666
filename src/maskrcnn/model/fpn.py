"""Feature pyramid network (Lin et al. 2017, section 3): every level gets the meaning of the coarsest.

Backbone maps at strides 4, 8, 16, 32 → maps of equal width F at the same strides, plus coarser extra levels: the last
map subsampled ("pool", as for Mask R-CNN) or stride-2 convolutions ("conv").
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskrcnn.config import Config
from maskrcnn.model.layers import conv_block


class FPN(nn.Module):
    """[B, F_l, H_l, W_l] for 4 levels → [B, F, H_l, W_l] for 4 + extra levels, finest first."""

    def __init__(self, channels: list[int], config: Config) -> None:
        super().__init__()
        width = config.fpn_channels
        self.lateral = nn.ModuleList(conv_block(inputs, width, 1, config.fpn_norm, relu=False) for inputs in channels)
        self.output = nn.ModuleList(conv_block(width, width, 3, config.fpn_norm, relu=False) for _ in channels)
        self.extra_levels = config.fpn_extra_levels
        self.extra = nn.ModuleList()
        if config.fpn_extra == "conv":
            self.extra.extend(nn.Conv2d(width, width, 3, 2, padding=1) for _ in range(self.extra_levels))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, stages: list[Tensor]) -> list[Tensor]:
        merged = self.lateral[-1](stages[-1])
        levels = [self.output[-1](merged)]
        for index in reversed(range(len(stages) - 1)):
            lateral = self.lateral[index](stages[index])
            merged = lateral + F.interpolate(merged, size=lateral.shape[-2:], mode="nearest")
            levels.insert(0, self.output[index](merged))
        for index in range(self.extra_levels):
            last = levels[-1]
            levels.append(self.extra[index](F.relu(last)) if self.extra else _every_second(last))
        return levels


def _every_second(x: Tensor) -> Tensor:
    """Every second row and column: the max-pool of kernel 1 and stride 2, free of what pooling asserts on export."""
    rows, columns = (torch.arange(0, size, 2, device=x.device) for size in x.shape[-2:])
    return x.index_select(2, rows).index_select(3, columns)
