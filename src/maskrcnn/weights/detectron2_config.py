"""detectron2's yaml: settings that cannot be inferred from the parameters, and a check of those that can.

Missing keys take the values of detectron2's Base-RCNN-FPN.yaml.
"""

from __future__ import annotations

import ast
import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn import json_yaml
from maskrcnn.config import Config
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown
from maskrcnn.setting_limits import RESNET_DEPTHS, SHALLOW
from maskrcnn.text import listed

# Settings that all detectron2 models share, under our names.
ASSUMED: dict[str, Any] = {
    "anchor_rounding": False,
    "anchor_offset": 0.0,
    "roi_aligned": True,
    "roi_sampling": 0,
    "rpn_beta": 0.0,
    "box_beta": 0.0,
    "paste_quantized": False,
    "rpn_before_nms": (2000, 1000),
    "proposals": (1000, 1000),
    "preprocess": {"antialias": True, "nearest_size": True, "whole_values": True},
}
_ANY_SIZE = 10**6


class Detectron2Settings(NamedTuple):
    """A yaml as our settings; pixel statistics are for values 0..255, channels in the network's order."""

    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    bgr: bool
    stride_in_1x1: bool
    preprocess: dict[str, Any]
    changes: dict[str, Any]  # other fields of `Config`


def find_run_yaml(path: Path) -> Path | None:
    """The yaml beside a weight file: of its name, or the config.yaml that detectron2 writes into a run's folder."""
    candidates = path.with_suffix(".yaml"), path.with_suffix(".yml"), path.parent / "config.yaml"
    return next(filter(Path.is_file, candidates), None)


def read_settings(path: Path) -> dict[str, Any]:
    """A yaml file of plain values. Raises `MaskRCNNError` if it is not a yaml or not a mapping."""
    content = json_yaml.read_yaml(path)
    if not isinstance(content, dict):
        raise MaskRCNNError(f"expected a yaml of settings, found {type(content).__name__}", where=path)
    return content


def is_detectron2_yaml(written: dict[str, Any]) -> bool:
    """Whether these are settings of detectron2, not of ours."""
    return any(key in written for key in ("MODEL", "INPUT", "TEST", "DATASETS", "_BASE_"))


def ignored_keys_note(written: dict[str, Any]) -> list[str]:
    """One line that names the keys of a yaml that would change the model but are ignored; none without such keys.

    Keys without effect here (datasets, solver, other heads) are not listed.
    """
    read = {*_REQUIRED, *_HARMLESS, *(key for key, _ in _FIELDS.values())}
    read |= {f"{key}_{when}" for key in _PAIRS.values() for when in ("TRAIN", "TEST")}
    names = []
    for key, value in _leaves(written):
        section = ".".join(key.split(".")[: 2 if key.startswith("MODEL.") else 1])
        if key in _NOT_FOLLOWED:
            if value != _NOT_FOLLOWED[key]:
                names.append(f"{key} {shown(value, 30)}")
        elif section not in _ELSEWHERE and not (section in _FOLLOWED and key in read):
            names.append(key)
    return [f"yaml: not followed: {listed([name[:80] for name in names])}"] if names else []


