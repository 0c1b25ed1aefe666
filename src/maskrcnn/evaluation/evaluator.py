"""Runs a model over a data set and measures it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from maskrcnn.datasets.dataset import Dataset, has_split, open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.analysis import Analysis
from maskrcnn.evaluation.analysis import analyse as analyse_records
from maskrcnn.evaluation.caveats import steps_of, too_few_steps, unknown_classes
from maskrcnn.evaluation.coco_metrics import CocoMetrics
from maskrcnn.evaluation.next_steps import advise
from maskrcnn.evaluation.observer import Observer
from maskrcnn.evaluation.recommendation import Finding
from maskrcnn.evaluation.records import Recorder
from maskrcnn.evaluation.zero_ap import BoxProbe, diagnose
from maskrcnn.inference.predictor import load
from maskrcnn.predict.image_predictor import ImagePredictor

# An AP below it, in percent, is taken for a mistake in the setup rather than for a weak model.
_NOTHING = 1.0


@dataclass
class Evaluation:
    """Metrics in percent, what they come from, and what could not be measured.

    Attributes:
        metrics: box_AP, mask_AP, … of `CocoMetrics.compute`; with an analysis also boundary_AP.
        per_class: the same for each class name alone; with an analysis also what `Analysis.per_class` tells.
        images: how many were measured.
        max_detections: of each class in each image, so many counted.
        problems: a line for each image that could not be measured.
        notes: lines on classes that only the model or only the data knows.
        analysis: curves, confusion, errors, calibration, counts; None unless asked for.
        findings: what to do next, most worthwhile first; empty without an analysis.
        known: names of the data's classes that the model knows; None for all.
    """

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    images: int
    max_detections: int
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    analysis: Analysis | None = None
    findings: list[Finding] = field(default_factory=list)
    known: Sequence[str] | None = None

    @property
    def unknown(self) -> list[str]:
        """Classes of which there are objects and that the model does not know: each counts as an AP of 0."""
        labelled = [name for name, values in self.per_class.items() if not math.isnan(values["box_AP"])]
        return [] if self.known is None else [name for name in labelled if name not in self.known]

    @property
    def known_metrics(self) -> dict[str, float]:
        """`metrics` over the classes that the model knows."""
        if not self.unknown:
            return self.metrics
        rows = [self.per_class[name] for name in self.known or ()]
        return {metric: _mean([row.get(metric, math.nan) for row in rows]) for metric in self.metrics}

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data for `json.dump`; unknown numbers are None."""
        content: dict[str, Any] = {
            "images": self.images,
            "max_detections": self.max_detections,
            "metrics": self.metrics,
            "known_metrics": self.known_metrics,
            "unknown_classes": self.unknown,
            "per_class": self.per_class,
            "problems": self.problems,
            "notes": self.notes,
            "next": [asdict(finding) for finding in self.findings],
        }
        if self.analysis is not None:
            content |= self.analysis.to_json()
        plain: dict[str, Any] = _without_nan(content)
        return plain


def evaluate(
    model: ImagePredictor | str | Path,
    data: Dataset | str | Path,
    max_detections: int | None = None,
    advance: Callable[[], None] = lambda: None,
    analyse: bool = False,
) -> Evaluation:
    """COCO box and mask AP of a model on a labelled data set.

    Args:
        model: a predictor, or what `load` takes.
        data: a data set, or what `open_dataset` takes: then its val split, if it has one.
        max_detections: objects an image that count, for the model and the metrics alike; the model's own limit unless
            given.
        advance: called after each image.
        analyse: also find out what goes wrong and what to do about it.

    Classes are matched by name; a model and a data set of one class each are taken to mean the same.

    Raises:
        MaskRCNNError: no class in common, or no image that could be measured.
    """
    predictor = model if isinstance(model, ImagePredictor) else load(model)
    dataset = data if isinstance(data, Dataset) else open_dataset(data, "val" if has_split(data, "val") else None)
    recorder, probe = Recorder(dataset.names), BoxProbe()
    problems: list[str] = []
    done = 0
    with Observer(predictor, dataset, max_detections) as observer:
        metrics = CocoMetrics(dataset.names, observer.limit)
        for index, observation in enumerate(observer.stream(range(len(dataset)))):
            if isinstance(observation, MaskRCNNError):
                problems.append(str(observation))
                continue
            metrics.update(observation.sample)
            if analyse:
                recorder.update(observation.sample, index, observation.found)
                probe.update(observation.sample)
            done += 1
            advance()
    if not done:
        raise MaskRCNNError(f"no image could be evaluated; the first: {problems[0] if problems else 'none there'}")
    evaluation = Evaluation(
        metrics.compute(), metrics.per_class, done, observer.limit, problems, observer.notes(), known=observer.known
    )
    if analyse:
        explain(evaluation, recorder, probe, observer)
    return evaluation


def explain(evaluation: Evaluation, recorder: Recorder, probe: BoxProbe, observer: Observer) -> None:
    """Fill in `analysis` and `findings`, and what the tables gain from them."""
    records = recorder.records()
    analysis = analyse_records(records, observer.limit)
    evaluation.analysis = analysis
    evaluation.metrics |= analysis.metrics()
    for row, more in zip(evaluation.per_class.values(), analysis.per_class(), strict=True):
        row |= more
    unknown, metrics = evaluation.unknown, evaluation.known_metrics
    if unknown:
        # What the model cannot name would drown all else that there is to say.
        records = records.without({records.names.index(name) for name in unknown})
        analysis = analyse_records(records, observer.limit)
    score = metrics[f"{records.kind}_AP"]
    evaluation.findings = [*too_few_steps(steps_of(observer.predictor), score), *unknown_classes(evaluation)]
    if score >= _NOTHING:
        evaluation.findings += advise(analysis, metrics, evaluation.per_class, observer.config)
    else:
        threshold = observer.config.score_threshold
        evaluation.findings += diagnose(records, probe, observer.predictor.names, threshold)


def _mean(values: Sequence[float]) -> float:
    """Of those that are known."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
