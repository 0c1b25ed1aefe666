"""Runs a model over a data set and measures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from maskrcnn.annotations.problem import Problem, unreadable
from maskrcnn.annotations.problem_log import ProblemLog
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.analysis import analyse_tables
from maskrcnn.evaluation.box_probe import BoxProbe
from maskrcnn.evaluation.caveats import other_class, steps_of, too_few_steps, unknown_classes
from maskrcnn.evaluation.class_mixups import mixed_up_classes
from maskrcnn.evaluation.coco_metrics import CocoMetrics
from maskrcnn.evaluation.dataset_predictor import DatasetPredictor
from maskrcnn.evaluation.deep_images import deep_image_advice
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.facts import Facts
from maskrcnn.evaluation.image_resampling import ImageResampling
from maskrcnn.evaluation.next_steps import next_steps
from maskrcnn.evaluation.shared_images import shared_image_advice, trained_on
from maskrcnn.evaluation.subject import Subject, model_name
from maskrcnn.evaluation.tables import TableBuilder, Tables
from maskrcnn.evaluation.training_history import measured_ap, run_advice
from maskrcnn.evaluation.zero_ap import explain_zero_ap, nothing_to_measure
from maskrcnn.prediction.image_predictor import ImagePredictor

# An AP below it, in percent, suggests a mistake in the setup rather than a weak model.
_NOTHING = 1.0


def evaluate(
    predictor: ImagePredictor,
    dataset: Dataset,
    max_detections: int | None = None,
    advance: Callable[[], None] = lambda: None,
    analyse: bool = False,
    subject: Subject | None = None,
    train: Dataset | None = None,
) -> Evaluation:
    """COCO box and mask AP of a model on a labelled data set.

    Args:
        max_detections: objects an image that count, for the model and the metrics alike; by default the model's limit.
        advance: called after each image.
        analyse: also analyse the errors and recommend what to do about them.
        subject: names for the calls that are recommended; by default the model's, where it was loaded by one.
        train: the train split of the data, to find images that are measured and trained on.

    Classes are matched by name; if model and data set have one class each, they are assumed to be the same.

    Raises:
        MaskRCNNError: no class in common, or no image that could be measured.
    """
    measured = measure(predictor, dataset, max_detections, advance, analyse)
    if analyse:
        measured.explain(subject or Subject(model_name(predictor), max_detections=max_detections), train)
    return measured.evaluation


@dataclass
class Measured:
    """An evaluation, and what an analysis needs of its images.

    Attributes:
        analysable: whether the records of the images are there.
    """

    evaluation: Evaluation
    predictions: DatasetPredictor
    analysable: bool
    builder: TableBuilder
    probe: BoxProbe

    def explain(self, subject: Subject, train: Dataset | None = None, steps: int | None = None) -> None:
        """Analyse the errors and recommend what to do about them; arguments as of `explain`."""
        explain(self.evaluation, self.builder.tables(), self.probe, self.predictions, subject, train, steps)


def measure(
    predictor: ImagePredictor,
    dataset: Dataset,
    max_detections: int | None = None,
    advance: Callable[[], None] = lambda: None,
    analyse: bool = False,
) -> Measured:
    """As `evaluate`, without the analysis; with ``analyse`` it can be made later."""
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
    return Measured(evaluation, predictions, analyse, builder, probe)


def explain(
    evaluation: Evaluation,
    tables: Tables,
    probe: BoxProbe,
    predictions: DatasetPredictor,
    subject: Subject,
    train: Dataset | None = None,
    steps: int | None = None,
) -> None:
    """Fill in `analysis`, `findings`, `interval` and the metrics that follow from them.

    Args:
        train: what the model is trained on, to find images that are measured as well.
        steps: that the model was trained for; those in its checkpoint unless given.
    """
    analysis = analyse_tables(tables, predictions.limit)
    evaluation.analysis = analysis
    evaluation.metrics |= analysis.metrics()
    for row, more in zip(evaluation.per_class.values(), analysis.per_class(), strict=True):
        row |= more
    predictor, dataset, unknown = predictions.predictor, predictions.dataset, evaluation.unknown
    if unknown:
        # Objects that the model cannot name would dominate all advice.
        tables = tables.without({tables.names.index(name) for name in unknown})
        analysis = analyse_tables(tables, predictions.limit)
    resampling = ImageResampling(tables, tables.kind)
    evaluation.interval = resampling.interval()
    paths = [str(dataset.records[index].path) for index in tables.images["index"].tolist()]
    facts = Facts(
        analysis,
        evaluation.known_metrics,
        evaluation.per_class,
        predictions.config,
        subject,
        evaluation.interval,
        paths,
        dataset,
        predictor.network,
    )
    shared, notes = trained_on(dataset, train)
    shared = shared[tables.images["index"]]
    evaluation.notes += notes
    evaluation.findings = [
        *too_few_steps(steps_of(predictor) if steps is None else steps, facts.ap, subject),
        *unknown_classes(evaluation, subject, predictor.names),
        *shared_image_advice(shared, resampling, subject, paths),
        *nothing_to_measure(tables, predictions.config.score_threshold, subject),
        *probe.advice(subject),
        *mixed_up_classes(tables, predictor.names, subject),
        *deep_image_advice(facts),
        *other_class(predictor.names, dataset.names, facts.ap, subject),
    ]
    if any(finding.decisive for finding in evaluation.findings):
        return
    run = run_advice(measured_ap(subject.model), subject)
    evaluation.findings += explain_zero_ap(tables, subject) if facts.ap < _NOTHING else next_steps(facts, run)
