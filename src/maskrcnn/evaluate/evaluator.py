"""Runs a model over a data set and measures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from maskrcnn.data.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluate.coco import CocoMetrics
from maskrcnn.masks import Masks
from maskrcnn.predict.predictor import Predictor


@dataclass
class Evaluation:
    """Metrics in percent, and what could not be measured."""

    metrics: dict[str, float]
    per_class: dict[str, float]
    images: int
    max_detections: int
    problems: list[str] = field(default_factory=list)


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    max_detections: int | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Evaluation:
    """COCO box and mask AP of a model on a labelled data set.

    Args:
        max_detections: objects an image that count, for the model and the metrics alike; the model's own limit unless
            given.
        advance: called after each image.

    Classes are matched by name; a model and a data set of one class each are taken to mean the same.
    """
    model = predictor.model
    config = model.config
    limit = max_detections or config.max_detections
    to_dataset = class_map(predictor.names, dataset.names)
    metrics = CocoMetrics(dataset.names, limit)
    problems: list[str] = []
    done = 0
    model.config = config.replace(max_detections=limit)
    try:
        for index, record in enumerate(dataset.records):
            try:
                image, truth = dataset.pixels(index), dataset.objects(index)
            except MaskRCNNError as error:
                problems.append(str(error))
                continue
            result = predictor.predict(image, score=0.0)
            labels = to_dataset[result.labels]
            known = labels >= 0
            masks: Masks = result.masks[known]
            metrics.update(
                record.id, result.size, truth, result.boxes[known], result.scores[known], labels[known], masks
            )
            done += 1
            advance()
    finally:
        model.config = config
    if not done:
        raise MaskRCNNError(f"no image could be evaluated; the first: {problems[0] if problems else 'none there'}")
    return Evaluation(metrics.compute(), metrics.per_class, done, limit, problems)


def class_map(model_names: tuple[str, ...], dataset_names: tuple[str, ...]) -> np.ndarray:
    """int64 [C]: the data set's label for each of the model's, -1 for a class it lacks. Raises if none is shared."""
    if len(model_names) == len(dataset_names) == 1:
        return np.zeros(1, dtype=np.int64)
    there = {name: index for index, name in enumerate(dataset_names)}
    mapped = np.array([there.get(name, -1) for name in model_names], dtype=np.int64)
    if (mapped < 0).all():
        raise MaskRCNNError(
            f"the model's classes ({', '.join(model_names[:5])}, …) and the data's ({', '.join(dataset_names[:5])}, …) "
            "have no name in common",
            fix="rename the data's categories, or evaluate a model trained on them",
        )
    return mapped
