"""Boxes as arrays: sides, areas, overlap, the other convention, and matching. `maskrcnn.ops.boxes` is for tensors.

Boxes are (x1, y1, x2, y2) in continuous pixels along the last axis, as float arrays or tuples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maskrcnn.masks.crop import Box

Boxes = np.ndarray | Sequence[Box] | Box


def box_sides(boxes: Boxes) -> np.ndarray:
    """Width and height [..., 2] of boxes [..., 4]."""
    boxes = np.asarray(boxes)
    return boxes[..., 2:] - boxes[..., :2]


def box_areas(boxes: Boxes) -> np.ndarray:
    """Area [...] of boxes [..., 4]."""
    return box_sides(boxes).prod(-1)


def intersections(a: Boxes, b: Boxes) -> np.ndarray:
    """Area float64 [N, M] that boxes a [N, 4] share with boxes b [M, 4]."""
    a, b = (np.asarray(boxes, dtype=np.float64).reshape(-1, 4) for boxes in (a, b))
    sides = np.minimum(a[:, None, 2:], b[:, 2:]) - np.maximum(a[:, None, :2], b[:, :2])
    return sides.clip(min=0).prod(-1)


def pairwise_iou(a: Boxes, b: Boxes) -> np.ndarray:
    """Intersection over union float64 [N, M] of boxes a [N, 4] and b [M, 4]; 0 where both are empty."""
    a, b = (np.asarray(boxes, dtype=np.float64).reshape(-1, 4) for boxes in (a, b))
    shared = intersections(a, b)
    return shared / np.maximum(box_areas(a)[:, None] + box_areas(b) - shared, 1e-9)


def clip_to_image(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The part of boxes [..., 4] inside an image of ``size`` (H, W), in the boxes' dtype."""
    limits = np.array([size[1], size[0], size[1], size[0]], dtype=boxes.dtype)
    return np.minimum(np.maximum(boxes, 0), limits)


def to_xywh(boxes: Boxes) -> np.ndarray:
    """COCO's (x, y, width, height), float64 [..., 4], of boxes [..., 4]."""
    boxes = np.asarray(boxes, dtype=np.float64)
    return np.concatenate((boxes[..., :2], box_sides(boxes)), axis=-1)


def rounded_xywh(box: Box, digits: int) -> list[float]:
    """[x, y, width, height] without the noise that subtraction adds to decimals."""
    return [round(value, digits) for value in to_xywh(box).tolist()]


def match_one_to_one(overlap: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Pairs (row, column) of an overlap matrix [N, M] of at least ``least``, each row and column used once at most.

    Greedy: the pairs of the largest overlap first; of equal ones that of the lower row, then of the lower column.
    """
    rows, columns = np.nonzero(overlap >= least)
    order = np.argsort(-overlap[rows, columns], kind="stable")
    matched: list[tuple[int, int]] = []
    used_rows, used_columns = set[int](), set[int]()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in used_rows and column not in used_columns:
            used_rows.add(row)
            used_columns.add(column)
            matched.append((row, column))
    return matched
