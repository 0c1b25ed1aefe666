"""Objects that are found as one with their neighbours, and objects that are found in pieces."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from maskrcnn.evaluation.error_types import mean_ap50
from maskrcnn.evaluation.facts import Facts
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.evaluation.tables import Tables
from maskrcnn.text import plural

# One shape covers another if it has this share of it; it consists of others if they make up this share of it.
_COVERED, _CONSISTS = 0.7, 0.6
_LEAST = 3


def touching_objects(facts: Facts) -> Iterator[Recommendation]:
    """Advice on detections that cover several objects, and on objects that several detections share."""
    tables, matches = facts.tables, facts.analysis.matches
    of_object, of_detection = covered_shares(tables)
    pairs, judged = tables.pairs, ~matches.region[tables.pairs["truth"]]
    sure = facts.confident[pairs["detection"]] & judged
    merged = _consisting(pairs["detection"], of_object, of_detection, sure, len(tables.detections))
    split = _consisting(pairs["truth"], of_detection, of_object, sure, len(tables.truths))
    inside = pairs["truth"][sure & merged[pairs["detection"]] & (of_object >= _COVERED)]
    lost = np.zeros(len(tables.truths), dtype=bool)
    lost[inside] = True
    lost &= ~matches.found
    if merged.sum() >= _LEAST and lost.any():
        dropped = merged & matches.judged & ~matches.correct
        yield Recommendation(
            "merged-objects",
            f"Neighbours are found as one: {plural(int(merged.sum()), 'detection')} cover two or more labelled objects "
            "each.",
            f"They hide {plural(int(lost.sum()), 'object')} of {int((~matches.region).sum()):,}.",
            "If the labels divide them rightly, train on with larger objects in the network's input, and add images in "
            "which objects touch.",
            facts.subject.train(scale_jitter=[1.0, 2.0], minutes=30),
            gain=mean_ap50(tables, matches, lost, dropped) - facts.analysis.errors.ap50,
            images=facts.images_with(tables.detections["image"][merged]),
        )
    split &= ~matches.region & ~matches.found
    if split.sum() >= _LEAST:
        parts = np.zeros(len(tables.detections), dtype=bool)
        parts[pairs["detection"][sure & split[pairs["truth"]] & (of_detection >= _COVERED)]] = True
        parts &= matches.judged & ~matches.correct
        yield Recommendation(
            "split-objects",
            f"{plural(int(split.sum()), 'labelled object')} {'is' if split.sum() == 1 else 'are'} found in pieces, as "
            "two or more each.",
            f"{plural(int(parts.sum()), 'detection')} lie in them.",
            "Look at the labels: are touching objects labelled as one? If not, the model needs more examples of whole "
            "ones.",
            facts.subject.view(),
            gain=mean_ap50(tables, matches, split, parts) - facts.analysis.errors.ap50,
            images=facts.images_with(tables.truths["image"][split]),
        )


def covered_shares(tables: Tables) -> tuple[np.ndarray, np.ndarray]:
    """float64 [P] each: for the pairs, the share of the object and of the detection that both have in common.

    By masks, or by boxes where objects have none, whatever their classes.
    """
    overlap = tables.pairs[tables.kind]
    detection = tables.detections["pixels"][tables.pairs["detection"]]
    truth = tables.truths["pixels"][tables.pairs["truth"]]
    shared = overlap / (1 + overlap) * (detection + truth)
    return shared / np.maximum(truth, 1), shared / np.maximum(detection, 1)


def _consisting(
    whole: np.ndarray, of_part: np.ndarray, of_whole: np.ndarray, chosen: np.ndarray, count: int
) -> np.ndarray:
    """bool [count]: wholes that cover two or more parts, which make up most of them.

    Args:
        whole: int [P], the whole of each pair.
        of_part, of_whole: float [P], the shares of the part and of the whole that both have in common.
        chosen: bool [P], pairs that count.
    """
    covers = chosen & (of_part >= _COVERED)
    parts = np.bincount(whole[covers], minlength=count)
    filled = np.bincount(whole[covers], weights=of_whole[covers], minlength=count)
    return (parts >= 2) & (filled >= _CONSISTS)
