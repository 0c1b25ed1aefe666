"""EfficientNet-Lite0 (Tan and Le 2019; without squeeze-and-excitation, with ReLU6): maps at strides 4, 8, 16, 32.

The network, its parameters' names and the distribution of its first weights are those of timm's ``efficientnet_lite0``.
It stands here because timm takes as long to import as torch, and this is the network of the bundled models.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

STEM = 32
# Of each stage: how often a block is repeated, its kernel, the stride of the first, its expansion, output channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_LEVELS = (1, 2, 4, 6)  # the stages that end at strides 4, 8, 16 and 32


class InvertedResidual(nn.Sequential):
    """1×1 convolution to ``expansion`` times the channels, k×k on each of them, 1×1 to the output, which has no ReLU.

    Where the shape stays, the input is added (Sandler et al. 2018). An expansion of 1 has no first convolution.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        last = "conv_pw"
        if expansion > 1:
            self._add("conv_pw", nn.Conv2d(inputs, width, 1, bias=False))
            last = "conv_pwl"
        self._add("conv_dw", nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=width, bias=False))
        self._add(last, nn.Conv2d(width, outputs, 1, bias=False), relu=False)
        self.shortcut = stride == 1 and inputs == outputs

    def _add(self, name: str, conv: nn.Conv2d, relu: bool = True) -> None:
        """Append a convolution and its norm, numbered as timm's are."""
        number = sum(isinstance(layer, nn.Conv2d) for layer in self) + 1
        self.add_module(name, conv)
        self.add_module(f"bn{number}", nn.BatchNorm2d(conv.out_channels))
        if relu:
            self.add_module(f"relu{number}", nn.ReLU6(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(x)
        return out + x if self.shortcut else out


class EfficientNetLite0(nn.Module):
    """The network without its classifier, randomly initialised."""

    stage_ends = tuple(f"blocks.{stage}" for stage in _LEVELS)

    def __init__(self, image_channels: int = 3) -> None:
        super().__init__()
        self.channels = [_STAGES[stage][-1] for stage in _LEVELS]
        self.body = nn.Sequential()
        self.body.add_module("conv_stem", nn.Conv2d(image_channels, STEM, 3, 2, 1, bias=False))
        self.body.add_module("bn1", nn.BatchNorm2d(STEM))
        self.body.add_module("relu", nn.ReLU6(inplace=True))
        blocks, inputs = nn.Sequential(), STEM
        for repeats, kernel, stride, expansion, outputs in _STAGES:
            stage = nn.Sequential()
            for index in range(repeats):
                stage.append(InvertedResidual(inputs, outputs, kernel, stride if index == 0 else 1, expansion))
                inputs = outputs
            blocks.append(stage)
        self.body.add_module("blocks", blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                nn.init.normal_(module.weight, 0, math.sqrt(2 / fan_out))

    def forward(self, x: Tensor) -> list[Tensor]:
        *stem, stages = self.body.children()
        for layer in stem:
            x = layer(x)
        levels = []
        for number, stage in enumerate(stages.children()):
            x = stage(x)
            if number in _LEVELS:
                levels.append(x)
        return levels
