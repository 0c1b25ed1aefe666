"""Infers from names and shapes of parameters a network's `Config`, or which unsupported architecture it is.

A `Config` is inferred after the parameters got our names, by the same rules for every library.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from maskrcnn.config import Config
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.backbone import RESNETS, Bottleneck

Rename = Callable[[re.Match[str]], str]
Renames = Sequence[tuple[str, str | Rename]]  # pattern, replacement

# Parameter names (patterns) of networks other than a plain Mask R-CNN with FPN, in the libraries that are read.
_OTHERS = [
    (r"roi_heads\.box_predictor\.\d+\.|roi_head\.bbox_head\.\d+\.", "Cascade R-CNN"),
    (r"roi_heads\.mask_(coarse|point)_head\.|\.mask_head\.(coarse|point)_head\.|roi_head\.point_head\.", "PointRend"),
    (r"roi_heads\.keypoint_", "Keypoint R-CNN"),
    (r"roi_head\.mask_iou_head\.|roi_heads\.maskiou", "Mask Scoring R-CNN"),
    (r"roi_head\.semantic_head\.", "Hybrid Task Cascade"),
    (r"^bbox_head\.fc_cls\.", "a model of mmdetection 1.x (its upgrade_model_version.py converts it to 2.x)"),
    (r"head\.cls_subnet\.|bbox_head\.retina_|head\.classification_head\.", "RetinaNet"),
    (r"transformer\.|query_embed|sem_seg_head\.predictor\.", "a query-based network (DETR, Mask2Former)"),
    (r"sem_seg_head\.", "Panoptic FPN"),
    (r"roi_heads\.res5\.|roi_head\.shared_head\.", "Mask R-CNN on C4 features, without a pyramid"),
    (r"\.conv\d_offset\.|\.conv_offset\.", "Mask R-CNN with deformable convolutions"),
    (r"patch_embed\.|\.blocks\.\d+\.attn\.", "a network on a transformer (Swin, ViT)"),
    (r"(bottom_up|backbone)\.stem\.\d|bottom_up\.stem\.conv[23]\.", "a ResNet with a deep stem (ResNet-C, -D)"),
    (r"\.gn\.weight$", "a network with group normalisation"),
]
_BOXES_ONLY = r"roi_heads\.box_predictor\.|roi_head\.bbox_head\."
_MASKS = r"roi_heads\.mask_head\.|roi_heads\.mask_predictor\.|roi_head\.mask_head\."


def unsupported_architecture(state: dict[str, Tensor]) -> str | None:
    """The name of the network that another library's parameters belong to, if it is one that is not supported."""
    for pattern, what in _OTHERS:
        if any(re.search(pattern, key) for key in state):
            return what
    if any(re.match(_BOXES_ONLY, key) for key in state) and not any(re.match(_MASKS, key) for key in state):
        return "Faster R-CNN, without a mask head"
    norms = [key.removesuffix("weight") for key in state if key.endswith(".norm.weight")]
    if any(f"{norm}running_mean" not in state for norm in norms):  # batch norms keep statistics
        return "a network with group or layer normalisation"
    return None


def rename_parameters(state: dict[str, Tensor], table: Renames) -> dict[str, Tensor]:
    """The parameters, each renamed by the first pattern that matches the beginning of its name."""
    renamed = {}
    for key, value in state.items():
        candidates = (re.subn(f"^{pattern}", replacement, key) for pattern, replacement in table)
        renamed[next((name for name, count in candidates if count), key)] = value
    return renamed


def conv_or_norm(layers: str, first: int = 0) -> Rename:
    """The replacement for layer n (group 1, counted from ``first``): its convolution, or its norm as group 2 says."""
    return lambda found: f"{layers}.{int(found[1]) - first}.{int(found[2] in ('bn', 'norm', '1'))}."


