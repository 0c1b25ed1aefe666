"""Boxes as tensors [..., 4]: (x1, y1, x2, y2) in continuous pixels, batched over any leading dimensions."""

from __future__ import annotations

import torch
from torch import Tensor


def box_area(boxes: Tensor) -> Tensor:
    """Area [...] of boxes [..., 4]."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """Intersection area [..., N, M] of boxes a [..., N, 4] with boxes b [..., M, 4]."""
    # Coordinate by coordinate: vector units like long rows, not pairs.
    left, top, right, bottom = a[..., None].unbind(-2)
    other_left, other_top, other_right, other_bottom = b.mT.contiguous()[..., None, :, :].unbind(-2)
    width = (torch.minimum(right, other_right) - torch.maximum(left, other_left)).clamp_(min=0)
    height = (torch.minimum(bottom, other_bottom) - torch.maximum(top, other_top)).clamp_(min=0)
    return width * height


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union [..., N, M] of boxes a [..., N, 4] and b [..., M, 4]; 0 where both are empty."""
    inter = intersection(a, b)
    union = box_area(a)[..., :, None] + box_area(b)[..., None, :] - inter
    return inter / union.clamp(min=torch.finfo(inter.dtype).tiny)


def intersection_over_first(a: Tensor, b: Tensor) -> Tensor:
    """Share [..., N, M] of each box a [..., N, 4] that box b [..., M, 4] covers: the overlap used for crowd regions."""
    return intersection(a, b) / box_area(a)[..., :, None].clamp(min=torch.finfo(a.dtype).tiny)


def clip_boxes(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Boxes [B, ..., 4] clipped to images of sizes [B, 2] = (height, width)."""
    limit = sizes.flip(-1).repeat(1, 2).to(boxes.dtype)
    limit = limit.reshape(sizes.shape[0], *(1,) * (boxes.dim() - 2), 4)
    return torch.minimum(boxes.clamp(min=0), limit)


def has_min_side(boxes: Tensor, side: float) -> Tensor:
    """Which boxes [..., 4] have width and height of at least ``side`` pixels: bool [...]."""
    return ((boxes[..., 2:] - boxes[..., :2]) >= side).all(-1)
