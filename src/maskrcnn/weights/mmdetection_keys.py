"""mmdetection's Mask R-CNN checkpoints (2.x and 3.x): parameters under our names, settings from shapes and config text.

Its ResNets have torchvision's names; background is the last class there as here.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from torch import Tensor

from maskrcnn.config import preset
from maskrcnn.documents import shown
from maskrcnn.errors import MaskRCNNError
from maskrcnn.weights.architecture import Renames, flip_first_layer, infer_config, rename_parameters
from maskrcnn.weights.detectron2_config import ASSUMED
from maskrcnn.weights.foreign_checkpoint import ForeignCheckpoint, pixel_statistics

_RENAMES: Renames = [
    (r"neck\.lateral_convs\.(\d)\.conv\.", r"fpn.lateral.\1.0."),
    (r"neck\.lateral_convs\.(\d)\.bn\.", r"fpn.lateral.\1.1."),
    (r"neck\.fpn_convs\.(\d)\.conv\.", r"fpn.output.\1.0."),
    (r"neck\.fpn_convs\.(\d)\.bn\.", r"fpn.output.\1.1."),
    (r"rpn_head\.rpn_conv\.(\d)\.conv\.", r"rpn.convs.\1.0."),
    (r"rpn_head\.rpn_conv\.", "rpn.convs.0.0."),
    (r"rpn_head\.rpn_cls\.", "rpn.logits."),
    (r"rpn_head\.rpn_reg\.", "rpn.deltas."),
    (r"roi_head\.bbox_head\.shared_convs\.(\d)\.conv\.", r"box_head.convs.\1.0."),
    (r"roi_head\.bbox_head\.shared_convs\.(\d)\.bn\.", r"box_head.convs.\1.1."),
    (r"roi_head\.bbox_head\.shared_fcs\.(\d)\.", r"box_head.hidden.\1."),
    (r"roi_head\.bbox_head\.fc_cls\.", "box_head.logits."),
    (r"roi_head\.bbox_head\.fc_reg\.", "box_head.deltas."),
    (r"roi_head\.mask_head\.convs\.(\d)\.conv\.", r"mask_head.convs.\1.0."),
    (r"roi_head\.mask_head\.convs\.(\d)\.bn\.", r"mask_head.convs.\1.1."),
    (r"roi_head\.mask_head\.upsample\.", "mask_head.upsample."),
    (r"roi_head\.mask_head\.conv_logits\.", "mask_head.logits."),
]
_BETAS = {"rpn_head": "rpn_beta", "bbox_head": "box_beta"}  # of each head's smooth L1 loss
_ASSUMED: dict[str, Any] = {
    **ASSUMED,
    "preprocess": {
        "antialias": False,
        "nearest_size": True,
        "whole_values": True,
        **pixel_statistics((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), bgr=False),
    },
}


def is_mmdetection(state: dict[str, Tensor]) -> bool:
    """Whether these are the parameters of a two-stage detector of mmdetection 2 or 3."""
    return any(key.startswith(("roi_head.bbox_head.", "neck.lateral_convs.", "rpn_head.")) for key in state)


def convert_mmdetection(state: dict[str, Tensor], rest: dict[str, Any], where: Path) -> ForeignCheckpoint:
    """The checkpoint under our names and settings.

    Args:
        state: parameters under mmdetection's names.
        rest: what else the file holds; ``meta`` has the class names and the text of the config.

    Raises:
        MaskRCNNError: parameters are missing, or of something unsupported.
    """
    if any(key.startswith("neck.fpn_convs.4.") for key in state):
        what = "a pyramid with extra convolutions (add_extra_convs), which we do not have"
        raise MaskRCNNError(what, where=where, fix="train one here with --preset")
    # Its norms keep their statistics in training (norm_eval), as frozen ones do.
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    ours = rename_parameters(state, _RENAMES)
    config, classes = infer_config(ours, preset("resnet50_fpn").replace(**_ASSUMED), where)
    meta = rest.get("meta") if isinstance(rest.get("meta"), dict) else {}
    assert isinstance(meta, dict)
    text = meta.get("cfg", meta.get("config"))
    settings = _config_settings(text) if isinstance(text, str) else {}
    notes = []
    bgr = settings.get("bgr", False)
    if "mean" in settings:
        statistics = pixel_statistics(settings["mean"], settings["std"], bgr, where)
        config = config.replace(preprocess=statistics)
        notes.append(f"from the config in the file: {'BGR' if bgr else 'RGB'}, pixel mean and std")
    else:
        notes.append("the file holds no pixel statistics: ImageNet's in RGB are taken, as in most of its configs")
    config = config.replace(**{name: settings[name] for name in _BETAS.values() if name in settings})
    notes += [
        f"loss_bbox of {head}: {settings[head]} is not followed, L1 is taken" for head in _BETAS if head in settings
    ]
    if "style" in settings:
        config = config.replace(backbone_stride_in_1x1=settings["style"] == "caffe")
    else:
        notes.append(
            "the file does not state the backbone's style: 'pytorch' is taken (stride in the 3x3 convolutions)"
        )
    notes.append("thresholds, anchors and input size: mmdetection's defaults (800 to 1333, scales of 8, score 0.05)")
    if bgr:
        flip_first_layer(ours)
        notes.append("trained on BGR: the first layer's channels are flipped, the model takes RGB")
    return ForeignCheckpoint("mmdetection", ours, config, classes, _class_names_of(meta), notes)


def _class_names_of(meta: dict[str, Any]) -> tuple[str, ...] | None:
    """Class names as 2.x (``CLASSES``) and 3.x (``dataset_meta``) keep them."""
    about = meta.get("dataset_meta")
    about = about if isinstance(about, dict) else {}
    names = about.get("classes", about.get("CLASSES", meta.get("CLASSES")))
    if isinstance(names, str):
        return (names,)
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        return tuple(names)
    return None


def _config_settings(text: str) -> dict[str, Any]:
    """Pixel statistics, the backbone's style and the box losses in a config, which is read and never run."""
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
            # 2.x says to_rgb, 3.x bgr_to_rgb; both flip what cv2 has read as BGR.
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
    """The names of a ``dict(…)`` call or of a dict display, and what stands for their values."""
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
