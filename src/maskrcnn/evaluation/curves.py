"""Precision, recall and F1 against the score threshold, and the best threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskrcnn.evaluation.matching import DetectionMatches, judged_by_class
from maskrcnn.evaluation.tables import Tables

THRESHOLDS = np.arange(100) / 100
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Curve:
    """One class, or all classes together, at one IoU threshold.

    Attributes:
        objects: how many there were to find.
        precision: float64 [100], share of the detections kept at each of `THRESHOLDS` that are right; NaN
            where none is kept.
        recall: float64 [100], share of the objects found; NaN without objects.
        f1: float64 [100], harmonic mean of both; 0 where nothing is right, NaN without objects.
        at_recall: float64 [101], best precision at each of `RECALLS` or beyond, whose mean is the AP.
    """

    objects: int
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    at_recall: np.ndarray

    @property
    def best(self) -> float:
        """The score threshold with the highest F1, in the middle of its plateau; NaN if no detection is right."""
        if not self.f1.max() > 0:
            return float("nan")
        top = self.f1 >= self.f1.max() - 1e-12
        first = int(top.argmax())
        length = int(np.append(top[first:], False).argmin())
        return float(THRESHOLDS[first + (length - 1) // 2])

    def at(self, threshold: float) -> dict[str, float]:
        """precision, recall and f1 at the nearest of `THRESHOLDS`."""
        place = int(np.clip(round(threshold * 100), 0, len(THRESHOLDS) - 1))
        return {name: float(getattr(self, name)[place]) for name in ("precision", "recall", "f1")}


def curve(scores: np.ndarray, correct: np.ndarray, objects: int) -> Curve:
    """The curve of judged detections.

    Args:
        scores: float [D].
        correct: bool [D].
        objects: how many there were to find.
    """
    order = np.argsort(-scores, kind="stable")
    right = np.concatenate(([0], np.cumsum(correct[order])))
    kept = np.searchsorted(-scores[order], -THRESHOLDS, side="right")
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = right[kept] / kept
        recall = right[kept] / np.float64(objects)
        f1 = 2 * right[kept] / (kept + np.float64(objects))
        steps = right[1:] / np.arange(1, len(order) + 1)
        envelope = np.append(np.maximum.accumulate(steps[::-1])[::-1], 0.0)
        reached = np.searchsorted(right[1:] / np.float64(objects), RECALLS)
    if not objects:
        f1, reached = np.full_like(f1, np.nan), np.full_like(reached, len(order))
    return Curve(objects, precision, recall, f1, envelope[reached])


def all_curves(tables: Tables, matches: DetectionMatches) -> tuple[Curve, list[Curve]]:
    """The curve of all classes together, and of each."""
    judged, objects = matches.judged, int((~matches.region).sum())
    overall = curve(tables.detections["score"][judged], matches.correct[judged], objects)
    return overall, [curve(*part) for part in judged_by_class(tables, matches)]
