"""Greedy non-maximum suppression over a padded batch, exact, with a fixed shape in and out.

A box survives if no better-scored survivor of its group overlaps it by more than the threshold. The plain form
writes that sentence as a fixed point: start from "all survive", let every survivor suppress, repeat until nothing
changes. Step t settles every box whose chain of better-scored overlaps is at most t long, and since a box can only be
suppressed by one before it in score order the fixed point is unique: the greedy answer. It needs no host decision
about shapes, so it exports and compiles; in practice a few steps suffice. On CUDA in eager mode a kernel does the same
without asking the host whether anything changed (`nms_triton.py`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch._higher_order_ops import while_loop  # public as torch.while_loop only after torch 2.9

from maskrcnn.ops import kernel_choice
from maskrcnn.ops.boxes import iou
from maskrcnn.ops.opaque_ops import opaque_operator
from maskrcnn.ops.torchvision_operators import load_torchvision_operators

load_torchvision_operators()


def nms(boxes: Tensor, valid: Tensor, iou_threshold: float, group: Tensor | None = None) -> Tensor:
    """Which boxes survive.

    Args:
        boxes: float [..., K, 4] in descending order of score.
        valid: bool [..., K]; the others neither survive nor suppress.
        iou_threshold: a box is suppressed when its IoU (float32) with a survivor is greater than this.
        group: int [..., K]; only boxes of one group (a class, a level) suppress each other.

    Returns:
        bool [..., K].
    """
    if not valid.shape[-1]:
        return valid
    if (one := opaque_operator("nms")) is not None:
        rows = None if group is None else group.flatten(0, -2)
        return one(boxes.float().flatten(0, -3), valid.flatten(0, -2), iou_threshold, rows).reshape(valid.shape)
    if boxes.device.type == "cpu" and not torch.compiler.is_compiling():
        return _nms_torchvision(boxes, valid, iou_threshold, group)
    return kernel_choice.call("nms", nms_plain, boxes, valid, iou_threshold, group)


def nms_plain(boxes: Tensor, valid: Tensor, iou_threshold: float, group: Tensor | None = None) -> Tensor:
    """`nms` as tensor operations of fixed shape; holds one [..., K, K] mask."""
    overlaps = iou(boxes.float(), boxes.float()) > float32_below(iou_threshold)
    suppresses = overlaps.triu(diagonal=1) & valid[..., :, None] & valid[..., None, :]
    if group is not None:
        suppresses = suppresses & (group[..., :, None] == group[..., None, :])

    def settle(keep: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        return valid & ~(suppresses & keep[..., :, None]).any(dim=-2), keep.clone()

    def unsettled(keep: Tensor, before: Tensor) -> Tensor:
        return (keep != before).any()

    keep, before = settle(valid, valid)
    if torch.compiler.is_compiling():
        return while_loop(unsettled, settle, (keep, before))[0]
    while unsettled(keep, before):
        keep, before = settle(keep, before)
    return keep


def float32_below(threshold: float) -> float:
    """The largest float32 not above ``threshold``: to exceed one is to exceed the other, as torchvision compares."""
    nearest = np.float32(threshold)
    return float(nearest if float(nearest) <= threshold else np.nextafter(nearest, np.float32(0)))


def _nms_torchvision(boxes: Tensor, valid: Tensor, iou_threshold: float, group: Tensor | None) -> Tensor:
    """`nms` by torchvision's CPU kernel, one call for each row and group."""
    shape = valid.shape
    boxes, valid = boxes.float().reshape(-1, shape[-1], 4), valid.reshape(-1, shape[-1])
    groups = None if group is None else group.reshape(valid.shape)
    keep = torch.zeros_like(valid)
    for row in range(valid.shape[0]):
        (candidates,) = valid[row].nonzero(as_tuple=True)
        labels = torch.zeros_like(candidates) if groups is None else groups[row, candidates]
        for label in labels.unique():
            members = candidates[labels == label]
            order = torch.arange(len(members), 0, -1, dtype=torch.float32)
            keep[row, members[torch.ops.torchvision.nms(boxes[row, members], order, iou_threshold)]] = True
    return keep.reshape(shape)
