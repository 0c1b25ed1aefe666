"""Whether detections with a score of 0.8 are right in 80 % of cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hotcoco import metrics as library

from maskrcnn.evaluation.matching import DetectionMatches
from maskrcnn.evaluation.tables import Tables

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Detections by score, in ten bins of equal width.

    Attributes:
        counts: int64 [10], judged detections in each bin.
        scores: float64 [10], their mean score; NaN in an empty bin.
        accuracy: float64 [10], share of them that finds an object at an IoU of 0.5; NaN in an empty bin.
        error: expected calibration error (ECE), 0..1: mean |accuracy - score| over the detections; NaN without any.
        bias: mean score minus accuracy over the detections; above 0 the scores are overconfident.
    """

    counts: np.ndarray
    scores: np.ndarray
    accuracy: np.ndarray
    error: float
    bias: float


def calibrate(tables: Tables, matches: DetectionMatches) -> Calibration:
    """The calibration of all judged detections."""
    scores, correct = tables.detections["score"][matches.judged], matches.correct[matches.judged]
    bins = library.calibration_curve(scores, correct, BINS)
    counts = np.array([part["count"] for part in bins], dtype=np.int64)
    mean_score, accuracy = (
        np.array([part[name] if part["count"] else np.nan for part in bins])
        for name in ("avg_confidence", "avg_accuracy")
    )
    if not len(scores):
        return Calibration(counts, mean_score, accuracy, float("nan"), float("nan"))
    error, _ = library.calibration_error(scores, correct, BINS)
    return Calibration(counts, mean_score, accuracy, error, float(scores.mean() - correct.mean()))
