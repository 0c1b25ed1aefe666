"""Suppression and RoIAlign as one operator each in a trace, and their translations to ONNX.

The operators are opaque to the tracer. Their translations give the same survivors and the same features as ours:
`NonMaxSuppression` is fed the rank of each box as its score, so that ties keep their order, and one row of scores for
each group, so that boxes need no offset by group; `RoiAlign` runs once a level on that level's
RoIs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from maskrcnn.model.pyramid import Pyramid
from maskrcnn.ops.nms import float32_below, nms


@torch.library.custom_op("maskrcnn::nms", mutates_args=())
def opaque_nms(boxes: Tensor, valid: Tensor, iou_threshold: float, group: Tensor | None) -> Tensor:
    """`maskrcnn.ops.nms.nms` for boxes [N, K, 4], valid [N, K], group [N, K] or none → bool [N, K]."""
    return nms(boxes, valid, iou_threshold, group)


@opaque_nms.register_fake
def _(boxes: Tensor, valid: Tensor, iou_threshold: float, group: Tensor | None) -> Tensor:
    return torch.empty_like(valid)


@torch.library.custom_op("maskrcnn::roi_align", mutates_args=())
def opaque_roi_align(
    levels: Sequence[Tensor],
    strides: Sequence[int],
    boxes: Tensor,
    level: Tensor,
    image_index: Tensor,
    bins: int,
    sampling: int,
    aligned: bool,
) -> Tensor:
    """RoIAlign of boxes [R, 4], each on its level [R] of maps [B, F, H_l, W_l] → [R, F, bins, bins]."""
    return Pyramid.of(levels, strides, sampling, aligned).roi_align(boxes, image_index, bins)


@opaque_roi_align.register_fake
def _(
    levels: Sequence[Tensor], strides: object, boxes: Tensor, level: object, images: object, bins: int, *_: object
) -> Tensor:
    return levels[0].new_empty(boxes.shape[0], levels[0].shape[1], bins, bins)


OPAQUE_OPERATORS: dict[str, Callable[..., Tensor]] = {"nms": opaque_nms, "roi align": opaque_roi_align}


def onnx_translations() -> dict[Any, Any]:
    """Each operator's translation, for ``torch.onnx.export(custom_translation_table=…)``."""
    from onnxscript import opset18

    op: Any = opset18

    def translate_nms(boxes, valid, iou_threshold: float, group=None):  # type: ignore[no-untyped-def]
        zero, one = op.Constant(value_float=0.0), op.Constant(value_ints=[1])
        count = op.Shape(valid, start=1, end=2)
        last = op.Squeeze(count, op.Constant(value_ints=[0]))
        step, nothing = op.Constant(value_int=-1), op.Constant(value_int=0)
        rank = op.Cast(op.Range(last, nothing, step), to=1)
        scores = op.Unsqueeze(op.Where(valid, rank, zero), one)
        if group is not None:
            groups = op.Add(op.ReduceMax(group, keepdims=0), op.Constant(value_int=1))
            numbers = op.Unsqueeze(op.Range(nothing, groups, op.Constant(value_int=1)), one)
            scores = op.Where(op.Equal(op.Unsqueeze(group, one), numbers), scores, zero)
        picked = op.NonMaxSuppression(
            boxes,
            scores,
            count,
            op.Constant(value_floats=[float32_below(iou_threshold)]),
            op.Constant(value_floats=[0.5]),
        )
        place = op.Gather(picked, op.Constant(value_ints=[0, 2]), axis=1)
        ones = op.Expand(op.Constant(value_int=1), op.Shape(picked, start=0, end=1))
        none = op.Expand(op.Constant(value_int=0), op.Shape(valid))
        return op.Cast(op.ScatterND(none, place, ones), to=9)

    def translate_roi_align(levels, strides, boxes, level, image_index, bins: int, sampling: int, aligned: bool):  # type: ignore[no-untyped-def]
        parts, places = [], []
        for number, (features, stride) in enumerate(zip(levels, strides, strict=True)):
            here = op.Equal(level, op.Constant(value_int=number))
            here = op.Squeeze(op.NonZero(here), op.Constant(value_ints=[0]))
            parts.append(
                op.RoiAlign(
                    op.Cast(features, to=1),  # of the boxes' type
                    op.Gather(boxes, here),
                    op.Gather(image_index, here),
                    coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
                    output_height=bins,
                    output_width=bins,
                    sampling_ratio=sampling,
                    spatial_scale=1.0 / stride,
                )
            )
            places.append(here)
        order = op.Concat(*places, axis=0)
        zero, one = op.Constant(value_int=0), op.Constant(value_int=1)
        numbers = op.Range(zero, op.Squeeze(op.Shape(level), op.Constant(value_ints=[0])), one)
        back = op.ScatterElements(op.Mul(numbers, zero), order, numbers, axis=0)
        return op.CastLike(op.Gather(op.Concat(*parts, axis=0), back, axis=0), levels[0])

    return {
        torch.ops.maskrcnn.nms.default: translate_nms,
        torch.ops.maskrcnn.roi_align.default: translate_roi_align,
    }
