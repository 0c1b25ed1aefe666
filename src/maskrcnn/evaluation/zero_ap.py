"""Why an AP is near zero or unknown, where the labels fit: nothing to find, nothing found, masks that do not fit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.evaluation.subject import Subject
from maskrcnn.evaluation.tables import Tables
from maskrcnn.text import plural


def nothing_to_measure(tables: Tables, score_threshold: float, subject: Subject) -> Iterator[Recommendation]:
    """Advice on data without objects, on objects without masks, and on a model that finds nothing.

    Args:
        score_threshold: below it the model gives no detections.
    """
    images, objects = plural(len(tables.images), "image"), tables.truths[~tables.truths["crowd"]]
    part = f"the {subject.split} split" if subject.split else "this data"
    if not len(objects):
        regions = f", but {plural(len(tables.truths), 'crowd region')}" if len(tables.truths) else ""
        yield Recommendation(
            "no-truth",
            f"No object is labelled in {part}, so there is no AP.",
            f"{images}, no single object{regions}; the model finds {plural(len(tables.detections), 'object')}.",
            "Check that this is the right folder, and that its labels belong to these images.",
            subject.doctor(),
            decisive=True,
        )
        return
    if not objects["masked"].any():
        yield Recommendation(
            "no-masks",
            "No labelled object has a mask, so mask AP is unknown; boxes are measured instead.",
            f"{plural(len(objects), 'object')} with boxes only.",
            "Add masks to these labels to measure masks; what follows is about boxes.",
            subject.view(),
        )
    if not len(tables.detections):
        yield Recommendation(
            "no-detections",
            "The model finds nothing in any image.",
            f"{images}, no detection with a score of at least {score_threshold:g}.",
            "Train longer or at a lower learning rate (did the loss fall?), and check that these images look like "
            "those it was trained on: colours, brightness, size of the objects.",
            subject.train(minutes=60),
            decisive=True,
        )


def explain_zero_ap(tables: Tables, subject: Subject) -> Iterator[Recommendation]:
    """What the masks and the scores say about an AP near zero."""
    yield from _masks_apart(tables, subject)
    yield _scores(tables, subject)


def _masks_apart(tables: Tables, subject: Subject) -> Iterator[Recommendation]:
    """Boxes that fit where masks do not."""
    masked = tables.pairs[tables.truths["masked"][tables.pairs["truth"]]]
    boxes_fit, both_fit = masked["box"] >= 0.5, (masked["box"] >= 0.5) & (masked["mask"] >= 0.5)
    if boxes_fit.sum() < 10 or both_fit.sum() > 0.2 * boxes_fit.sum():
        return
    yield Recommendation(
        "masks-apart",
        "Boxes fit where masks do not.",
        f"Of {boxes_fit.sum()} pairs whose boxes overlap by half, {both_fit.sum()} also do so by mask; the median mask "
        f"IoU is {float(np.median(masked['mask'][boxes_fit])):.2f}.",
        "Look at the labels' masks: are they shifted, inverted, or outlines instead of areas? If they are right, the "
        "mask head has not learned yet: train longer.",
        subject.view(),
    )


def _scores(tables: Tables, subject: Subject) -> Recommendation:
    scores = tables.detections["score"]
    low, median, high = np.percentile(scores, (0, 50, 100))
    evidence = f"{plural(len(scores), 'detection')}; scores {low:.2f} to {high:.2f}, median {median:.2f}."
    if high < 0.7:
        action, call = (
            "It has not learned these objects: train on, on images like these.",
            subject.train(minutes=60),
        )
        return Recommendation("scores", "The model is sure of none of its detections.", evidence, action, call)
    what = "The model is sure of what it finds, and the labels disagree."
    action = "Compare both (“Worst images” in the report of `evaluate`): what does each call an object?"
    return Recommendation("scores", what, evidence, action, subject.view())
