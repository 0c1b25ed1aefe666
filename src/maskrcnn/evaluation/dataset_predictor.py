"""A model at work on a data set: for each image, the labels beside what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType

import numpy as np

from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.federated import as_labelled, is_federated, note
from maskrcnn.evaluation.label_mapping import label_mapping
from maskrcnn.predict.image_predictor import ImagePredictor
from maskrcnn.results.result import Result
from maskrcnn.text import plural, quoted


@dataclass(frozen=True)
class Observation:
    """One image.

    Attributes:
        sample: its labels, and the detections of classes that the data set has.
        picture: uint8 [H, W, 3], the image to look at.
        found: how many detections the model gave.
    """

    sample: EvaluatedImage
    picture: np.ndarray
    found: int


class DatasetPredictor:
    """Runs the model on images of the data set; inside `with`, under the given limit of detections.

    Args:
        max_detections: objects an image; the model's own limit unless given.

    Attributes:
        limit: of detections in an image.
        config: of the model, with that limit.

    Raises:
        MaskRCNNError: model and data have no class in common; or, on entering, the model was exported with fewer
            detections.
    """

    def __init__(self, predictor: ImagePredictor, dataset: Dataset, max_detections: int | None = None) -> None:
        self.predictor, self.dataset = predictor, dataset
        self.limit = max_detections or predictor.model.config.max_detections
        self.config = predictor.model.config.replace(max_detections=self.limit)
        self._own_config = predictor.model.config
        self._to_dataset = label_mapping(predictor.names, dataset.names)
        self._unknown = 0

    def __enter__(self) -> DatasetPredictor:
        self.predictor.model.config = self.config
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.predictor.model.config = self._own_config

    def stream(self, indices: Sequence[int]) -> Iterator[Observation | MaskRCNNError]:
        """Labels and detections of these images in their order, while the next ones are read in the background.

        An image that cannot be read, or its labels, comes as the error, whose message names it.
        """
        pixels = [partial(self.dataset.pixels, index, self.config.preprocess) for index in indices]
        for index, result in zip(indices, self.predictor.stream(pixels, score=0.0), strict=True):
            try:
                yield result if isinstance(result, MaskRCNNError) else self._observation(index, result)
            except MaskRCNNError as error:
                yield error

    def _observation(self, index: int, result: Result) -> Observation:
        truth = self.dataset.objects(index)
        labels = self._to_dataset[result.labels]
        known = labels >= 0
        self._unknown += int((~known).sum())
        parts = result.boxes[known], result.scores[known], labels[known], result.masks[known]
        record = self.dataset.records[index]
        sample = as_labelled(EvaluatedImage(record.id, result.size, truth, *parts), record, self.dataset.names)
        assert result.image is not None
        return Observation(sample, result.image, len(result))

    @property
    def known(self) -> list[str]:
        """The data's classes that the model knows."""
        there = set(self._to_dataset.tolist())
        return [name for label, name in enumerate(self.dataset.names) if label in there]

    def notes(self) -> list[str]:
        """Lines on what bears on all figures: labels of some classes only, and classes that only the data or only the
        model has."""
        missing = [name for name in self.dataset.names if name not in self.known]
        extra = [name for name, label in zip(self.predictor.names, self._to_dataset.tolist(), strict=True) if label < 0]
        lines = []
        if is_federated(self.dataset):
            lines.append(note(self.limit))
        if missing:
            lines.append(f"the model does not know {plural(len(missing), 'class')} of the data: {quoted(missing)}")
        if extra:
            left_out = plural(self._unknown, "detection")
            lines.append(
                f"the data lacks {plural(len(extra), 'class')} of the model: {quoted(extra)}; {left_out} left out"
            )
        return lines