def infer_config(state: dict[str, Tensor], base: Config, where: Path) -> tuple[Config, int]:
    """``base`` with the settings that follow from the shapes of parameters under our names, and the number of classes.

    Raises:
        MaskRCNNError: a parameter of Mask R-CNN is missing, or the backbone is not a supported ResNet.
    """
    try:
        changes, classes = _settings_from_shapes(state)
    except KeyError as error:
        found = f"no parameter for {error}"
    except (IndexError, TypeError, ValueError, ZeroDivisionError):
        found = "parameters in shapes that no such network has"
    else:
        return base.replace(**changes), classes
    what = f"expected a Mask R-CNN with a feature pyramid, found {found}"
    raise MaskRCNNError(what, where=where, fix="check that the file is complete, and which network it was saved from")


def _settings_from_shapes(state: dict[str, Tensor]) -> tuple[dict[str, Any], int]:
    fpn = state["fpn.output.0.0.weight"].shape[0]
    len(state["rpn.logits.bias"])  # read by the caller: report it here if it is missing
    box_convs, mask_convs = (_layer_outputs(state, f"{head}.convs.{{}}.0.weight") for head in ("box_head", "mask_head"))
    hidden = _layer_outputs(state, "box_head.hidden.{}.weight")
    first = state["box_head.hidden.0.weight" if hidden else "box_head.logits.weight"]
    classes = len(state["box_head.logits.bias"]) - 1
    heads = ("box_head.convs.0.1.weight", "mask_head.convs.0.1.weight")
    return {
        **_backbone(state),
        "fpn_channels": fpn,
        "fpn_norm": "batch" if "fpn.output.0.1.weight" in state else "none",
        "rpn_convs": len(_layer_outputs(state, "rpn.convs.{}.0.weight")),
        "box_bins": math.isqrt(first.shape[1] // (box_convs or (fpn,))[-1]),
        "box_convs": box_convs,
        "box_hidden": hidden,
        "box_class_agnostic": classes > 1 and len(state["box_head.deltas.bias"]) == 4,
        "mask_convs": mask_convs,
        "mask_class_agnostic": classes > 1 and len(state["mask_head.logits.bias"]) == 1,
        "head_norm": "batch" if any(norm in state for norm in heads) else "none",
    }, classes


def _layer_outputs(state: dict[str, Tensor], pattern: str) -> tuple[int, ...]:
    """Numbers of outputs of consecutive layers, numbered from 0 in the pattern."""
    outputs: list[int] = []
    while pattern.format(len(outputs)) in state:
        outputs.append(state[pattern.format(len(outputs))].shape[0])
    return tuple(outputs)


def _backbone(state: dict[str, Tensor]) -> dict[str, Any]:
    depths = tuple(len(_layer_outputs(state, f"backbone.layer{stage}.{{}}.conv1.weight")) for stage in range(1, 5))
    bottleneck = "backbone.layer1.0.conv3.weight" in state
    kinds = {(block is Bottleneck, depths): name for name, (block, depths) in RESNETS.items()}
    if (bottleneck, depths) not in kinds:
        known = ", ".join(name.replace("resnet", "-") for name in RESNETS)
        what = f"a Mask R-CNN whose backbone is not ResNet{known} or a ResNeXt of those depths: blocks {list(depths)}"
        raise MaskRCNNError(what, fix="train one here, with a preset")
    changes: dict[str, Any] = {"backbone": kinds[bottleneck, depths]}
    if bottleneck:
        width, inputs = state["backbone.layer1.0.conv2.weight"].shape[:2]
        changes |= {"backbone_groups": width // inputs, "backbone_group_width": inputs}
    changes["backbone_norm"] = "batch" if "backbone.bn1.num_batches_tracked" in state else "frozen"
    return changes


def flip_first_layer(state: dict[str, Tensor]) -> str:
    """Make a first layer that takes BGR one that takes RGB, in place. Returns the note for the report."""
    state["backbone.conv1.weight"] = state["backbone.conv1.weight"].flip(1)
    return "trained on BGR: the first layer's channels are flipped, the model takes RGB"
