"""How far two predictions of one image agree: what a faster form of a model costs, without labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskrcnn.masks.crop import crop_iou
from maskrcnn.results.result import Result

SAME_OBJECT = 0.75  # IoU of two masks from which on they are taken as one object


@dataclass(frozen=True)
class Agreement:
    """Objects of an exact prediction that another one also finds, does not find, and finds beside them."""

    kept: int = 0
    lost: int = 0
    added: int = 0

    @property
    def share(self) -> float | None:
        """Kept of all that the exact prediction finds, 0..1; None where it finds nothing."""
        objects = self.kept + self.lost
        return self.kept / objects if objects else None

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(self.kept + other.kept, self.lost + other.lost, self.added + other.added)


def agree(exact: Result, other: Result, iou: float = SAME_OBJECT) -> Agreement:
    """Match the objects of one image one to one: of the same class, masks that overlap by ``iou`` or more, the most
    alike first."""
    ours, theirs = np.nonzero(exact.labels[:, None] == other.labels)
    pairs = [(_overlap(exact, int(a), other, int(b)), int(a), int(b)) for a, b in zip(ours, theirs, strict=True)]
    taken, given = set[int](), set[int]()
    for overlap, a, b in sorted(pairs, key=lambda pair: -pair[0]):
        if overlap >= iou and a not in taken and b not in given:
            taken.add(a)
            given.add(b)
    return Agreement(len(taken), len(exact) - len(taken), len(other) - len(given))


def _overlap(a: Result, i: int, b: Result, j: int) -> float:
    """IoU of two masks; of their boxes where both masks are empty."""
    top_left, bottom_right = np.maximum(a.boxes[i, :2], b.boxes[j, :2]), np.minimum(a.boxes[i, 2:], b.boxes[j, 2:])
    if not (top_left < bottom_right).all():
        return 0.0
    one, two = a.masks[i], b.masks[j]
    if one.bitmap.any() or two.bitmap.any():
        return crop_iou(one, two)
    shared = float(np.prod(bottom_right - top_left))
    areas = float(np.prod(a.boxes[i, 2:] - a.boxes[i, :2]) + np.prod(b.boxes[j, 2:] - b.boxes[j, :2]))
    return shared / (areas - shared)