def _leaves(written: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(written, dict):
        yield key, written
        return
    for name, value in written.items():
        yield from _leaves(value, f"{key}.{name}" if key else str(name))


def settings_from_yaml(written: dict[str, Any] | None, grouped: bool, where: Path) -> Detectron2Settings:
    """The settings of a yaml.

    Args:
        written: the yaml, or None.
        grouped: whether the backbone is a ResNeXt; the published one has its own pixel statistics and strides.
        where: the weight file, for messages.

    Raises:
        MaskRCNNError: a value is invalid, or of an architecture that is not supported.
    """
    get = functools.partial(_value, written or {})
    changes: dict[str, Any] = {}
    for name, key in _PAIRS.items():
        ours = ASSUMED[name]
        changes[name] = (int(get(f"{key}_TRAIN", ours[0])), int(get(f"{key}_TEST", ours[1])))
    for name, (key, convert) in _FIELDS.items():
        value = get(key)
        if value is not None:
            try:
                changes[name] = convert(value)
            except (TypeError, ValueError, IndexError, KeyError, OverflowError):
                raise MaskRCNNError(f"yaml: {key} is {shown(value)}, which is not supported", where=where) from None
    for key, (fits, expected) in _REQUIRED.items():
        value = get(key)
        if value is not None and not fits(value):
            what = f"yaml: {key} is {shown(value)}, an unsupported architecture; expected {expected}"
            raise MaskRCNNError(what, where=where, fix="train one here from the backbone's weights, with a preset")
    for part in ("POOLER_TYPE", "POOLER_SAMPLING_RATIO"):
        box, mask = (get(f"MODEL.ROI_{head}_HEAD.{part}") for head in ("BOX", "MASK"))
        if None not in (box, mask) and box != mask:
            raise MaskRCNNError(f"yaml: expected one {part}, found {box} for boxes, {mask} for masks", where=where)
    short, long = (_edge(get(key, usual), key, where) for key, usual in _EDGES.items())
    # In detectron2 an edge of 0 keeps the image's size.
    size = {"short": (short, short), "long": long} if short else {"short": (1, _ANY_SIZE), "long": _ANY_SIZE}
    std = [57.375, 57.12, 58.395] if grouped and written is None else [1.0, 1.0, 1.0]
    return Detectron2Settings(
        tuple(get("MODEL.PIXEL_MEAN", [103.53, 116.28, 123.675])),
        tuple(get("MODEL.PIXEL_STD", std)),
        get("INPUT.FORMAT", "BGR") == "BGR",
        bool(get("MODEL.RESNETS.STRIDE_IN_1X1", not (grouped and written is None))),
        size,
        changes,
    )


def check_against_weights(written: dict[str, Any], config: Config, classes: int, where: Path) -> None:
    """Raise `MaskRCNNError`, naming both values, where a yaml and the parameters disagree."""
    bottleneck = config.backbone not in SHALLOW
    in_weights: dict[str, Any] = {  # None: not to be compared
        "MODEL.RESNETS.DEPTH": int(config.backbone.removeprefix("resnet")),
        "MODEL.FPN.OUT_CHANNELS": config.fpn_channels,
        "MODEL.ROI_HEADS.NUM_CLASSES": classes,
        "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": config.box_bins,
        "MODEL.ROI_BOX_HEAD.NUM_FC": len(config.box_hidden),
        "MODEL.ROI_BOX_HEAD.NUM_CONV": len(config.box_convs),
        "MODEL.ROI_MASK_HEAD.NUM_CONV": len(config.mask_convs),
        "MODEL.RESNETS.NUM_GROUPS": config.backbone_groups if bottleneck else None,
        "MODEL.RESNETS.WIDTH_PER_GROUP": config.backbone_group_width if bottleneck else None,
        "MODEL.ROI_BOX_HEAD.FC_DIM": config.box_hidden[0] if config.box_hidden else None,
        "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": config.box_class_agnostic if classes > 1 else None,
        "MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK": config.mask_class_agnostic if classes > 1 else None,
    }
    for key, found in in_weights.items():
        value = _value(written, key)
        if None not in (value, found) and value != found:
            raise disagreement(key, value, found, where)


def disagreement(key: str, in_yaml: object, in_weights: object, where: Path) -> MaskRCNNError:
    """The error for a key whose values in the yaml and in the weights differ."""
    what = f"yaml and weights disagree: {key} is {in_yaml} in the yaml, {in_weights} in the weights"
    fix = "pass the yaml of the run that wrote the weights as config=, or move the other one away"
    return MaskRCNNError(what, where=where, fix=fix)


def _edge(value: Any, key: str, where: Path) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        what = f"yaml: {key}: expected a number of pixels, found {shown(value)}"
        raise MaskRCNNError(what, where=where, fix="correct the yaml") from None


def _value(written: dict[str, Any], key: str, default: Any = None) -> Any:
    value: Any = written
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return default
        value = value[part]
    # Base files write Python tuples, which YAML reads as text.
    if isinstance(value, str) and value.startswith(("(", "[")):
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return ast.literal_eval(value)
    return value


def _one_a_level(value: Any) -> tuple[float, ...]:
    (sizes,) = {len(level) for level in value}
    if sizes != 1 or len(value) != 5:
        raise ValueError
    return tuple(float(level[0]) for level in value)


def _one_for_all(value: Any) -> tuple[float, ...]:
    if any(list(level) != list(value[0]) for level in value):
        raise ValueError
    return tuple(float(ratio) for ratio in value[0])


_FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "anchor_sizes": ("MODEL.ANCHOR_GENERATOR.SIZES", _one_a_level),
    "anchor_ratios": ("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", _one_for_all),
    "anchor_offset": ("MODEL.ANCHOR_GENERATOR.OFFSET", float),
    "rpn_nms": ("MODEL.RPN.NMS_THRESH", float),
    "rpn_iou": ("MODEL.RPN.IOU_THRESHOLDS", lambda value: (float(value[0]), float(value[1]))),
    "rpn_samples": ("MODEL.RPN.BATCH_SIZE_PER_IMAGE", int),
    "rpn_positive_share": ("MODEL.RPN.POSITIVE_FRACTION", float),
    "roi_samples": ("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", int),
    "roi_positive_share": ("MODEL.ROI_HEADS.POSITIVE_FRACTION", float),
    "roi_iou": ("MODEL.ROI_HEADS.IOU_THRESHOLDS", lambda value: float(value[0])),
    "score_threshold": ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", float),
    "nms_threshold": ("MODEL.ROI_HEADS.NMS_THRESH_TEST", float),
    "box_weights": ("MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS", lambda value: tuple(float(weight) for weight in value)),
    "roi_sampling": ("MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO", int),
    "roi_aligned": ("MODEL.ROI_BOX_HEAD.POOLER_TYPE", {"ROIAlignV2": True, "ROIAlign": False}.__getitem__),
    "rpn_beta": ("MODEL.RPN.SMOOTH_L1_BETA", float),
    "box_beta": ("MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA", float),
    "mask_bins": ("MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION", int),
    "max_detections": ("TEST.DETECTIONS_PER_IMAGE", int),
}
_EDGES = {"INPUT.MIN_SIZE_TEST": 800, "INPUT.MAX_SIZE_TEST": 1333}
_PAIRS = {"rpn_before_nms": "MODEL.RPN.PRE_NMS_TOPK", "proposals": "MODEL.RPN.POST_NMS_TOPK"}


