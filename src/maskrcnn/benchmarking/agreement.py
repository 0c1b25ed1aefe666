"""How far two predictions of one image agree: what a faster form of a model costs, without labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskrcnn.masks.box_geometry import match_one_to_one, pairwise_iou
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
    """Match the objects of one image one to one: of one class, with masks of an IoU of at least ``iou``, the most alike
    first. Where both masks are empty, the IoU is that of their boxes."""
    overlap = pairwise_iou(exact.boxes, other.boxes) * (exact.labels[:, None] == other.labels)
    for a, b in np.argwhere(overlap > 0).tolist():
        one, two = exact.masks[a], other.masks[b]
        if one.bitmap.any() or two.bitmap.any():
            overlap[a, b] = crop_iou(one, two)
    kept = len(match_one_to_one(overlap, iou))
    return Agreement(kept, len(exact) - kept, len(other) - kept)
