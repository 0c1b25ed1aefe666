"""What one call of `predict` or `stream` asks for: one record, checked where it is made, handed down to the network."""

from __future__ import annotations

from dataclasses import dataclass

from maskrcnn.argument_checks import checked_count, checked_share
from maskrcnn.config import Config, Preprocess
from maskrcnn.setting_limits import ANY_LENGTH, RANGES

_LARGEST = {"batch_size": 65536, "size": ANY_LENGTH, "max_detections": int(RANGES["max_detections"].high)}


@dataclass(frozen=True)
class PredictionOptions:
    """The options of one call; None stands for what the predictor or its model has.

    Attributes:
        score: objects below it are left out, 0..1.
        batch_size: images in a forward pass, at most.
        size: shortest edge of the network input in pixels; the longest edge's limit changes in proportion.
        max_detections: objects in an image, at most.

    Raises:
        MaskRCNNError: a value is of another type or out of its range.
    """

    score: float = 0.5
    batch_size: int | None = None
    size: int | None = None
    max_detections: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "score", checked_share(self.score, "score"))
        for name, most in _LARGEST.items():
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, checked_count(value, name, most))

    def preprocess(self, config: Config) -> Preprocess:
        """How a model of this config takes images in this call. Raises `MaskRCNNError` for an absurd size."""
        return config.preprocess if self.size is None else config.preprocess.at(self.size)

    def detections(self, config: Config) -> int:
        """The most objects in an image that a model of this config returns in this call."""
        return config.max_detections if self.max_detections is None else self.max_detections
