"""How far the AP depends on which images were measured: the bootstrap over images (Efron 1979), 95 % intervals.

Images are drawn with replacement, as many as there are, and the AP is counted anew from their matches: an image drawn
twice counts twice. Nothing is matched again, since matching stays within an image. With few images such an interval is
rather too narrow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from maskrcnn.evaluation.curves import RECALLS
from maskrcnn.evaluation.matching import IOUS, match_detections
from maskrcnn.evaluation.tables import Kind, Tables

SAMPLES, _CONFIDENCE = 200, 0.95
LEAST_IMAGES = 5
# Numbers held at a time.
_BUDGET = 2**24


class Interval(NamedTuple):
    """Where the AP lies in 95 % of the draws, in percent."""

    low: float
    high: float

    @property
    def half(self) -> float:
        """Half its width."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class _ClassRows:
    """The judged detections of one class at one IoU by falling score, and the objects of each image."""

    image: np.ndarray  # int64 [K]
    correct: np.ndarray  # bool [K]
    objects: np.ndarray  # int64 [I]


class ImageResampling:
    """The AP of any choice of the images.

    Args:
        tables: of all images.
        kind: what objects are compared by.
    """

    def __init__(self, tables: Tables, kind: Kind) -> None:
        self.images = len(tables.images)
        self._rows = [list(_class_rows(tables, kind, float(iou))) for iou in IOUS]

    def ap(self, counts: np.ndarray) -> np.ndarray:
        """float64 [S]: the AP in percent of each choice, NaN without objects.

        Args:
            counts: int64 [S, I], how often each image is in the choice.
        """
        return np.concatenate([self._mean(part) for part in np.array_split(counts, self._parts(len(counts)))])

    def interval(self, seed: int = 0) -> Interval | None:
        """The 95 % interval; None for fewer than five images, of which there are too few draws, or without objects."""
        if self.images < LEAST_IMAGES:
            return None
        drawn = np.random.default_rng(seed).multinomial(self.images, np.full(self.images, 1 / self.images), SAMPLES)
        values = self.ap(drawn)
        values = values[~np.isnan(values)]
        if not len(values):
            return None
        tail = 50 * (1 - _CONFIDENCE)
        return Interval(*np.percentile(values, (tail, 100 - tail)).tolist())

    def _parts(self, samples: int) -> int:
        longest = max((len(row.image) for rows in self._rows for row in rows), default=0)
        return min(max(samples * longest // _BUDGET, 1), max(samples, 1))

    def _mean(self, counts: np.ndarray) -> np.ndarray:
        precisions = np.array([[_precision(row, counts) for row in rows] for rows in self._rows])  # [IoUs, C, S]
        known = ~np.isnan(precisions[0]) if precisions.size else np.zeros((0, len(counts)), dtype=bool)
        total = np.nansum(precisions.mean(axis=0), axis=0) if precisions.size else np.zeros(len(counts))
        classes = known.sum(axis=0)
        return np.where(classes > 0, 100 * total / np.maximum(classes, 1), np.nan)


def _class_rows(tables: Tables, kind: Kind, iou: float) -> Iterator[_ClassRows]:
    """The rows of each class that has objects."""
    matches = match_detections(tables, kind, iou)
    detections, truths = tables.detections, tables.truths
    order = np.argsort(-detections["score"], kind="stable")
    order = order[matches.judged[order]]
    labels, images, correct = (values[order] for values in (detections["label"], detections["image"], matches.correct))
    for label in np.unique(truths["label"][~matches.region]).tolist():
        own = labels == label
        counted = truths["image"][~matches.region & (truths["label"] == label)]
        yield _ClassRows(images[own], correct[own], np.bincount(counted, minlength=len(tables.images)))


def _precision(row: _ClassRows, counts: np.ndarray) -> np.ndarray:
    """float64 [S]: COCO's AP of one class at one IoU in 0..1 for each choice of images; NaN without objects."""
    weights = counts[:, row.image]
    right, judged = np.cumsum(weights * row.correct, axis=1), np.cumsum(weights, axis=1)
    objects = (counts @ row.objects).astype(np.float64)
    best = np.maximum.accumulate((right / np.maximum(judged, 1))[:, ::-1], axis=1)[:, ::-1]
    values = np.full(len(counts), np.nan)
    for sample in np.flatnonzero(objects):
        reached = np.searchsorted(right[sample] / objects[sample], RECALLS)
        values[sample] = np.append(best[sample], 0.0)[reached].mean()
    return values
