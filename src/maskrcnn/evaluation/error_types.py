"""How much AP each kind of error costs (TIDE, Bolya et al. 2020, sections 2 and 3), at an IoU of 0.5.

Each wrong detection has one kind, in this order:
- location: overlaps an object of its class, with an IoU of 0.1 to 0.5;
- class: overlaps an object of another class with an IoU of at least 0.5;
- duplicate: overlaps an object of its class well that a detection with a higher score has found;
- background: overlaps no object by 0.1;
- both: the rest, a poor overlap with another class.
An object is missed if no detection finds it, and none of the kinds location and class was meant for it.
The cost of a kind is the AP50 gained by correcting all its errors and nothing else: of the detections meant for an
object that none finds, the one with the highest score is moved or renamed, all others are dropped; missed objects need
not be found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from maskrcnn.evaluation.matching import DetectionMatches, average_precision, judged_by_class
from maskrcnn.evaluation.tables import LEAST_OVERLAP, Tables

KINDS = ("class", "location", "both", "duplicate", "background", "missed")
SIZES = ("small", "medium", "large")
_IOU = 0.5


@dataclass(frozen=True)
class ErrorBreakdown:
    """The errors among D detections and T labelled objects.

    Attributes:
        kind: int64 [D], number in `KINDS` of a wrong detection, -1 for one that is right or not judged.
        meant: int64 [D], the object that a class or location error was meant for, else -1.
        missed: bool [T].
        size: int64 [T], number in `SIZES` of each object.
        ap50: in percent, as measured.
        cost: AP50 points that each of `KINDS` costs; they do not add up to 100 - AP50.
        missed_cost: AP50 points that missed objects of each of `SIZES` cost.
    """

    kind: np.ndarray
    meant: np.ndarray
    missed: np.ndarray
    size: np.ndarray
    ap50: float
    cost: dict[str, float]
    missed_cost: dict[str, float]

    @property
    def counts(self) -> dict[str, int]:
        """How many errors there are of each of `KINDS`."""
        counts = np.bincount(self.kind[self.kind >= 0], minlength=len(KINDS)).tolist()
        return dict(zip(KINDS, counts, strict=True)) | {"missed": int(self.missed.sum())}


def classify_errors(tables: Tables, matches: DetectionMatches) -> ErrorBreakdown:
    """The kind of each error and the cost of each kind. `matches` are those at an IoU of 0.5."""
    kind, meant = _kinds(tables, matches)
    missed = ~matches.region & ~matches.found
    missed[meant[meant >= 0]] = False
    size = np.digitize(tables.truths["area"], (32**2, 96**2), right=True)
    ap50 = mean_ap50(tables, matches)
    cost = {}
    for number, name in enumerate(KINDS[:-1]):
        cost[name] = mean_ap50(*_corrected(tables, matches, meant, kind == number)) - ap50
    cost["missed"] = mean_ap50(tables, matches, missed) - ap50
    by_size = {name: mean_ap50(tables, matches, missed & (size == i)) - ap50 for i, name in enumerate(SIZES)}
    return ErrorBreakdown(kind, meant, missed, size, ap50, cost, by_size)


def _kinds(tables: Tables, matches: DetectionMatches) -> tuple[np.ndarray, np.ndarray]:
    """The kind of each detection, and the object it was meant for."""
    pairs = tables.pairs[~matches.region[tables.pairs["truth"]]]
    pairs = pairs[pairs[tables.kind] >= LEAST_OVERLAP]
    same = tables.detections["label"][pairs["detection"]] == tables.truths["label"][pairs["truth"]]
    own, own_truth = _best(pairs[same], tables)
    other, other_truth = _best(pairs[~same], tables)
    choices = (
        ((own >= LEAST_OVERLAP) & (own <= _IOU), "location"),
        (other >= _IOU, "class"),
        (own >= _IOU, "duplicate"),
        (np.maximum(own, other) <= LEAST_OVERLAP, "background"),
    )
    kind = np.select([test for test, _ in choices], [KINDS.index(name) for _, name in choices], KINDS.index("both"))
    kind[matches.correct | matches.ignored] = -1
    meant = [kind == KINDS.index(name) for name in ("location", "class")]
    return kind, np.select(meant, (own_truth, other_truth), -1)


def _best(pairs: np.ndarray, tables: Tables) -> tuple[np.ndarray, np.ndarray]:
    """For each detection its largest overlap among the pairs (0 if it has none), and with which object (-1)."""
    overlap, truth = np.zeros(len(tables.detections)), np.full(len(tables.detections), -1, dtype=np.int64)
    # By rising overlap, of equal ones the last object first: the last one written is kept.
    order = np.lexsort((-pairs["truth"], pairs[tables.kind]))
    overlap[pairs["detection"][order]] = pairs[tables.kind][order]
    truth[pairs["detection"][order]] = pairs["truth"][order]
    return overlap, truth


def _corrected(
    tables: Tables, matches: DetectionMatches, meant: np.ndarray, wrong: np.ndarray
) -> tuple[Tables, DetectionMatches]:
    """The tables (but their pairs) and matches after the detections `wrong`, bool [D], are corrected."""
    # Of the detections meant for the same object that nothing else finds, the one with the highest score finds it.
    rows = np.flatnonzero(meant >= 0)
    rows = rows[~matches.found[meant[rows]]]
    rows = rows[np.argsort(-tables.detections["score"][rows], kind="stable")]
    finders = rows[np.unique(meant[rows], return_index=True)[1]]
    finders = finders[wrong[finders]]
    detections, truth, kept = tables.detections.copy(), matches.truth.copy(), ~wrong
    detections["label"][finders] = tables.truths["label"][meant[finders]]
    truth[finders], kept[finders] = meant[finders], True
    return replace(tables, detections=detections[kept]), DetectionMatches(truth[kept], matches.region)


def mean_ap50(
    tables: Tables,
    matches: DetectionMatches,
    excused: np.ndarray | None = None,
    dropped: np.ndarray | None = None,
) -> float:
    """AP50 in percent, NaN without objects.

    Args:
        excused: bool [T], objects that need not be found.
        dropped: bool [D], wrong detections that are left out.
    """
    if dropped is not None:
        tables = replace(tables, detections=tables.detections[~dropped])
        matches = DetectionMatches(matches.truth[~dropped], matches.region)
    labels = tables.truths["label"][:0] if excused is None else tables.truths["label"][excused]
    counts = np.bincount(labels, minlength=len(tables.names)).tolist()
    # Without objects left to find, the AP is perfect.
    values = [
        average_precision(scores, correct, objects - count) if objects > count else 1.0
        for (scores, correct, objects), count in zip(judged_by_class(tables, matches), counts, strict=True)
        if objects
    ]
    return float(np.mean(values)) * 100 if values else float("nan")
