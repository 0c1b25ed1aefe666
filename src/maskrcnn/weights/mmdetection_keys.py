"""mmdetection's Mask R-CNN checkpoints (2.x and 3.x): parameters under our names, settings from shapes and config text.

Its ResNets have torchvision's names; background is the last class, as here.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from torch import Tensor

from maskrcnn.config import preset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown
from maskrcnn.weights.architecture import Renames, conv_or_norm, flip_first_layer, infer_config, rename_parameters
from maskrcnn.weights.detectron2_config import ASSUMED
from maskrcnn.weights.foreign_checkpoint import ForeignCheckpoint, pixel_statistics
from maskrcnn.weights.parameter_copy import without_counters

_RENAMES: Renames = [
    (r"neck\.lateral_convs\.(\d)\.(conv|bn)\.", conv_or_norm("fpn.lateral")),
    (r"neck\.fpn_convs\.(\d)\.(conv|bn)\.", conv_or_norm("fpn.output")),
    (r"rpn_head\.rpn_conv\.(\d)\.conv\.", r"rpn.convs.\1.0."),
    (r"rpn_head\.rpn_conv\.", "rpn.convs.0.0."),
    (r"rpn_head\.rpn_cls\.", "rpn.logits."),
    (r"rpn_head\.rpn_reg\.", "rpn.deltas."),
    (r"roi_head\.bbox_head\.shared_convs\.(\d)\.(conv|bn)\.", conv_or_norm("box_head.convs")),
    (r"roi_head\.bbox_head\.shared_fcs\.(\d)\.", r"box_head.hidden.\1."),
    (r"roi_head\.bbox_head\.fc_cls\.", "box_head.logits."),
    (r"roi_head\.bbox_head\.fc_reg\.", "box_head.deltas."),
    (r"roi_head\.mask_head\.convs\.(\d)\.(conv|bn)\.", conv_or_norm("mask_head.convs")),
    (r"roi_head\.mask_head\.upsample\.", "mask_head.upsample."),
    (r"roi_head\.mask_head\.conv_logits\.", "mask_head.logits."),
]
_BETAS = {"rpn_head": "rpn_beta", "bbox_head": "box_beta"}  # of each head's smooth L1 loss
_IMAGENET = pixel_statistics((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), bgr=False)
_ASSUMED = {**ASSUMED, "preprocess": {**ASSUMED["preprocess"], "antialias": False, **_IMAGENET}}


def is_mmdetection(state: dict[str, Tensor]) -> bool:
    """Whether these are the parameters of a two-stage detector of mmdetection 2 or 3."""
    return any(key.startswith(("roi_head.bbox_head.", "neck.lateral_convs.", "rpn_head.")) for key in state)


def convert_mmdetection(state: dict[str, Tensor], rest: dict[str, Any], where: Path) -> ForeignCheckpoint:
    """The checkpoint under our names and settings.

    Args:
        state: parameters under mmdetection's names.
        rest: the rest of the file; ``meta`` has the class names and the text of the config.

    Raises:
        MaskRCNNError: parameters are missing, or the architecture is not supported.
    """
    if any(key.startswith("neck.fpn_convs.4.") for key in state):
        what = "a pyramid with extra convolutions (add_extra_convs), which is not supported"
        raise MaskRCNNError(what, where=where, fix="train one here, with a preset")
    # Its norms keep their statistics in training (norm_eval), as frozen ones do.
    ours = rename_parameters(without_counters(state), _RENAMES)
    config, classes = infer_config(ours, preset("resnet50_fpn").replace(**_ASSUMED), where)
    meta = rest["meta"] if isinstance(rest.get("meta"), dict) else {}
    text = meta.get("cfg", meta.get("config"))
    settings = _config_settings(text) if isinstance(text, str) else {}
    notes = []
    bgr = settings.get("bgr", False)
    if "mean" in settings:
        config = config.replace(preprocess=pixel_statistics(settings["mean"], settings["std"], bgr, where))
        notes.append(f"from the config in the file: {'BGR' if bgr else 'RGB'}, pixel mean and std")
    else:
        notes.append("the file holds no pixel statistics: ImageNet's in RGB are assumed, as in most of its configs")
    config = config.replace(**{name: settings[name] for name in _BETAS.values() if name in settings})
    notes += [
        f"loss_bbox of {head}: {settings[head]} is not followed, L1 is used" for head in _BETAS if head in settings
    ]
    if "style" in settings:
        config = config.replace(backbone_stride_in_1x1=settings["style"] == "caffe")
    else:
        notes.append("the file lacks the backbone's style: 'pytorch' is assumed (stride in the 3x3 convolutions)")
    notes.append("thresholds, anchors and input size: mmdetection's defaults (800 to 1333, scales of 8, score 0.05)")
    if bgr:
        notes.append(flip_first_layer(ours))
    return ForeignCheckpoint("mmdetection", ours, config, classes, _class_names_of(meta), notes)


def _class_names_of(meta: dict[str, Any]) -> tuple[str, ...] | None:
    """Class names as 2.x (``CLASSES``) and 3.x (``dataset_meta``) keep them."""
    about = meta.get("dataset_meta")
    about = about if isinstance(about, dict) else {}
    names: Any = about.get("classes", about.get("CLASSES", meta.get("CLASSES")))
    names = [names] if isinstance(names, str) else names
    readable = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return tuple(names) if readable else None


def _config_settings(text: str) -> dict[str, Any]:
    """Pixel statistics, the backbone's style and the box losses in a config, which is parsed, not run."""
    found: dict[str, Any] = {}
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return found
    for node in ast.walk(tree):
        values = _literals(node)
        if all(
            isinstance(values.get(name), list | tuple) and len(values[name]) == 3 and all(map(_is_number, values[name]))
            for name in ("mean", "std")
        ):
            # to_rgb in 2.x and bgr_to_rgb in 3.x flip the BGR that cv2 reads.
            flipped = values.get("to_rgb", values.get("bgr_to_rgb", False))
            found |= {"mean": values["mean"], "std": values["std"], "bgr": not flipped}
        if values.get("style") in ("pytorch", "caffe"):
            found["style"] = values["style"]
        for head in _BETAS:
            loss = _literals(_named_values(_named_values(node).get(head)).get("loss_bbox"))
            if loss.get("type") == "L1Loss":
                found[_BETAS[head]] = 0.0
            elif loss.get("type") == "SmoothL1Loss" and _is_number(loss.get("beta", 1.0)):
                found[_BETAS[head]] = float(loss.get("beta", 1.0))
            elif "type" in loss:
                found[head] = shown(loss["type"])
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6


def _named_values(node: ast.AST | None) -> dict[str, ast.AST]:
    """The names and value nodes of a ``dict(…)`` call or of a dict display."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {item.arg: item.value for item in node.keywords if item.arg}
    if isinstance(node, ast.Dict):
        items = zip(node.keys, node.values, strict=True)
        return {str(key.value)[:100]: value for key, value in items if isinstance(key, ast.Constant)}
    return {}


def _literals(node: ast.AST | None) -> dict[str, Any]:
    """The plain values of a ``dict(…)`` call or of a dict display."""
    values = {}
    for name, value in _named_values(node).items():
        if name in ("mean", "std", "to_rgb", "bgr_to_rgb", "style", "type", "beta"):
            try:
                values[name] = ast.literal_eval(value)
            except (ValueError, TypeError, RecursionError, MemoryError):
                continue
    return values
