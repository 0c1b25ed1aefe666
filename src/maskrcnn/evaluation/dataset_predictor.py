"""Predictions for the images of a data set, each with its labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.federated import as_labelled, is_federated, note
from maskrcnn.evaluation.label_mapping import label_mapping
from maskrcnn.prediction.image_predictor import ImagePredictor
from maskrcnn.prediction.prediction_options import PredictionOptions
from maskrcnn.results.result import Result
from maskrcnn.text import plural, quoted


class DatasetPredictor:
    """Runs the model on images of the data set, with a limit of detections.

    Args:
        max_detections: objects an image; the model's own limit unless given.

    Attributes:
        limit: of detections in an image.
        config: of the model, with that limit.

    Raises:
        MaskRCNNError: model and data have no class in common, or the model was exported with fewer detections.
    """

    def __init__(self, predictor: ImagePredictor, dataset: Dataset, max_detections: int | None = None) -> None:
        self.predictor, self.dataset = predictor, dataset
        self.limit = max_detections or predictor.config.max_detections
        predictor.network.check(PredictionOptions(max_detections=self.limit))
        self.config = predictor.config.replace(max_detections=self.limit)
        self._to_dataset = label_mapping(predictor.names, dataset.names)
        self._unknown = 0

    def stream(self, indices: Sequence[int]) -> Iterator[EvaluatedImage | MaskRCNNError]:
        """Labels and detections of these images in their order, while the next ones are read in the background.

        An image that cannot be read, or whose labels cannot, is yielded as its error, whose message names it.
        """
        pixels = [partial(self.dataset.pixels, index, self.config.preprocess) for index in indices]
        results = self.predictor.stream(pixels, score=0.0, max_detections=self.limit)
        for index, result in zip(indices, results, strict=True):
            try:
                yield result if isinstance(result, MaskRCNNError) else self._evaluated(index, result)
            except MaskRCNNError as error:
                yield error

    def _evaluated(self, index: int, result: Result) -> EvaluatedImage:
        record, labels = self.dataset.records[index], self._to_dataset[result.labels]
        detections = (result.boxes, result.scores, labels, result.masks)
        truth = self.dataset.objects(index)
        image = EvaluatedImage(record.id, result.size, truth, *detections, index, len(result), result.image)
        known = np.flatnonzero(labels >= 0)
        self._unknown += len(labels) - len(known)
        return as_labelled(image.select(known), record, self.dataset.names)

    @property
    def known(self) -> list[str]:
        """The data's classes that the model knows."""
        return [self.dataset.names[label] for label in np.unique(self._to_dataset) if label >= 0]

    def notes(self) -> list[Problem]:
        """What affects all figures: federated labels, and classes that only the data or only the model has."""
        missing = [name for name in self.dataset.names if name not in self.known]
        extra = [name for name, label in zip(self.predictor.names, self._to_dataset.tolist(), strict=True) if label < 0]
        found = [("federated-labels", note(self.limit))] if is_federated(self.dataset) else []
        if missing:
            what = f"the model does not know {plural(len(missing), 'class')} of the data: {quoted(missing)}"
            found.append(("unknown-classes", what))
        if extra:
            left_out = f"{plural(self._unknown, 'detection')} left out"
            what = f"the data lacks {plural(len(extra), 'class')} of the model: {quoted(extra)}; {left_out}"
            found.append(("absent-classes", what))
        return [Problem(check, "", what, severity="note") for check, what in found]
