"""Which detection finds which labelled object, by COCO's rule, and the average precision that follows.

In each image and class the detection with the highest score chooses first. It takes the free object that it overlaps
most, if the IoU reaches the threshold; one that finds none but lies in a region (a crowd) is not judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hotcoco import metrics as library

from maskrcnn.evaluation.tables import Kind, Tables

IOUS = np.linspace(0.5, 0.95, 10)


@dataclass(frozen=True)
class DetectionMatches:
    """The outcome for D detections and T labelled objects at one IoU threshold.

    Attributes:
        truth: int64 [D], the row of the object found, or of the region lain in; -1 for none.
        region: bool [T], objects that are regions.
    """

    truth: np.ndarray
    region: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """bool [D]: finds an object."""
        return (self.truth >= 0) & ~self.ignored

    @property
    def ignored(self) -> np.ndarray:
        """bool [D]: lies in a region and is not judged."""
        inside = self.truth >= 0
        inside[inside] = self.region[self.truth[inside]]
        return inside

    @property
    def judged(self) -> np.ndarray:
        """bool [D]: right or wrong."""
        return ~self.ignored

    @property
    def found(self) -> np.ndarray:
        """bool [T]: objects found."""
        found = np.zeros(len(self.region), dtype=bool)
        found[self.truth[self.truth >= 0]] = True
        return found & ~self.region


def match_detections(tables: Tables, kind: Kind, threshold: float = 0.5) -> DetectionMatches:
    """Match all detections with the objects of their class."""
    pairs, region = tables.pairs, tables.regions(kind)
    same = tables.detections["label"][pairs["detection"]] == tables.truths["label"][pairs["truth"]]
    pairs = pairs[same & (pairs[kind] >= min(threshold, 1 - 1e-10))]
    truth = np.full(len(tables.detections), -1, dtype=np.int64)
    free = (~region).tolist()
    is_region = region.tolist()
    best: dict[int, tuple[float, int]] = {}
    previous = -1
    # Pairs come detection by detection: what the one before took is settled first.
    for detection, other, overlap in zip(*(pairs[c].tolist() for c in ("detection", "truth", kind)), strict=True):
        if detection != previous:
            _take(best, previous, truth, free)
            previous = detection
        group = 0 if free[other] else 1 if is_region[other] else 2
        # Of equal overlaps COCO takes the last.
        if group < 2 and (group not in best or overlap >= best[group][0]):
            best[group] = (overlap, other)
    _take(best, previous, truth, free)
    return DetectionMatches(truth, region)


def _take(best: dict[int, tuple[float, int]], detection: int, truth: np.ndarray, free: list[bool]) -> None:
    """Settle one detection: an object goes before a region."""
    if best:
        group = min(best)
        _, other = best[group]
        truth[detection] = other
        free[other] = False
        best.clear()


def average_precision(scores: np.ndarray, correct: np.ndarray, objects: int) -> float:
    """COCO's AP of one class at one IoU in 0..1, over 101 recall points; NaN without objects.

    Args:
        scores: float [D] of the judged detections, image by image.
        correct: bool [D].
        objects: how many there were to find.
    """
    return library.average_precision(scores, correct, objects) if objects > 0 else float("nan")


def class_precisions(tables: Tables, matches: DetectionMatches) -> np.ndarray:
    """float64 [C]: AP of each class in percent, NaN without objects."""
    judged = matches.judged
    labels, scores, correct = tables.detections["label"][judged], tables.detections["score"][judged], matches.correct
    correct = correct[judged]
    objects = np.bincount(tables.truths["label"][~matches.region], minlength=len(tables.names))
    values = np.full(len(tables.names), np.nan)
    for label in np.flatnonzero(objects):
        own = labels == label
        values[label] = average_precision(scores[own], correct[own], int(objects[label]))
    return values * 100


def boundary_precisions(tables: Tables) -> np.ndarray:
    """float64 [10 IoUs, C]: boundary AP of each class in percent."""
    return np.stack([class_precisions(tables, match_detections(tables, "boundary", iou)) for iou in IOUS])
