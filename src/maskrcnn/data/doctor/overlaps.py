"""Objects of one image that lie on top of each other: the same object twice, or two classes for one object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from maskrcnn.data.doctor.catalogue import SAME_BOX, SAME_MASK
from maskrcnn.data.doctor.finding import Finding, found
from maskrcnn.data.objects import Drawn
from maskrcnn.masks.crop import Box, Crop

_MOST_PAIRS = 1_000_000
_BOX_IOU = 0.7  # masks that share 0.9 of their pixels have boxes that share this


def overlap_findings(objects: Sequence[Drawn], names: Sequence[str], file: Path) -> list[Finding]:
    """Duplicates of one class, and objects with two classes; crowds are left out."""
    single = [drawn for drawn in objects if not drawn.annotation.crowd]
    boxes = np.array([drawn.box for drawn in single], dtype=np.float64).reshape(-1, 4)
    findings, dropped = [], set()
    for first, second in close_pairs(boxes, _BOX_IOU):
        if first in dropped or second in dropped:
            continue
        (a, a_crop, a_box), (b, b_crop, b_box) = single[first], single[second]
        if a_crop is not None and b_crop is not None:
            overlap, kind, least = crop_iou(a_crop, b_crop), "mask", SAME_MASK
        elif a_crop is None and b_crop is None:
            overlap, kind, least = _box_iou(a_box, b_box), "box", SAME_BOX
        else:
            continue
        if overlap < least:
            continue
        if a.label == b.label:
            what = f"{kind} IoU {overlap:.3f} with annotation {a.id} of the same class, {names[a.label]}"
            findings.append(found("duplicate-object", file, what, b.id))
            dropped.add(second)
        elif kind == "mask":
            what = f"it is {names[b.label]}, annotation {a.id} with mask IoU {overlap:.3f} is {names[a.label]}"
            findings.append(found("conflicting-labels", file, what, b.id))
    return findings


def close_pairs(boxes: np.ndarray, least: float) -> Iterator[tuple[int, int]]:
    """All pairs i < j of boxes [N, 4] with IoU >= `least`, sorted; time and memory follow the pairs close in x."""
    order = np.argsort(boxes[:, 0], kind="stable")
    x1, y1, x2, y2 = boxes[order].astype(np.float64).T
    # A later box with that IoU begins before the first is nearly over.
    stop = np.maximum(np.searchsorted(x1, x2 - least * (x2 - x1), side="right"), np.arange(len(x1)) + 1)
    counts = stop - np.arange(len(x1)) - 1
    found_pairs = [np.zeros((0, 2), dtype=np.int64)]
    low, total = 0, np.concatenate(([0], np.cumsum(counts)))
    while low < len(x1):
        high = max(int(np.searchsorted(total, total[low] + _MOST_PAIRS, side="right")) - 1, low + 1)
        a = np.repeat(np.arange(low, high), counts[low:high])
        b = np.arange(len(a)) - np.repeat(total[low:high] - total[low], counts[low:high]) + a + 1
        width = np.minimum(x2[a], x2[b]) - np.maximum(x1[a], x1[b])
        height = np.minimum(y2[a], y2[b]) - np.maximum(y1[a], y1[b])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        areas = (x2 - x1) * (y2 - y1)
        near = (shared > 0) & (shared >= least * (areas[a] + areas[b] - shared))
        found_pairs.append(np.sort(np.stack((order[a[near]], order[b[near]]), axis=1), axis=1))
        low = high
    pairs = np.concatenate(found_pairs)
    for first, second in pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]:
        yield int(first), int(second)


def crop_iou(a: Crop, b: Crop) -> float:
    """Pixels that two masks share, over those of either; 0 if both are empty."""
    left, top = max(a.x, b.x), max(a.y, b.y)
    right = min(a.x + a.bitmap.shape[1], b.x + b.bitmap.shape[1])
    bottom = min(a.y + a.bitmap.shape[0], b.y + b.bitmap.shape[0])
    if right <= left or bottom <= top:
        return 0.0
    parts = [crop.bitmap[top - crop.y : bottom - crop.y, left - crop.x : right - crop.x] for crop in (a, b)]
    shared = int(np.count_nonzero(parts[0] & parts[1]))
    return shared / (a.area + b.area - shared)


def _box_iou(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
