"""Runs a model over a data set and measures it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from maskrcnn.annotations.problem import Problem, unreadable
from maskrcnn.annotations.problem_log import ProblemLog
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.open_dataset import Source
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.analysis import analyse_tables
from maskrcnn.evaluation.caveats import steps_of, too_few_steps, unknown_classes
from maskrcnn.evaluation.coco_metrics import CocoMetrics
from maskrcnn.evaluation.dataset_predictor import DatasetPredictor
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.next_steps import next_steps
from maskrcnn.evaluation.tables import TableBuilder, Tables
from maskrcnn.evaluation.zero_ap import BoxProbe, explain_zero_ap
from maskrcnn.inference.loading import load
from maskrcnn.prediction.image_predictor import ImagePredictor

# An AP below it, in percent, suggests a mistake in the setup rather than a weak model.
_NOTHING = 1.0


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
        data: a data set, or what `open_dataset` takes: then its val split, or without one all of it, which
            `data_problems` says.
        max_detections: objects an image that count, for the model and the metrics alike; by default the model's limit.
        advance: called after each image.
        analyse: also analyse the errors and recommend what to do about them.

    Classes are matched by name; if model and data set have one class each, they are assumed to be the same.

    Raises:
        MaskRCNNError: no class in common, or no image that could be measured.
    """
    predictor = model if isinstance(model, ImagePredictor) else load(model)
    dataset = data if isinstance(data, Dataset) else Source(data).open_or_whole("val")[1]
    builder, probe = TableBuilder(dataset.names), BoxProbe()
    problems: list[Problem] = []
    data_problems = ProblemLog(dataset.problems)
    done = 0
    predictions = DatasetPredictor(predictor, dataset, max_detections)
    metrics = CocoMetrics(dataset.names, predictions.limit)
    for image in predictions.stream(range(len(dataset))):
        if isinstance(image, MaskRCNNError):
            problems.append(unreadable(image, "unreadable-image"))
            continue
        data_problems.add(image.truth.problems)
        metrics.update(image)
        if analyse:
            builder.update(image)
            probe.update(image)
        done += 1
        advance()
    if not done:
        raise MaskRCNNError(f"no image could be evaluated; the first: {problems[0] if problems else 'there is none'}")
    figures, notes = (metrics.compute(), metrics.per_class, done, predictions.limit), predictions.notes()
    evaluation = Evaluation(*figures, problems, notes, known=predictions.known, data_problems=data_problems)
    if analyse:
        explain(evaluation, builder.tables(), probe, predictions)
    return evaluation


def explain(evaluation: Evaluation, tables: Tables, probe: BoxProbe, predictions: DatasetPredictor) -> None:
    """Fill in `analysis`, `findings` and the metrics that follow from them."""
    analysis = analyse_tables(tables, predictions.limit)
    evaluation.analysis = analysis
    evaluation.metrics |= analysis.metrics()
    for row, more in zip(evaluation.per_class.values(), analysis.per_class(), strict=True):
        row |= more
    unknown, metrics = evaluation.unknown, evaluation.known_metrics
    if unknown:
        # Objects that the model cannot name would dominate all advice.
        tables = tables.without({tables.names.index(name) for name in unknown})
        analysis = analyse_tables(tables, predictions.limit)
    score = metrics[f"{tables.kind}_AP"]
    evaluation.findings = [*too_few_steps(steps_of(predictions.predictor), score), *unknown_classes(evaluation)]
    if score >= _NOTHING:
        evaluation.findings += next_steps(analysis, metrics, evaluation.per_class, predictions.config)
    else:
        names, threshold = predictions.predictor.names, predictions.config.score_threshold
        evaluation.findings += explain_zero_ap(tables, probe, names, threshold)
