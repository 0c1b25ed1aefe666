"""Which object each anchor or proposal stands for (Faster R-CNN, section 3.1.2).

Shapes: B images, N boxes (anchors or proposals), G objects padded with a validity mask. Nothing here has a shape that
depends on data.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from maskrcnn.ops.boxes import intersection_over_first, iou

# Box-object pairs held at once: what fits a CPU's cache, or keeps a GPU busy.
PAIR_BUDGET = {"cpu": 2**20}
PAIR_BUDGET_ELSEWHERE = 2**25


class Match(NamedTuple):
    """For each of N boxes."""

    matched: Tensor  # int [B, N], the object that overlaps it most
    overlap: Tensor  # float [B, N], their IoU; 0 without any object
    is_best: Tensor  # bool [B, N], no box overlaps some object more than this one
    crowd: Tensor  # float [B, N], the share of the box that a crowd region covers


def match_boxes(boxes: Tensor, objects: Tensor, valid: Tensor, crowd: Tensor) -> Match:
    """Match boxes [B or 1, N, 4] to objects [B, G, 4] where valid [B, G]; crowd regions are [B, Q, 4]."""
    batch, count = len(objects), boxes.shape[1]
    index = torch.zeros(batch, count, dtype=torch.long, device=boxes.device)
    overlap = torch.zeros(batch, count, device=boxes.device)
    is_best = torch.zeros(batch, count, dtype=torch.bool, device=boxes.device)
    step = max(1, PAIR_BUDGET.get(boxes.device.type, PAIR_BUDGET_ELSEWHERE) // (batch * count))
    for start in range(0, objects.shape[1], step):
        part = slice(start, start + step)
        pairs = iou(objects[:, part], boxes) * valid[:, part, None]
        best_here, index_here = pairs.max(dim=1)
        index = torch.where(best_here > overlap, index_here + start, index)
        overlap = torch.maximum(overlap, best_here)
        best_of_object = pairs.amax(dim=2, keepdim=True)
        is_best |= ((pairs == best_of_object) & (best_of_object > 0)).any(dim=1)
    covered = torch.zeros_like(overlap)
    if crowd.shape[1]:
        covered = intersection_over_first(boxes, crowd).amax(dim=2).expand_as(overlap)
    return Match(index, overlap, is_best, covered)
