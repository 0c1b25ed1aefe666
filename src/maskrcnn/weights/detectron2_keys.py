"""detectron2's Mask R-CNN checkpoints: parameters under our names, settings from their shapes, buffers and yaml.

Background is the last class, as here. Its models take BGR images by default; the first layer's channels are flipped,
so that ours take RGB.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import Tensor

from maskrcnn.config import preset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.weights.architecture import Renames, conv_or_norm, flip_first_layer, infer_config, rename_parameters
from maskrcnn.weights.detectron2_config import (
    ASSUMED,
    Detectron2Settings,
    check_against_weights,
    disagreement,
    ignored_keys_note,
    settings_from_yaml,
)
from maskrcnn.weights.foreign_checkpoint import ForeignCheckpoint, pixel_statistics


def _block_part(found: re.Match[str]) -> str:
    """A convolution of a residual block, or its norm; stages are numbered from 2."""
    stage, block, number, norm = found.groups()
    part = f"{'bn' if norm else 'conv'}{number}" if number else f"downsample.{int(bool(norm))}"
    return f"backbone.layer{int(stage) - 1}.{block}.{part}."


_RENAMES: Renames = [
    (r"backbone\.bottom_up\.stem\.conv1\.norm\.", "backbone.bn1."),
    (r"backbone\.bottom_up\.stem\.conv1\.", "backbone.conv1."),
    (r"backbone\.bottom_up\.res(\d)\.(\d+)\.(?:shortcut|conv(\d))\.(?:(norm)\.)?", _block_part),
    (r"backbone\.fpn_lateral(\d)\.(?:(norm)\.)?", conv_or_norm("fpn.lateral", first=2)),
    (r"backbone\.fpn_output(\d)\.(?:(norm)\.)?", conv_or_norm("fpn.output", first=2)),
    (r"proposal_generator\.rpn_head\.conv\.conv(\d)\.", r"rpn.convs.\1.0."),
    (r"proposal_generator\.rpn_head\.conv\.", "rpn.convs.0.0."),
    (r"proposal_generator\.rpn_head\.objectness_logits\.", "rpn.logits."),
    (r"proposal_generator\.rpn_head\.anchor_deltas\.", "rpn.deltas."),
    (r"roi_heads\.box_head\.conv(\d)\.(?:(norm)\.)?", conv_or_norm("box_head.convs", first=1)),
    (r"roi_heads\.box_head\.fc(\d)\.", lambda found: f"box_head.hidden.{int(found[1]) - 1}."),
    (r"roi_heads\.box_predictor\.cls_score\.", "box_head.logits."),
    (r"roi_heads\.box_predictor\.bbox_pred\.", "box_head.deltas."),
    (r"roi_heads\.mask_head\.mask_fcn(\d)\.(?:(norm)\.)?", conv_or_norm("mask_head.convs", first=1)),
    (r"roi_heads\.mask_head\.deconv\.", "mask_head.upsample."),
    (r"roi_heads\.mask_head\.predictor\.", "mask_head.logits."),
]
_ANCHORS = r"proposal_generator\.anchor_generator\.cell_anchors\.(\d+)"


def is_detectron2(state: dict[str, Tensor]) -> bool:
    """Whether these are the parameters of a detectron2 model with a region proposal network."""
    return any(key.startswith(("backbone.bottom_up.", "proposal_generator.")) for key in state)


def convert_detectron2(state: dict[str, Tensor], where: Path, written: dict[str, Any] | None) -> ForeignCheckpoint:
    """The checkpoint under our names and settings.

    Args:
        state: parameters under detectron2's names.
        written: the run's yaml, if there is one.

    Raises:
        MaskRCNNError: parameters are missing, yaml and parameters disagree, or the yaml asks for something unsupported.
    """
    buffers = {key: value for key, value in state.items() if re.match(r"pixel_(mean|std)$|" + _ANCHORS, key)}
    ours = rename_parameters({key: value for key, value in state.items() if key not in buffers}, _RENAMES)
    config, classes = infer_config(ours, preset("resnet50_fpn").replace(**ASSUMED), where)
    notes = []
    try:
        settings = settings_from_yaml(written, config.backbone_groups > 1, where)
        settings = _with_buffers(settings, buffers, written, where)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"yaml: a value has another type than detectron2 writes: {error}"
        raise MaskRCNNError(what, where=where, fix="pass the config.yaml of the run as config=") from None
    if written is None:
        stride = "STRIDE_IN_1X1" if settings.stride_in_1x1 else "stride in the 3x3 convolutions"
        notes.append(
            "no yaml beside the file: detectron2's own settings for this backbone are assumed "
            f"({stride}, {'BGR' if settings.bgr else 'RGB'}, pixel std {list(settings.pixel_std)}, "
            "thresholds, anchors, input size); pass config=FILE.yaml if it was trained with others"
        )
    else:
        if "_BASE_" in written:
            base = str(written["_BASE_"])[:100]
            notes.append(f"yaml: _BASE_ {base} is not followed; detectron2's FPN settings are assumed")
        notes += ignored_keys_note(written)
        check_against_weights(written, config, classes, where)
    statistics = pixel_statistics(settings.pixel_mean, settings.pixel_std, settings.bgr, where)
    config = config.replace(
        **settings.changes,
        preprocess={**settings.preprocess, **statistics},
        backbone_stride_in_1x1=settings.stride_in_1x1,
    )
    if settings.bgr:
        notes.append(flip_first_layer(ours))
    return ForeignCheckpoint("detectron2", ours, config, classes, None, notes)


def _with_buffers(
    settings: Detectron2Settings, buffers: dict[str, Tensor], written: dict[str, Any] | None, where: Path
) -> Detectron2Settings:
    """The settings with the pixel statistics and anchors of the file's buffers, which a yaml must not contradict."""
    model = (written or {}).get("MODEL") or {}
    measured: dict[str, Any] = {}
    for name in ("pixel_mean", "pixel_std"):
        if name in buffers:
            measured[name] = tuple(round(float(value), 4) for value in buffers[name].flatten())
            if name.upper() in model and any(
                abs(one - other) > 1e-2 for one, other in zip(measured[name], getattr(settings, name), strict=True)
            ):
                in_yaml, in_weights = list(getattr(settings, name)), list(measured[name])
                raise disagreement(f"MODEL.{name.upper()}", in_yaml, in_weights, where)
    if "pixel_mean" in measured and "FORMAT" not in ((written or {}).get("INPUT") or {}):
        # In photographs red has the largest mean and blue the smallest.
        settings = settings._replace(bgr=measured["pixel_mean"][0] <= measured["pixel_mean"][-1])
    shapes = [buffers[key] for key in sorted(buffers) if re.match(_ANCHORS, key)]
    if shapes and "ANCHOR_GENERATOR" not in model:
        sides = [(shape[:, 2:] - shape[:, :2]).double() for shape in shapes]
        anchors = {
            "anchor_sizes": tuple(round(float(side[0].prod().sqrt()), 2) for side in sides),
            "anchor_ratios": tuple(round(float(side[1] / side[0]), 4) for side in sides[0]),
        }
        settings = settings._replace(changes={**settings.changes, **anchors})
    return settings._replace(**measured)
