"""Objects of one image that lie on top of each other: the same object twice, or two classes for one object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from maskrcnn.annotations.objects import Drawn
from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.doctor.checks import problem_of
from maskrcnn.masks.box_geometry import pairwise_iou
from maskrcnn.masks.crop import crop_iou

_SAME_MASK = 0.9  # IoU from which two masks are one object
_SAME_BOX = 0.95  # likewise for boxes without masks
_BOX_IOU = 0.7  # of boxes whose masks have an IoU of 0.9, at least
_SLACK = 1e-6  # pixels


def check_overlaps(objects: Sequence[Drawn], names: Sequence[str], file: Path) -> list[Problem]:
    """Duplicates of one class, and objects with two classes, each reported once; crowds are left out."""
    single = [drawn for drawn in objects if not drawn.annotation.crowd]
    boxes = np.array([drawn.box for drawn in single], dtype=np.float64).reshape(-1, 4)
    problems = []
    reported = np.zeros(len(single), dtype=bool)
    for first, later in neighbours(boxes, _BOX_IOU):
        if reported[first]:
            continue
        for second in later[~reported[later]].tolist():
            if problem := _overlap(single[first], single[second], names, file):
                problems.append(problem)
                reported[second] = True
    return problems


def neighbours(boxes: np.ndarray, least: float) -> Iterator[tuple[int, np.ndarray]]:
    """For each of the boxes [N, 4] the later ones, sorted, whose IoU with it is at least `least`.

    Only boxes that begin close to each other in x are compared.
    """
    order = np.argsort(boxes[:, 0], kind="stable")
    x1, y1, x2, y2 = boxes[order].T
    areas = (x2 - x1) * (y2 - y1)
    # With that IoU, widths differ at most by the factor `least`, and edges by the rest.
    low = np.searchsorted(x1, boxes[:, 0] - (1 / least - 1) * (boxes[:, 2] - boxes[:, 0]) - _SLACK)
    high = np.searchsorted(x1, boxes[:, 2] - least * (boxes[:, 2] - boxes[:, 0]) + _SLACK, side="right")
    for number, (left, top, right, bottom) in enumerate(boxes.tolist()):
        near = slice(low[number], high[number])
        width = np.minimum(x2[near], right) - np.maximum(x1[near], left)
        height = np.minimum(y2[near], bottom) - np.maximum(y1[near], top)
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        alike = (shared > 0) & (shared >= least * (areas[near] + (right - left) * (bottom - top) - shared))
        others = order[near][alike]
        yield number, np.sort(others[others > number])


def _overlap(first: Drawn, second: Drawn, names: Sequence[str], file: Path) -> Problem | None:
    """What is wrong with the second of two objects whose boxes are alike."""
    (a, a_crop, a_box), (b, b_crop, b_box) = first, second
    if a_crop is not None and b_crop is not None:
        overlap, kind, least = crop_iou(a_crop, b_crop), "mask", _SAME_MASK
    elif a_crop is None and b_crop is None:
        overlap, kind, least = float(pairwise_iou(a_box, b_box)[0, 0]), "box", _SAME_BOX
    else:
        return None
    if overlap < least:
        return None
    if a.label == b.label:
        what = f"{kind} IoU {overlap:.3f} with annotation {a.id} of the same class, {names[a.label]}"
        return problem_of("duplicate-object", file, what, b.id)
    if kind == "box":
        return None  # people ride horses
    what = f"it is {names[b.label]}, annotation {a.id} with mask IoU {overlap:.3f} is {names[a.label]}"
    return problem_of("conflicting-labels", file, what, b.id)
