"""Which detection finds which labelled object, by COCO's rule, and the average precision that follows.

In each image and class the detection with the highest score comes first. It finds the free object that it overlaps
most, if the IoU reaches the threshold; one that finds none but lies in a region (a crowd) is not judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np
from hotcoco import metrics as library

from maskrcnn.evaluation.tables import Kind, Tables

IOUS = np.linspace(0.5, 0.95, 10)


@dataclass(frozen=True)
class DetectionMatches:
    """The outcome for D detections and T labelled objects at one IoU threshold.

    Attributes:
        truth: int64 [D], the row of the object found, or of the region it lies in; -1 for none.
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
    is_region = region.tolist()
    taken: set[int] = set()
    rows = zip(*(pairs[column].tolist() for column in ("detection", kind, "truth")), strict=True)
    for detection, overlaps in groupby(rows, itemgetter(0)):
        # An object goes before a region; of equal overlaps COCO takes the last.
        free = [(not is_region[other], overlap, other) for _, overlap, other in overlaps if other not in taken]
        if free:
            is_object, _, other = max(free)
            truth[detection] = other
            if is_object:
                taken.add(other)
    return DetectionMatches(truth, region)


def judged_by_class(tables: Tables, matches: DetectionMatches) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """For each class the scores of its K judged detections, float64 [K], which are correct, bool [K], and how many
    objects there were to find."""
    judged = matches.judged
    labels, scores, correct = *(tables.detections[c][judged] for c in ("label", "score")), matches.correct[judged]
    objects = np.bincount(tables.truths["label"][~matches.region], minlength=len(tables.names))
    for label, count in enumerate(objects.tolist()):
        own = labels == label
        yield scores[own], correct[own], count


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
    return 100 * np.array([average_precision(*part) for part in judged_by_class(tables, matches)])


def boundary_precisions(tables: Tables) -> np.ndarray:
    """float64 [10 IoUs, C]: boundary AP of each class in percent."""
    return np.stack([class_precisions(tables, match_detections(tables, "boundary", iou)) for iou in IOUS])
