"""torchvision's Mask R-CNN checkpoints (v1, v2, any ResNet) in our names and row order.

torchvision puts background first and gives it box deltas and a mask of its own; here background comes last among the
logits and has neither. Both the present parameter names and those of the first published files are known.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor

from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.config import Config, preset

_RENAMES: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"backbone\.body\.", "backbone."),
    (r"backbone\.fpn\.inner_blocks\.(\d+)\.(\d)\.", r"fpn.lateral.\1.\2."),
    (r"backbone\.fpn\.inner_blocks\.(\d+)\.", r"fpn.lateral.\1.0."),
    (r"backbone\.fpn\.layer_blocks\.(\d+)\.(\d)\.", r"fpn.output.\1.\2."),
    (r"backbone\.fpn\.layer_blocks\.(\d+)\.", r"fpn.output.\1.0."),
    (r"rpn\.head\.conv\.(\d+)\.0\.", r"rpn.convs.\1.0."),
    (r"rpn\.head\.conv\.", "rpn.convs.0.0."),
    (r"rpn\.head\.cls_logits\.", "rpn.logits."),
    (r"rpn\.head\.bbox_pred\.", "rpn.deltas."),
    (r"roi_heads\.box_head\.fc6\.", "box_head.hidden.0."),
    (r"roi_heads\.box_head\.fc7\.", "box_head.hidden.1."),
    (r"roi_heads\.box_head\.(\d+)\.(\d)\.", r"box_head.convs.\1.\2."),
    (r"roi_heads\.box_head\.\d+\.", "box_head.hidden.0."),
    (r"roi_heads\.box_predictor\.cls_score\.", "box_head.logits."),
    (r"roi_heads\.box_predictor\.bbox_pred\.", "box_head.deltas."),
    (r"roi_heads\.mask_head\.mask_fcn(\d)\.", lambda found: f"mask_head.convs.{int(found[1]) - 1}.0."),
    (r"roi_heads\.mask_head\.(\d+)\.(\d)\.", r"mask_head.convs.\1.\2."),
    (r"roi_heads\.mask_predictor\.conv5_mask\.", "mask_head.upsample."),
    (r"roi_heads\.mask_predictor\.mask_fcn_logits\.", "mask_head.logits."),
]
_DEPTHS = {
    (False, 2): "resnet18",
    (False, 6): "resnet34",
    (True, 6): "resnet50",
    (True, 23): "resnet101",
}


def is_torchvision(state: dict[str, Tensor]) -> bool:
    """Whether these are the parameters of a torchvision Mask R-CNN."""
    return "roi_heads.mask_predictor.mask_fcn_logits.weight" in state and "rpn.head.cls_logits.weight" in state


def torchvision_config(state: dict[str, Tensor]) -> Config:
    """The architecture that names and shapes tell. Raises `MaskRCNNError` for backbones other than ResNets."""
    blocks = {int(found[1]) for key in state if (found := re.match(r"backbone\.body\.layer3\.(\d+)\.conv1", key))}
    bottleneck = "backbone.body.layer3.0.conv3.weight" in state
    backbone = _DEPTHS.get((bottleneck, len(blocks)))
    if backbone is None:
        raise MaskRCNNError(
            "a torchvision Mask R-CNN whose backbone is not ResNet-18, -34, -50 or -101",
            fix="build the model with its own code, or train one here with --preset",
        )
    v2 = "roi_heads.box_head.0.0.weight" in state
    config = preset("resnet50_fpn_v2" if v2 else "resnet50_fpn").replace(backbone=backbone)
    if "backbone.body.bn1.num_batches_tracked" in state:
        config = config.replace(backbone_norm="batch")
    return config


def rename_torchvision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parameters under our names, background moved last."""
    renamed = {_rename(key): value for key, value in state.items()}
    for part in ("weight", "bias"):
        logits = renamed[f"box_head.logits.{part}"]
        renamed[f"box_head.logits.{part}"] = torch.cat((logits[1:], logits[:1]))
        renamed[f"box_head.deltas.{part}"] = renamed[f"box_head.deltas.{part}"][4:]
        renamed[f"mask_head.logits.{part}"] = renamed[f"mask_head.logits.{part}"][1:]
    return renamed


def _rename(key: str) -> str:
    for pattern, replacement in _RENAMES:
        new, count = re.subn(f"^{pattern}", replacement, key)
        if count:
            return new
    return key
