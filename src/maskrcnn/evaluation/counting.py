"""Numbers of objects counted in each image, compared with the labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskrcnn.evaluation.coco_metrics import known_mean
from maskrcnn.evaluation.matching import DetectionMatches
from maskrcnn.evaluation.tables import Tables


@dataclass(frozen=True)
class Counting:
    """Objects in each of I images, at a score threshold; detections in a region are not counted.

    Attributes:
        truth: int64 [I], objects labelled.
        counted: int64 [I], detections.
        found: int64 [I], objects found by a detection of their class at an IoU of 0.5.
    """

    truth: np.ndarray
    counted: np.ndarray
    found: np.ndarray

    @property
    def bias(self) -> float:
        """Mean of counted - truth; above 0 the model counts too many."""
        return known_mean(self.counted - self.truth)

    @property
    def error(self) -> float:
        """Mean of |counted - truth|."""
        return known_mean(np.abs(self.counted - self.truth))

    @property
    def relative_error(self) -> float:
        """Sum of |counted - truth| as a share of all objects; NaN without objects."""
        objects = int(self.truth.sum())
        return float(np.abs(self.counted - self.truth).sum()) / objects if objects else float("nan")

    @property
    def f1(self) -> np.ndarray:
        """float64 [I]: F1 of each image, 1 where nothing is labelled and nothing was counted."""
        total = self.truth + self.counted
        return np.where(total > 0, 2 * self.found / np.maximum(total, 1), 1.0)

    def worst(self, limit: int) -> np.ndarray:
        """int64 [<= limit]: images with errors, the lowest F1 first, of equal ones that with most errors."""
        mistakes = self.truth + self.counted - 2 * self.found
        order = np.lexsort((-mistakes, self.f1))
        return order[mistakes[order] > 0][:limit]


def count_objects(tables: Tables, matches: DetectionMatches, threshold: float) -> Counting:
    """Counts at a score threshold."""
    images = len(tables.images)
    kept = tables.detections["score"] >= threshold
    truth = np.bincount(tables.truths["image"][~matches.region], minlength=images)
    counted = np.bincount(tables.detections["image"][kept & matches.judged], minlength=images)
    found = np.bincount(tables.detections["image"][kept & matches.correct], minlength=images)
    return Counting(truth, counted, found)
