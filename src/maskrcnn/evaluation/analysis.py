"""Everything beyond AP that the report shows, counted from the tables of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from maskrcnn.evaluation.calibration import Calibration, calibrate
from maskrcnn.evaluation.coco_metrics import known_mean
from maskrcnn.evaluation.confusion import confusion_matrix
from maskrcnn.evaluation.counting import Counting, count_objects
from maskrcnn.evaluation.curves import RECALLS, THRESHOLDS, Curve, all_curves
from maskrcnn.evaluation.error_types import SIZES, ErrorBreakdown, classify_errors
from maskrcnn.evaluation.matching import DetectionMatches, boundary_precisions, match_detections
from maskrcnn.evaluation.tables import Tables

DEFAULT_SCORE = 0.5


@dataclass(frozen=True)
class Analysis:
    """The analysis of the detections of C classes in I images.

    Attributes:
        tables: the rows that everything is counted from.
        matches: detections and objects at an IoU of 0.5, of masks, or of boxes if no object has a mask.
        threshold: the score threshold of the figures below: that of the highest F1 of all classes together.
        overall: precision and recall of all classes together.
        curves: the same for each class.
        confusion: int64 [C + 1, C + 1], labelled class by detected class, the last of each is "nothing".
        errors: the kinds of errors and how much AP50 they cost.
        calibration: how scores compare with accuracy.
        counting: objects counted in each image.
        boundary: float64 [10 IoUs, C], boundary AP in percent, NaN without objects.
        saturated: images with as many detections as the limit allows.
    """

    tables: Tables
    matches: DetectionMatches
    threshold: float
    overall: Curve
    curves: list[Curve]
    confusion: np.ndarray
    errors: ErrorBreakdown
    calibration: Calibration
    counting: Counting
    boundary: np.ndarray
    saturated: int

    def metrics(self) -> dict[str, float]:
        """boundary_AP, boundary_AP50 and boundary_AP75 in percent."""
        parts = {"AP": self.boundary, "AP50": self.boundary[0], "AP75": self.boundary[5]}
        return {f"boundary_{name}": known_mean(values) for name, values in parts.items()}

    def per_class(self) -> list[dict[str, float]]:
        """For each class: objects, boundary_AP, its best score threshold, and at the common threshold precision,
        recall, f1 and how many objects were missed, taken for another class, and how many detections are false."""
        right = np.diag(self.confusion)
        missed, misnamed = self.confusion[:, -1], self.confusion[:, :-1].sum(axis=1) - right
        false_alarms = self.confusion.sum(axis=0) - right
        return [
            {
                "objects": float(curve.objects),
                "boundary_AP": known_mean(self.boundary[:, label]),
                "best_threshold": curve.best,
                **curve.at(self.threshold),
                "missed": float(missed[label]),
                "misnamed": float(misnamed[label]),
                "false_alarms": float(false_alarms[label]),
            }
            for label, curve in enumerate(self.curves)
        ]

    def to_json(self) -> dict[str, Any]:
        """Everything except the tables, as plain data."""
        names = self.tables.names
        missed = np.bincount(self.errors.size[self.errors.missed], minlength=len(SIZES)).tolist()
        counting = self.counting
        columns = (self.tables.images["id"], counting.truth, counting.counted, counting.found)
        counts = zip(*(column.tolist() for column in columns), strict=True)
        return {
            "compared_by": self.tables.kind,
            "threshold": self.threshold,
            "saturated_images": self.saturated,
            "curves": {
                "thresholds": THRESHOLDS.tolist(),
                "recalls": _rounded(RECALLS),
                "all": _curve_json(self.overall),
                "classes": {name: _curve_json(curve) for name, curve in zip(names, self.curves, strict=True)},
            },
            "confusion": {"classes": [*names, "nothing"], "counts": self.confusion.tolist()},
            "errors": {
                "AP50": self.errors.ap50,
                "cost": self.errors.cost,
                "count": self.errors.counts,
                "missed_by_size": {
                    name: {"count": count, "cost": self.errors.missed_cost[name]}
                    for name, count in zip(SIZES, missed, strict=True)
                },
            },
            "calibration": {
                name: _rounded(value) if isinstance(value, np.ndarray) else value
                for name, value in vars(self.calibration).items()
            },
            "counting": {
                **{name: getattr(counting, name) for name in ("bias", "error", "relative_error")},
                "images": [dict(zip(("id", "truth", "counted", "found"), row, strict=True)) for row in counts],
            },
        }


def analyse_tables(tables: Tables, max_detections: int) -> Analysis:
    """Analyse the detections; `max_detections` is their limit in each image."""
    matches = match_detections(tables, tables.kind)
    overall, curves = all_curves(tables, matches)
    threshold = DEFAULT_SCORE if np.isnan(overall.best) else overall.best
    return Analysis(
        tables=tables,
        matches=matches,
        threshold=threshold,
        overall=overall,
        curves=curves,
        confusion=confusion_matrix(tables, matches, threshold),
        errors=classify_errors(tables, matches),
        calibration=calibrate(tables, matches),
        counting=count_objects(tables, matches, threshold),
        boundary=boundary_precisions(tables),
        saturated=int((tables.images["found"] >= max_detections).sum()),
    )


def _curve_json(curve: Curve) -> dict[str, Any]:
    parts = {name: _rounded(getattr(curve, name)) for name in ("precision", "recall", "f1", "at_recall")}
    return {"objects": curve.objects, "best_threshold": curve.best, **parts}


def _rounded(values: np.ndarray) -> list[float]:
    return np.round(values, 4).tolist()
