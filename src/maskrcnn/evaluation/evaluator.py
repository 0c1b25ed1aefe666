"""Runs a model over a data set and measures it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from maskrcnn.annotations.problem_log import ProblemLog
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.source import has_split, open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.analysis import analyse as analyse_records
from maskrcnn.evaluation.caveats import steps_of, too_few_steps, unknown_classes
from maskrcnn.evaluation.coco_metrics import CocoMetrics
from maskrcnn.evaluation.dataset_predictor import DatasetPredictor
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.next_steps import next_steps
from maskrcnn.evaluation.tables import TableBuilder
from maskrcnn.evaluation.zero_ap import BoxProbe, diagnose
from maskrcnn.inference.predictor import load
from maskrcnn.predict.image_predictor import ImagePredictor

# An AP below it, in percent, is taken for a mistake in the setup rather than for a weak model.
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
    builder, probe = TableBuilder(dataset.names), BoxProbe()
    problems: list[str] = []
    data_problems = ProblemLog(dataset.problems)
    done = 0
    with DatasetPredictor(predictor, dataset, max_detections) as observer:
        metrics = CocoMetrics(dataset.names, observer.limit)
        for index, observation in enumerate(observer.stream(range(len(dataset)))):
            if isinstance(observation, MaskRCNNError):
                problems.append(str(observation))
                continue
            data_problems.add(observation.sample.truth.problems)
            metrics.update(observation.sample)
            if analyse:
                builder.update(observation.sample, index, observation.found)
                probe.update(observation.sample)
            done += 1
            advance()
    if not done:
        raise MaskRCNNError(f"no image could be evaluated; the first: {problems[0] if problems else 'none there'}")
    evaluation = Evaluation(
        metrics.compute(),
        metrics.per_class,
        done,
        observer.limit,
        problems,
        observer.notes(),
        known=observer.known,
        data_problems=data_problems,
    )
    if analyse:
        explain(evaluation, builder, probe, observer)
    return evaluation


def explain(evaluation: Evaluation, builder: TableBuilder, probe: BoxProbe, observer: DatasetPredictor) -> None:
    """Fill in `analysis` and `findings`, and what the tables gain from them."""
    tables = builder.tables()
    analysis = analyse_records(tables, observer.limit)
    evaluation.analysis = analysis
    evaluation.metrics |= analysis.metrics()
    for row, more in zip(evaluation.per_class.values(), analysis.per_class(), strict=True):
        row |= more
    unknown, metrics = evaluation.unknown, evaluation.known_metrics
    if unknown:
        # What the model cannot name would drown all else that there is to say.
        tables = tables.without({tables.names.index(name) for name in unknown})
        analysis = analyse_records(tables, observer.limit)
    score = metrics[f"{tables.kind}_AP"]
    evaluation.findings = [*too_few_steps(steps_of(observer.predictor), score), *unknown_classes(evaluation)]
    if score >= _NOTHING:
        evaluation.findings += next_steps(analysis, metrics, evaluation.per_class, observer.config)
    else:
        threshold = observer.config.score_threshold
        evaluation.findings += diagnose(tables, probe, observer.predictor.names, threshold)
