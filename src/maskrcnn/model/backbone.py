"""Backbones: image [B, C, H, W] → feature maps [B, F_l, H / s_l, W / s_l] at strides s = 4, 8, 16, 32.

ResNets (He et al. 2016, the 3×3 convolution carrying the stride) with torchvision's parameter names, EfficientNet-Lite0
with timm's, or any timm network that offers features at those strides.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from maskrcnn.config import Config
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown
from maskrcnn.model.efficientnet_lite import EfficientNetLite0
from maskrcnn.model.layers import conv_norm, norm_layer
from maskrcnn.setting_limits import RESNET_DEPTHS, SHALLOW
from maskrcnn.text import first_line

STRIDES = (4, 8, 16, 32)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut (ResNet-18, -34)."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, config: Config) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = norm_layer(config.backbone_norm, width, config.norm_eps)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = norm_layer(config.backbone_norm, width, config.norm_eps)
        self.downsample = _shortcut(inputs, width, stride, config)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(conv_norm(x, self.conv1, self.bn1), inplace=True)
        out = conv_norm(out, self.conv2, self.bn2)
        return F.relu(out + _shortcut_of(x, self.downsample), inplace=True)


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions around a shortcut (ResNet-50, -101, -152; in groups, ResNeXt)."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, config: Config) -> None:
        super().__init__()
        outputs, groups = width * self.expansion, config.backbone_groups
        width = width * config.backbone_group_width // 64 * groups
        first, second = (stride, 1) if config.backbone_stride_in_1x1 else (1, stride)
        self.conv1 = nn.Conv2d(inputs, width, 1, first, bias=False)
        self.bn1 = norm_layer(config.backbone_norm, width, config.norm_eps)
        self.conv2 = nn.Conv2d(width, width, 3, second, padding=1, groups=groups, bias=False)
        self.bn2 = norm_layer(config.backbone_norm, width, config.norm_eps)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = norm_layer(config.backbone_norm, outputs, config.norm_eps)
        self.downsample = _shortcut(inputs, outputs, stride, config)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(conv_norm(x, self.conv1, self.bn1), inplace=True)
        out = F.relu(conv_norm(out, self.conv2, self.bn2), inplace=True)
        out = conv_norm(out, self.conv3, self.bn3)
        return F.relu(out + _shortcut_of(x, self.downsample), inplace=True)


def _shortcut(inputs: int, outputs: int, stride: int, config: Config) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    norm = norm_layer(config.backbone_norm, outputs, config.norm_eps)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm)


def _shortcut_of(x: Tensor, downsample: nn.Sequential | None) -> Tensor:
    return x if downsample is None else conv_norm(x, *downsample)


class ResNet(nn.Module):
    """The four stages of a ResNet, each stage's output a level."""

    stage_ends = ("layer1", "layer2", "layer3", "layer4")

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, ...], config: Config) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(config.preprocess.channels, 64, 7, 2, padding=3, bias=False)
        self.bn1 = norm_layer(config.backbone_norm, 64, config.norm_eps)
        inputs, self.channels = 64, []
        for number, depth in enumerate(depths, start=1):
            width = 64 * 2 ** (number - 1)
            stage = nn.Sequential()
            for index in range(depth):
                stage.append(block(inputs, width, 2 if index == 0 and number > 1 else 1, config))
                inputs = width * block.expansion
            setattr(self, f"layer{number}", stage)
            self.channels.append(inputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.max_pool2d(F.relu(conv_norm(x, self.conv1, self.bn1), inplace=True), 3, 2, padding=1)
        levels = []
        for stage in self.stage_ends:
            x = getattr(self, stage)(x)
            levels.append(x)
        return levels


class TimmBackbone(nn.Module):
    """Any timm network with features at strides 4, 8, 16 and 32, randomly initialised.

    Args:
        name: one of timm's own architectures, with or without a tag (``resnet50.a1_in1k``); weights are not fetched.

    Raises:
        MaskRCNNError: timm has no such architecture, or it has no features at those strides.
    """

    def __init__(self, name: str, image_channels: int = 3) -> None:
        super().__init__()
        import timm

        try:
            # The name may come from a file, and timm takes some for an address to ask or a folder to read.
            if not re.fullmatch(r"\w+(\.\w+)?", name, re.ASCII) or not timm.is_model(name):
                raise RuntimeError("it has no such architecture")
            self.body = timm.create_model(name, features_only=True, pretrained=False, in_chans=image_channels)
        except Exception as error:  # the networks that offer no features say so in many ways
            close = difflib.get_close_matches(name[:100], timm.list_models(), n=3, cutoff=0.5)
            raise MaskRCNNError(
                f"timm offers no feature pyramid {shown(name)}: {first_line(error)}",
                fix=f"near: {', '.join(close) or 'nothing'}; see timm.list_models()",
            ) from None
        levels: Any = self.body.feature_info
        reductions = levels.reduction()
        if not set(STRIDES) <= set(reductions):
            raise MaskRCNNError(
                f"backbone timm:{name} has features at strides {reductions}, expected {list(STRIDES)} among them",
                fix="choose a convolutional or hierarchical network, such as timm:convnext_tiny",
            )
        # Some networks answer channels last.
        self.channels_last = str(getattr(self.body, "output_fmt", "NCHW")).endswith("NHWC")
        self.picks = [reductions.index(stride) for stride in STRIDES]
        self.channels = [levels.channels()[pick] for pick in self.picks]
        self.stage_ends = tuple(levels.module_name()[pick] for pick in self.picks)

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = self.body(x)
        levels = [levels[pick] for pick in self.picks]
        return [level.permute(0, 3, 1, 2) for level in levels] if self.channels_last else levels


RESNETS: dict[str, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...]]] = {
    name: (BasicBlock if name in SHALLOW else Bottleneck, depths) for name, depths in RESNET_DEPTHS.items()
}


def build_backbone(config: Config) -> ResNet | EfficientNetLite0 | TimmBackbone:
    """The network ``config.backbone`` names. Raises `MaskRCNNError` for an unknown name.

    Each has ``channels``, those of its four maps, and ``stage_ends``, the names of the modules that give them: its own,
    or of its ``body`` if it has one.
    """
    if config.backbone == "timm:efficientnet_lite0":
        return EfficientNetLite0(config.preprocess.channels)
    if config.backbone.startswith("timm:"):
        return TimmBackbone(config.backbone.removeprefix("timm:"), config.preprocess.channels)
    if config.backbone not in RESNETS:
        raise MaskRCNNError(
            f"unknown backbone {shown(config.backbone)}",
            fix=f"known: {', '.join(RESNETS)}, timm:NAME (timm:convnext_tiny)",
        )
    return ResNet(*RESNETS[config.backbone], config)
