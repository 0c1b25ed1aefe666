"""A Mask R-CNN of 0.1 million parameters, and torchvision files that take no room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor
from torchvision.models.detection import MaskRCNN as Peer
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from maskrcnn.config import preset
from maskrcnn.model.mask_rcnn import MaskRCNN


@pytest.fixture
def tiny() -> Callable[..., MaskRCNN]:
    """tiny("cat", "dog", fpn_channels=16): random weights, other ones for each call."""

    def build(*names: str, **changes: Any) -> MaskRCNN:
        settings = {"backbone": "timm:test_efficientnet", "fpn_channels": 8, "box_hidden": (16,), "mask_convs": (8,)}
        return MaskRCNN(preset("lite").replace(**{**settings, **changes}), names).eval()

    return build


def without_storage(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same names and shapes, each a single number repeated."""
    return {
        key: torch.full((1,) * value.dim(), number / 1000, dtype=value.dtype).expand(value.shape)
        for number, (key, value) in enumerate(state.items())
    }


@pytest.fixture
def peers_state() -> Callable[[int], dict[str, Tensor]]:
    """State dict of torchvision's Mask R-CNN with a ResNet-18 and so many outputs, background among them."""

    def build(outputs: int) -> dict[str, Tensor]:
        with torch.device("meta"):
            backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None, trainable_layers=5)
            shapes = Peer(backbone, outputs).state_dict()
        return without_storage(shapes)

    return build


@pytest.fixture
def resnet18_state() -> dict[str, Tensor]:
    """State dict of torchvision's classifier, every tensor another number."""
    with torch.device("meta"):
        shapes = torchvision.models.resnet18(weights=None).state_dict()
    return without_storage(shapes)
