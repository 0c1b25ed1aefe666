"""The result of an evaluation: the metrics, what they come from, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from maskrcnn.annotations.problem import Problem
from maskrcnn.annotations.problem_log import ProblemLog
from maskrcnn.evaluation.analysis import Analysis
from maskrcnn.evaluation.coco_metrics import known_mean
from maskrcnn.evaluation.recommendation import Recommendation


@dataclass
class Evaluation:
    """Metrics in percent, what they come from, and what could not be measured.

    Attributes:
        metrics: box_AP, mask_AP, … of `CocoMetrics.compute`; with an analysis also boundary_AP.
        per_class: the same for each class name alone; with an analysis also those of `Analysis.per_class`.
        images: how many were measured.
        max_detections: how many of each class in each image counted.
        problems: the images that could not be measured.
        data_problems: labels that are not used, or not used as written.
        notes: on classes that only the model or only the data knows, and on federated labels.
        analysis: curves, confusion, errors, calibration, counts; None unless asked for.
        findings: what to do next, most worthwhile first; empty without an analysis.
        known: names of the data's classes that the model knows; None for all.
    """

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    images: int
    max_detections: int
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    analysis: Analysis | None = None
    findings: list[Recommendation] = field(default_factory=list)
    known: Sequence[str] | None = None
    data_problems: ProblemLog = field(default_factory=ProblemLog)

    @property
    def unknown(self) -> list[str]:
        """Classes of labelled objects that the model does not know: each counts as an AP of 0."""
        labelled = [name for name, values in self.per_class.items() if not math.isnan(values["box_AP"])]
        return [] if self.known is None else [name for name in labelled if name not in self.known]

    @property
    def known_metrics(self) -> dict[str, float]:
        """`metrics` over the classes that the model knows."""
        if not self.unknown:
            return self.metrics
        rows = [self.per_class[name] for name in self.known or ()]
        return {metric: known_mean([row.get(metric, math.nan) for row in rows]) for metric in self.metrics}

    def to_json(self) -> dict[str, Any]:
        """The content of metrics.json, as plain data; unknown numbers are None."""
        content: dict[str, Any] = {
            "images": self.images,
            "max_detections": self.max_detections,
            "metrics": self.metrics,
            "known_metrics": self.known_metrics,
            "unknown_classes": self.unknown,
            "per_class": self.per_class,
            "problems": [str(problem) for problem in self.problems],
            "notes": [str(note) for note in self.notes],
            "next": [asdict(finding) for finding in self.findings],
        }
        if self.analysis is not None:
            content |= self.analysis.to_json()
        return _without_nan(content)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
