"""All that advice is drawn from, and what several pieces of advice count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from maskrcnn.config import Config
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.analysis import Analysis
from maskrcnn.evaluation.image_resampling import Interval
from maskrcnn.evaluation.subject import Subject
from maskrcnn.evaluation.tables import Tables
from maskrcnn.images.input_size import resize_scale
from maskrcnn.prediction.network import Network
from maskrcnn.prediction.prediction_options import PredictionOptions

# Paths kept with one recommendation.
_MOST_IMAGES = 50


@dataclass(frozen=True)
class Facts:
    """One evaluation; if the model does not know some classes, without their objects.

    Attributes:
        analysis: of the detections.
        metrics: of all classes together, in percent.
        per_class: metrics of each class, by name.
        config: of the model that was measured.
        subject: names for the calls that are recommended.
        interval: of the AP; None where it is unknown.
        paths: of the images, one for each row of the tables; empty if there are none.
        dataset: what was measured, if it is at hand.
        network: of the model; None if it is not at hand.
    """

    analysis: Analysis
    metrics: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]]
    config: Config
    subject: Subject = field(default_factory=Subject)
    interval: Interval | None = None
    paths: Sequence[str] = ()
    dataset: Dataset | None = None
    network: Network | None = None

    def runs_with(self, options: PredictionOptions) -> bool:
        """Whether the model can predict with these options: an exported one has limits."""
        try:
            if self.network is not None:
                self.network.check(options)
        except MaskRCNNError:
            return False
        return True

    @property
    def tables(self) -> Tables:
        """Of the analysis."""
        return self.analysis.tables

    @property
    def ap(self) -> float:
        """The AP of what objects are compared by, in percent."""
        return self.metrics[f"{self.tables.kind}_AP"]

    @cached_property
    def confident(self) -> np.ndarray:
        """bool [D]: detections that score at least the threshold with the best F1."""
        return self.tables.detections["score"] >= self.analysis.threshold

    @cached_property
    def scale(self) -> np.ndarray:
        """float64 [I]: the factor by which each image is enlarged for the network."""
        sizes = zip(self.tables.images["height"].tolist(), self.tables.images["width"].tolist(), strict=True)
        return np.array([resize_scale(height, width, self.config.preprocess) for height, width in sizes])

    @cached_property
    def sides(self) -> np.ndarray:
        """float64 [T]: the side of a square of each object's area, in pixels of the network's input."""
        truths = self.tables.truths
        return np.sqrt(truths["area"]) * self.scale[truths["image"]]

    def images_with(self, rows: np.ndarray) -> tuple[str, ...]:
        """The paths of the images of some detections or objects, int [K], those with most of them first."""
        if not self.paths:
            return ()
        counts = np.bincount(rows, minlength=len(self.paths))
        order = np.argsort(-counts, kind="stable")
        return tuple(self.paths[row] for row in order[counts[order] > 0][:_MOST_IMAGES].tolist())
