"""Masks that are worse than their boxes, and outlines that are worse than their masks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.facts import Facts
from maskrcnn.evaluation.recommendation import Recommendation

# A mask that fills so much of its box is a rectangle; from such a share of the masks of so many pixels it is no chance.
_FULL, _RECTANGLES, _NOT_TINY = 0.98, 0.3, 100
# Outlines of so few corners are coarse, on objects of so many pixels.
_CORNERS, _LARGE = 8, 32**2
_LOOKED_AT = 50  # images
_LEAST = 10


def mask_advice(facts: Facts) -> Iterator[Recommendation]:
    """Advice on masks, if objects have some."""
    metrics = facts.metrics
    box, mask, boundary = metrics["box_AP"], metrics["mask_AP"], metrics.get("boundary_AP", float("nan"))
    if box - mask >= max(8.0, 0.2 * box):
        yield _behind_boxes(facts, box, mask)
    if mask >= 5 and boundary < 0.6 * mask:
        yield Recommendation(
            "rough-outlines",
            "Masks fit in area but not along their outlines.",
            f"Boundary AP is {boundary:.1f}, mask AP {mask:.1f}; they are close where outlines are sharp.",
            "Check how exactly the labels follow the edges of the objects; if they do, train at a larger input size.",
            facts.subject.view(),
        )


def _behind_boxes(facts: Facts, box: float, mask: float) -> Recommendation:
    pairs = facts.tables.pairs[facts.tables.truths["masked"][facts.tables.pairs["truth"]]]
    fitting = pairs["mask"][pairs["box"] >= 0.5]
    overlap = f"; where boxes overlap by half, the median IoU of the masks is {np.median(fitting):.2f}" * bool(
        len(fitting)
    )
    evidence = f"Box AP is {box:.1f}, mask AP {mask:.1f}{overlap}."
    truths = facts.tables.truths
    truths = truths[truths["masked"] & ~truths["crowd"] & (truths["pixels"] >= _NOT_TINY)]
    full = int((truths["fill"] >= _FULL).sum())
    corners = _median_corners(facts)
    if full >= _RECTANGLES * len(truths):
        what = "Many labelled masks are plain rectangles: boxes, not outlines."
        evidence = f"{full:,} of {len(truths):,} masks fill their boxes. {evidence}"
        action = "Outline these objects, or leave their masks out, so that only their boxes are used."
    elif corners is not None and corners <= _CORNERS:
        what = "The labelled outlines are coarse, and masks are worse than their boxes."
        evidence = f"Half of the outlines have {corners:.0f} corners or fewer. {evidence}"
        action = "Outline the objects with more points along their edges."
    else:
        what = "Boxes are right more often than the masks in them."
        action = (
            "Look at the labels: are their masks shifted, coarse, or outlines instead of areas? If they are right, the "
            "masks have not been learned yet: train on. Thin and ragged objects lose most."
        )
    return Recommendation("masks-behind-boxes", what, evidence, action, facts.subject.view(), box - mask, "AP")


def _median_corners(facts: Facts) -> float | None:
    """The median number of corners of the labelled polygons of large objects; None where labels are no polygons."""
    if facts.dataset is None:
        return None
    corners: list[int] = []
    for index in islice(facts.tables.images["index"].tolist(), _LOOKED_AT):
        with suppress(MaskRCNNError):
            for annotation in facts.dataset.annotations(index)[0]:
                polygons = annotation.segmentation
                if isinstance(polygons, list) and not annotation.crowd and _extent(polygons) >= _LARGE:
                    corners.append(sum(len(polygon) // 2 for polygon in polygons))
    return float(np.median(corners)) if len(corners) >= _LEAST else None


def _extent(polygons: list[np.ndarray]) -> float:
    """The area of the box around polygons, in pixels."""
    points = np.concatenate(polygons).reshape(-1, 2)
    return float(np.ptp(points, axis=0).prod())
