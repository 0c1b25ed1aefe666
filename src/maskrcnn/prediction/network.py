"""The interface between an `ImagePredictor` and what computes detections: PyTorch, onnxruntime, OpenVINO, a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from maskrcnn.config import Config
from maskrcnn.prediction.prediction_options import PredictionOptions


class DetectionArrays(NamedTuple):
    """D detections of each of B images, best first; rows that are not valid are padding."""

    boxes: np.ndarray  # float32 [B, D, 4], pixels of the network input
    scores: np.ndarray  # float32 [B, D], 0..1
    labels: np.ndarray  # int64 [B, D], 0..C-1
    valid: np.ndarray  # bool [B, D]
    masks: np.ndarray  # float32 [B, D, M, M], 0..1, in the box's frame
    sizes: np.ndarray  # int64 [B, 2], each image's (height, width) in the network input

    def wait(self) -> DetectionArrays:
        """Itself, so that a network that computes at once can return this as its `PendingDetections`."""
        return self


class PendingDetections(Protocol):
    """Detections that a device may still be computing."""

    def wait(self) -> DetectionArrays:
        """Wait for the detections and return them."""


class Network(Protocol):
    """Finds objects in decoded images. May be called from several threads at once."""

    @property
    def names(self) -> tuple[str, ...]:
        """Class names; labels index into them."""

    @property
    def config(self) -> Config:
        """Preprocessing, architecture and thresholds. Never changes."""

    def check(self, options: PredictionOptions) -> None:
        """Raises `MaskRCNNError` for options that the network does not support."""

    def detect(self, images: Sequence[np.ndarray], options: PredictionOptions) -> PendingDetections:
        """Start detection in images [H, W, C], of the channels and depth that ``config`` states.

        Scores below ``options.score`` need not be returned, nor their masks be computed.

        Raises:
            MaskRCNNError, RuntimeError, MemoryError: this batch failed; the predictor goes on with the next one.
        """
