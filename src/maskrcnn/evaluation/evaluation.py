"""The result of an evaluation: the metrics, what they come from, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskrcnn.annotations.problem import Problem
from maskrcnn.annotations.problem_log import ProblemLog
from maskrcnn.evaluation.analysis import Analysis
from maskrcnn.evaluation.coco_metrics import known_mean
from maskrcnn.evaluation.image_resampling import Interval
from maskrcnn.evaluation.recommendation import MOST, Recommendation
from maskrcnn.html_table import escaped, html_lines, html_table
from maskrcnn.text import plural

_COLUMNS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR")


@dataclass(repr=False)
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
        findings: all that the analysis suggests, most worthwhile first; empty without an analysis.
        interval: of the mask AP (the box AP, if no object has a mask) over the classes that the model knows: where it
            lies in 95 % of random choices of the images; None without an analysis, or where it is unknown.
        known: names of the data's classes that the model knows; None for all.
        model, data, split: what was measured on what, where that has a name.
        report: the page that was written on it, if one was.
    """

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    images: int
    max_detections: int
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    analysis: Analysis | None = None
    findings: list[Recommendation] = field(default_factory=list)
    interval: Interval | None = None
    known: Sequence[str] | None = None
    data_problems: ProblemLog = field(default_factory=ProblemLog)
    model: str = ""
    data: str = ""
    split: str = ""
    report: Path | None = None

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

    @property
    def next_steps(self) -> list[Recommendation]:
        """The first three of `findings`: what to do next."""
        return self.findings[:MOST]

    @property
    def all_problems(self) -> list[Problem]:
        """Problems of the labels, images that could not be measured, and notes."""
        return [*self.data_problems, *self.problems, *self.notes]

    def headline(self) -> str:
        """Mask AP and box AP, those that could be measured."""
        values = {kind: self.known_metrics.get(f"{kind}_AP", math.nan) for kind in ("mask", "box")}
        return ", ".join(f"{kind} AP {value:.1f}" for kind, value in values.items() if not math.isnan(value))

    def certainty(self) -> str:
        """Between which values the AP lies in 95 % of random choices of the images, in words; "" if it is unknown."""
        if self.interval is None or self.analysis is None:
            return ""
        return f"{self.analysis.tables.kind} AP {self.interval.low:.1f} to {self.interval.high:.1f} (95 %)"

    def metric_rows(self) -> list[tuple[str, ...]]:
        """A head and a row for boxes, masks and, where it was measured, their boundaries.

        If the model does not know all classes, these are followed by the means over those that it knows.
        """
        rows = [("", *(column.replace("_", " ") for column in _COLUMNS)), *_metric_rows(self.metrics)]
        return rows + (_metric_rows(self.known_metrics, " known") if self.unknown else [])

    def class_rows(self) -> list[tuple[str, ...]]:
        """A head and a row for each class, those with most objects first; empty without an analysis."""
        if self.analysis is None:
            return []
        found = sorted(self.per_class.items(), key=lambda item: -item[1]["objects"])
        rows: list[tuple[str, ...]] = [("class", "objects", "mask AP", "box AP", "best score")]
        for name, values in found:
            scores = (_number(values["mask_AP"]), _number(values["box_AP"]), _number(values["best_threshold"], 2))
            rows.append((name, f"{values['objects']:.0f}", *scores))
        return rows

    def subject(self) -> str:
        """What was measured on how many images of what."""
        model = f"{self.model} on " if self.model else ""
        data = f" of {self.data}" if self.data else ""
        return f"{model}{plural(self.images, 'image')}{data}{f', {self.split}' if self.split else ''}"

    def __repr__(self) -> str:
        return f"Evaluation({'; '.join(filter(None, (self.subject(), self.headline())))})"

    def __str__(self) -> str:
        numbered = [line for number, step in enumerate(self.next_steps, 1) for line in step.lines(f"{number}.")]
        figures = "; ".join(filter(None, (self.headline(), self.certainty())))
        first = ": ".join(filter(None, (self.subject(), figures)))
        report = [f"report: {self.report}"] if self.report else []
        return "\n".join([first, *numbered, *map(str, self.all_problems), *report])

    def _repr_html_(self) -> str:
        classes = html_table(self.class_rows()) if len(self.per_class) > 1 and self.analysis is not None else ""
        steps = "".join(f"<li>{step.html()}</li>" for step in self.next_steps)
        advice = f'<ol style="margin:.3em 0;max-width:60em">{steps}</ol>' if steps else ""
        lines = [*self.all_problems, *([f"report: {self.report}"] if self.report else [])]
        head = f"<div>{escaped('; '.join(filter(None, (self.subject(), self.certainty()))))}</div>"
        return f"<div>{head}{html_table(self.metric_rows())}{classes}{advice}{html_lines(lines)}</div>"

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
            "interval": None if self.interval is None else dict(self.interval._asdict(), confidence=0.95),
            "next": [step.to_json() for step in self.next_steps],
            "also": [finding.to_json() for finding in self.findings[MOST:]],
        }
        if self.analysis is not None:
            content |= self.analysis.to_json()
        return _without_nan(content)


def _metric_rows(metrics: Mapping[str, float], suffix: str = "") -> list[tuple[str, ...]]:
    return [
        (f"{kind}{suffix}", *(_number(metrics.get(f"{kind}_{column}", math.nan)) for column in _COLUMNS))
        for kind in ("box", "mask", "boundary")
        if f"{kind}_AP" in metrics
    ]


def _number(value: float, decimals: int = 1) -> str:
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
