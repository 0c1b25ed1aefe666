"""Differences between the results of an artifact and of its model for the same inputs, and how large they may be.

An object of the model and one of the artifact are the same if they are of one class and their boxes overlap by
`SAME_BOX` or more; the nearest are matched first, one to one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskrcnn.masks.box_geometry import match_one_to_one, pairwise_iou

SAME_BOX = 0.5  # IoU


@dataclass(frozen=True)
class Differences:
    """Differences of the objects that both found, one entry per object, and numbers of objects that only one found."""

    box: np.ndarray  # float [N], the largest of a box's four, pixels of the network input
    score: np.ndarray  # float [N]
    mask: np.ndarray  # float [N], the largest of a mask's probabilities
    lost: int = 0
    added: int = 0

    def __add__(self, other: Differences) -> Differences:
        box, score, mask = (np.concatenate(pair) for pair in zip(self.parts, other.parts, strict=True))
        return Differences(box, score, mask, self.lost + other.lost, self.added + other.added)

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Box, score and mask."""
        return self.box, self.score, self.mask


@dataclass(frozen=True)
class Tolerance:
    """Differences up to which an artifact counts as the same model.

    ``share`` of the objects that both find have to differ by no more than ``box`` pixels, ``score`` and ``mask``
    probabilities; ``found`` is the share of the model's objects that the artifact has to find, and of the
    artifact's that the model has to have. Objects that score less than ``min_score`` are not compared: they come and go
    with the precision. The shares are below 1: two boxes of almost equal score swap ranks with the last bit of a sum,
    and then suppression keeps the other one.
    """

    share: float
    found: float
    box: float
    score: float
    mask: float
    min_score: float = 0.0

    def problems(self, seen: Differences) -> list[str]:
        """One line for each limit that is exceeded."""
        lines = []
        count = len(seen.box) + seen.lost
        allowed = (1 - self.found) * max(count, 1)
        for number, word in ((seen.lost, "are lost"), (seen.added, "are new")):
            if number > allowed:
                lines.append(f"{number} objects {word} beside {count}, expected at most {allowed:.0f}")
        limits = zip(("box", "score", "mask"), seen.parts, (self.box, self.score, self.mask), strict=True)
        for name, values, limit in limits:
            value = self.of(values)
            if not value <= limit:  # not a number fails too
                lines.append(f"{name}: {self.share:.0%} of objects differ by up to {value:.2g}, allowed is {limit:g}")
        return lines

    def of(self, values: np.ndarray) -> float:
        """The largest difference of the ``share`` of objects that differ least; 0 for none."""
        if not len(values):
            return 0.0
        return float(np.sort(values)[max(math.ceil(self.share * len(values)) - 1, 0)])


# Beyond fp32 single objects may move further, as they do in PyTorch in that precision; most may not.
TOLERANCES = {
    "fp32": Tolerance(share=0.99, found=0.99, box=0.05, score=1e-3, mask=1e-3),
    "fp16": Tolerance(share=0.5, found=0.95, box=0.5, score=0.01, mask=0.02, min_score=0.3),
    "bf16": Tolerance(share=0.5, found=0.85, box=1.5, score=0.03, mask=0.2, min_score=0.3),
    "int8": Tolerance(share=0.5, found=0.75, box=3.0, score=0.05, mask=0.35, min_score=0.3),
}


def differences(model: Sequence[np.ndarray], artifact: Sequence[np.ndarray], score: float = 0.0) -> Differences:
    """Compare one batch's boxes, scores, labels, valid and masks, `InstanceDetections` as arrays.

    Only the model's objects of at least ``score`` have to be found, whatever score the artifact gives them; an object
    of the artifact is new if it reaches ``score`` and matches none of the model's.
    """
    total = Differences(np.zeros(0), np.zeros(0), np.zeros(0))
    for row in range(len(model[0])):
        total = total + _of_image([part[row] for part in model], [part[row] for part in artifact], score)
    return total


def _of_image(model: list[np.ndarray], artifact: list[np.ndarray], score: float) -> Differences:
    ours, theirs = ([found[part][found[3]].astype(np.float64) for part in (0, 1, 2, 4)] for found in (model, artifact))
    overlap = pairwise_iou(ours[0], theirs[0]) * (ours[2][:, None] == theirs[2])
    # Of duplicates, which overlap an object equally, the one with the nearest score is matched.
    overlap = overlap - 1e-3 * np.abs(ours[1][:, None] - theirs[1])
    matched = np.array(match_one_to_one(overlap, SAME_BOX), dtype=int).reshape(-1, 2)
    lost, added = (
        int((np.delete(scores, found) >= score).sum())
        for scores, found in zip((ours[1], theirs[1]), matched.T, strict=True)
    )
    # After the matching: an object just above the score in one may be just below it in the other.
    first, second = matched[ours[1][matched[:, 0]] >= score].T
    box, value, mask = (np.abs(ours[part][first] - theirs[part][second]) for part in (0, 1, 3))
    return Differences(box.max(1, initial=0), value, mask.max((1, 2), initial=0), lost, added)
