"""Detections made from labels, as a fair model might have found them: moved, cut, missed, doubled, misnamed.

Benchmarks and tests of the metrics share it: what it costs to evaluate depends on how many detections overlap what.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskrcnn.annotations.objects import Objects
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.masks import Crop, Masks


@dataclass(frozen=True)
class Simulation:
    """How detections depart from the labels.

    Attributes:
        rate: detections for each object on average; drawn with repetition, so that some are missed and some doubled.
        wrong_class: share with a class drawn at random.
        shift: largest move, as a share of the mask's shorter side.
        cut: largest share of rows cut off the mask's top.
        digits: decimals of the scores; few make ties.
    """

    rate: float = 2.0
    wrong_class: float = 0.15
    shift: float = 0.2
    cut: float = 0.3
    digits: int = 2

    def sample(
        self, rng: np.random.Generator, image_id: int, size: tuple[int, int], truth: Objects, classes: int
    ) -> EvaluatedImage:
        """The labels of one image of `size` (H, W) and the detections made from those that have a mask."""
        masked = {i: crop for i, crop in enumerate(truth.crops) if crop is not None}
        count = int(self.rate * len(masked))
        chosen = rng.choice(list(masked), count) if count else np.zeros(0, dtype=np.int64)
        crops = [self.moved(rng, masked[i], size) for i in chosen.tolist()]
        boxes = np.array([crop.box for crop in crops], dtype=np.float32).reshape(-1, 4)
        boxes += rng.uniform(-1, 1, boxes.shape).astype(np.float32)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        right = rng.random(count) >= self.wrong_class
        labels = np.where(right, truth.labels[chosen], rng.integers(0, classes, count))
        scores = rng.random(count).round(self.digits).astype(np.float32)
        return EvaluatedImage(image_id, size, truth, boxes, scores, labels, Masks(crops, size))

    def moved(self, rng: np.random.Generator, crop: Crop, size: tuple[int, int]) -> Crop:
        """The mask elsewhere in the image, some of its rows cut off."""
        height, width = crop.bitmap.shape
        reach = max(1, int(min(height, width) * self.shift))
        dx, dy = rng.integers(-reach, reach + 1, 2)
        bitmap = crop.bitmap.copy()
        bitmap[: int(rng.uniform(0, self.cut) * height)] = False
        x, y = np.clip((crop.x + dx, crop.y + dy), 0, (size[1] - width, size[0] - height))
        return Crop(bitmap, int(x), int(y))
