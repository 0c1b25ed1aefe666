"""torchvision's Mask R-CNN checkpoints (v1, v2, any model of its class on a ResNet) under our names, in our row order.

In torchvision, background comes first and has box deltas and a mask; here it is last among the logits and has neither.
Today's parameter names and those of the first published files are converted.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from maskrcnn.config import preset
from maskrcnn.weights.architecture import Renames, conv_or_norm, infer_config, rename_parameters
from maskrcnn.weights.foreign_checkpoint import ForeignCheckpoint

_RENAMES: Renames = [
    (r"backbone\.body\.", "backbone."),
    (r"backbone\.fpn\.inner_blocks\.(\d+)\.(?:([01])\.)?", conv_or_norm("fpn.lateral")),
    (r"backbone\.fpn\.layer_blocks\.(\d+)\.(?:([01])\.)?", conv_or_norm("fpn.output")),
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
_ASSUMPTIONS = (
    "a torchvision file states neither input size, thresholds, anchor sizes nor the norms' epsilon: its defaults are "
    "assumed (800 to 1333, score 0.05, NMS 0.5, 100 detections, anchors 32 to 512, 1e-5). A model fine-tuned from "
    "torchvision's COCO weights of v1 has an epsilon of 0: pass config=FILE.yaml with norm_eps: 0"
)


def is_torchvision(state: dict[str, Tensor]) -> bool:
    """Whether these are the parameters of a torchvision Mask R-CNN."""
    return "roi_heads.mask_predictor.mask_fcn_logits.weight" in state and "rpn.head.cls_logits.weight" in state


def convert_torchvision(state: dict[str, Tensor], where: Path) -> ForeignCheckpoint:
    """The checkpoint under our names and settings, background last. Raises `MaskRCNNError` unless it has a ResNet."""
    ours = rename_parameters(state, _RENAMES)
    v2 = "roi_heads.box_head.0.0.weight" in state
    config, classes = infer_config(ours, preset("resnet50_fpn_v2" if v2 else "resnet50_fpn"), where)
    for part in ("weight", "bias"):
        logits = ours[f"box_head.logits.{part}"]
        ours[f"box_head.logits.{part}"] = torch.cat((logits[1:], logits[:1]))
        ours[f"box_head.deltas.{part}"] = ours[f"box_head.deltas.{part}"][4:]
        ours[f"mask_head.logits.{part}"] = ours[f"mask_head.logits.{part}"][1:]
    return ForeignCheckpoint("torchvision", ours, config, classes, None, [_ASSUMPTIONS])