def _is(*values: Any) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: value in values), " or ".join(repr(value) for value in values)


_REQUIRED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "MODEL.META_ARCHITECTURE": _is("GeneralizedRCNN"),
    "MODEL.MASK_ON": _is(True),
    "MODEL.KEYPOINT_ON": _is(False),
    "MODEL.BACKBONE.NAME": _is("build_resnet_fpn_backbone"),
    "MODEL.RESNETS.DEPTH": _is(*(int(name.removeprefix("resnet")) for name in RESNET_DEPTHS)),
    "MODEL.RESNETS.RES5_DILATION": _is(1),
    "MODEL.FPN.FUSE_TYPE": _is("sum"),
    "MODEL.ROI_HEADS.NAME": _is("StandardROIHeads"),
    "MODEL.RPN.BBOX_REG_WEIGHTS": _is([1.0, 1.0, 1.0, 1.0], (1.0, 1.0, 1.0, 1.0)),
    "MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE": _is(False),
    "MODEL.ROI_MASK_HEAD.NAME": _is("MaskRCNNConvUpsampleHead"),
}
# Keys that change training or prediction unless they have these values, which are ours.
_NOT_FOLLOWED: dict[str, Any] = {
    "MODEL.BACKBONE.FREEZE_AT": 2,
    "MODEL.RPN.BBOX_REG_LOSS_TYPE": "smooth_l1",
    "MODEL.RPN.BBOX_REG_LOSS_WEIGHT": 1.0,
    "MODEL.RPN.LOSS_WEIGHT": 1.0,
    "MODEL.RPN.BOUNDARY_THRESH": -1,
    "MODEL.RPN.IOU_LABELS": [0, -1, 1],
    "MODEL.ROI_HEADS.IOU_LABELS": [0, 1],
    "MODEL.ROI_HEADS.PROPOSAL_APPEND_GT": True,
    "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE": "smooth_l1",
    "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT": 1.0,
    "MODEL.ROI_BOX_HEAD.TRAIN_ON_PRED_BOXES": False,
    "MODEL.ROI_BOX_HEAD.USE_FED_LOSS": False,
    "TEST.AUG.ENABLED": False,
}
_FOLLOWED = {"MODEL.RPN", "MODEL.ROI_HEADS", "MODEL.ROI_BOX_HEAD", "MODEL.ROI_MASK_HEAD", "MODEL.ANCHOR_GENERATOR"}
# Sections without effect here, or that are inferred from the weights.
_ELSEWHERE = {
    *("_BASE_", "CUDNN_BENCHMARK", "DATALOADER", "DATASETS", "FLOAT32_PRECISION", "GLOBAL", "INPUT", "OUTPUT_DIR"),
    *("SEED", "SOLVER", "TEST", "VERSION", "VIS_PERIOD"),
    *(f"MODEL.{name}" for name in ("BACKBONE", "DEVICE", "FPN", "KEYPOINT_ON", "LOAD_PROPOSALS", "MASK_ON")),
    *(f"MODEL.{name}" for name in ("META_ARCHITECTURE", "PANOPTIC_FPN", "PIXEL_MEAN", "PIXEL_STD", "RESNETS")),
    *(f"MODEL.{name}" for name in ("PROPOSAL_GENERATOR", "RETINANET", "ROI_BOX_CASCADE_HEAD", "ROI_KEYPOINT_HEAD")),
    *(f"MODEL.{name}" for name in ("SEM_SEG_HEAD", "WEIGHTS")),
}
_HARMLESS = {
    *(f"MODEL.RPN.{name}" for name in ("CONV_DIMS", "HEAD_NAME", "IN_FEATURES")),
    *(f"MODEL.ROI_HEADS.{name}" for name in ("IN_FEATURES", "NUM_CLASSES")),
    *(f"MODEL.ROI_BOX_HEAD.{name}" for name in ("CLS_AGNOSTIC_BBOX_REG", "CONV_DIM", "FC_DIM", "NAME", "NORM")),
    *(f"MODEL.ROI_BOX_HEAD.{name}" for name in ("NUM_CONV", "NUM_FC", "POOLER_RESOLUTION")),
    *(f"MODEL.ROI_BOX_HEAD.FED_LOSS_{name}" for name in ("FREQ_WEIGHT_POWER", "NUM_CLASSES")),
    *(f"MODEL.ROI_MASK_HEAD.{name}" for name in ("CLS_AGNOSTIC_MASK", "CONV_DIM", "NORM", "NUM_CONV")),
    *(f"MODEL.ROI_MASK_HEAD.POOLER_{name}" for name in ("SAMPLING_RATIO", "TYPE")),
    *(f"MODEL.ANCHOR_GENERATOR.{name}" for name in ("ANGLES", "NAME")),
}
