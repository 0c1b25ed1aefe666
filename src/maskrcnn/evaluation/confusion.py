"""The confusion matrix: which class is detected as which, in numbers of objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maskrcnn.evaluation.matching import DetectionMatches
from maskrcnn.evaluation.tables import Tables


def confusion_matrix(tables: Tables, matches: DetectionMatches, threshold: float) -> np.ndarray:
    """int64 [C + 1, C + 1]: row the labelled class, column the detected one; the last of each is "nothing".

    Detections with a score of at least `threshold` count. First they are matched with objects of their own class, as
    for AP; the rest are then matched with the remaining objects of any class at an IoU of 0.5, best overlap first.
    Objects left over were missed (last column), detections left over are false alarms (last row).
    """
    nothing = len(tables.names)
    labels, truth_labels = tables.detections["label"], tables.truths["label"]
    kept = tables.detections["score"] >= threshold
    right = matches.correct & kept
    counts = np.zeros((nothing + 1, nothing + 1), dtype=np.int64)
    np.add.at(counts, (labels[right], labels[right]), 1)
    alarm = kept & matches.judged & ~right
    missed = ~matches.region
    missed[matches.truth[right]] = False
    pairs = tables.pairs[tables.pairs[tables.kind] >= 0.5]
    pairs = pairs[np.argsort(-pairs[tables.kind], kind="stable")]
    for detection, truth in zip(pairs["detection"].tolist(), pairs["truth"].tolist(), strict=True):
        if alarm[detection] and missed[truth]:
            counts[truth_labels[truth], labels[detection]] += 1
            alarm[detection] = missed[truth] = False
    np.add.at(counts, (nothing, labels[alarm]), 1)
    np.add.at(counts, (truth_labels[missed], nothing), 1)
    return counts


def confused_pairs(counts: np.ndarray, limit: int = 20) -> list[tuple[int, int, int]]:
    """(labelled class, detected class, how often) of different classes, the most frequent first."""
    between = counts[:-1, :-1] * (1 - np.eye(len(counts) - 1, dtype=np.int64))
    places = np.argsort(-between, axis=None, kind="stable")[:limit]
    pairs = zip(*(axis.tolist() for axis in np.unravel_index(places, between.shape)), strict=True)
    return [(truth, found, int(between[truth, found])) for truth, found in pairs if between[truth, found]]


def merge_classes(names: Sequence[str], counts: np.ndarray, limit: int) -> tuple[list[str], np.ndarray]:
    """The matrix with its `limit` most confused classes, and the others added up: names and int64 [N, N].

    `names` and `counts` end with "nothing".
    """
    classes = len(names) - 1
    if classes <= limit:
        return list(names), counts
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-(wrong.sum(axis=0) + wrong.sum(axis=1))[:classes], kind="stable")
    shown = np.sort(order[:limit])
    place = np.full(classes + 1, limit)
    place[shown], place[-1] = np.arange(limit), limit + 1
    merged = np.zeros((limit + 2, limit + 2), dtype=np.int64)
    np.add.at(merged, (place[:, None], place[None, :]), counts)
    return [*(names[k] for k in shown), f"{classes - limit} others", names[-1]], merged
