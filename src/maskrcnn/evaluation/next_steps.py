"""What to do next, most worthwhile first; all of it follows from the figures of the evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from maskrcnn.config import Config
from maskrcnn.evaluation.analysis import DEFAULT_SCORE, Analysis
from maskrcnn.evaluation.error_advice import error_steps
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.text import plural, quoted

_FEW_OBJECTS, _FEW_IMAGES = 10, 20

PerClass = Mapping[str, Mapping[str, float]]


def next_steps(
    analysis: Analysis, metrics: Mapping[str, float], per_class: PerClass, config: Config
) -> list[Recommendation]:
    """All recommendations.

    Args:
        metrics: of the whole data set, in percent.
        per_class: metrics of each class, by name.
        config: of the model that was measured.
    """
    return [
        *_saturation(analysis),
        *error_steps(analysis, config),
        *_threshold(analysis),
        *_never_predicted(analysis, per_class),
        *_masks(metrics),
        *_counting(analysis),
        *_calibration(analysis),
        *_little_data(analysis, per_class),
    ]


def _saturation(analysis: Analysis) -> Iterator[Recommendation]:
    if not analysis.saturated:
        return
    limit = int(analysis.tables.images["found"].max())
    yield Recommendation(
        "max-detections",
        f"The limit of {limit} detections is reached in {plural(analysis.saturated, 'image')}.",
        f"{analysis.saturated} of {len(analysis.tables.images)} images have that many; more may be cut off.",
        f"Evaluate with `--max-detections {2 * limit}`; if that is better, train with "
        f"`--set 'model={{\"max_detections\": {2 * limit}}}'`.",
    )


def _threshold(analysis: Analysis) -> Iterator[Recommendation]:
    if not analysis.matches.correct.any():
        return
    best, usual = analysis.overall.at(analysis.threshold), analysis.overall.at(DEFAULT_SCORE)
    own = [curve.best for curve in analysis.curves if curve.objects >= _FEW_OBJECTS and not np.isnan(curve.best)]
    spread = ""
    if own and max(own) - min(own) >= 0.2:
        between = f"between {min(own):.2f} and {max(own):.2f}"
        spread = f" The best for single classes lie {between}: see the table of classes."
    yield Recommendation(
        "threshold",
        f"A score threshold of {analysis.threshold:.2f} gives the best balance of missed objects and false alarms.",
        f"With it, {best['recall']:.0%} of the objects are found and {best['precision']:.0%} of the detections are "
        f"right: F1 {best['f1']:.3f}, against {usual['f1']:.3f} at the usual {DEFAULT_SCORE:.2f}.{spread}",
        f"Predict with `--score {analysis.threshold:.2f}`.",
    )


def _never_predicted(analysis: Analysis, per_class: PerClass) -> Iterator[Recommendation]:
    detected = np.bincount(analysis.tables.detections["label"], minlength=len(analysis.tables.names)) > 0
    classes = zip(per_class, analysis.curves, detected, strict=True)
    names = [name for name, curve, seen in classes if curve.objects and not seen]
    if names and detected.any():
        labelled = sum(int(per_class[name]["objects"]) for name in names)
        yield Recommendation(
            "never-predicted",
            f"{plural(len(names), 'class')} {'is' if len(names) == 1 else 'are'} never predicted: {quoted(names)}.",
            f"{plural(labelled, 'object')} of such classes are labelled here.",
            "Check that the training data has enough of them under the same name.",
        )


def _masks(metrics: Mapping[str, float]) -> Iterator[Recommendation]:
    """Masks that are worse than their boxes, outlines that are worse than their masks."""
    box, mask, boundary = metrics["box_AP"], metrics["mask_AP"], metrics.get("boundary_AP", float("nan"))
    if box - mask >= max(8.0, 0.2 * box):
        yield Recommendation(
            "masks-behind-boxes",
            "Boxes are right more often than the masks in them.",
            f"Box AP is {box:.1f}, mask AP {mask:.1f}.",
            "Compare outlines under “Worst images”. Thin and ragged objects lose most; rough labels cost as much as a "
            "rough model.",
        )
    if mask >= 5 and boundary < 0.6 * mask:
        yield Recommendation(
            "rough-outlines",
            "Masks fit in area but not along their outlines.",
            f"Boundary AP is {boundary:.1f}, mask AP {mask:.1f}; they are close where outlines are sharp.",
            "Train at a larger input size, and check how exactly the labels follow the objects' edges.",
        )


def _counting(analysis: Analysis) -> Iterator[Recommendation]:
    counting = analysis.counting
    objects, counted = int(counting.truth.sum()), int(counting.counted.sum())
    if not objects or not counted or abs(counted - objects) < max(0.05 * objects, 3):
        return
    high = counted > objects
    yield Recommendation(
        "counting",
        f"Counts are {abs(counted / objects - 1):.0%} too {'high' if high else 'low'} in total.",
        f"At a score of {analysis.threshold:.2f}: {plural(counted, 'detection')} of {plural(objects, 'object')}; the "
        f"count of an image is off by {counting.error:.1f} on average.",
        f"If you need counts, try a slightly {'higher' if high else 'lower'} `--score`, and check it on images that "
        "are not part of this evaluation.",
    )


def _calibration(analysis: Analysis) -> Iterator[Recommendation]:
    calibration = analysis.calibration
    total = int(calibration.counts.sum())
    if total < 50 or not calibration.error >= 0.1:
        return
    worst = int(np.nanargmax(np.abs(calibration.accuracy - calibration.scores) * calibration.counts))
    yield Recommendation(
        "calibration",
        f"Scores {'promise too much' if calibration.bias > 0 else 'are too modest'}: they are not probabilities.",
        f"Detections that score about {calibration.scores[worst]:.2f} are right in {calibration.accuracy[worst]:.0%} "
        f"of cases; on average score and accuracy differ by {calibration.error:.2f} (over {total:,} detections).",
        "Use scores to rank detections and to cut at the threshold above, not as the probability of being right.",
    )


def _little_data(analysis: Analysis, per_class: PerClass) -> Iterator[Recommendation]:
    """How far the figures can be trusted."""
    images, objects = len(analysis.tables.images), int((~analysis.matches.region).sum())
    if images < _FEW_IMAGES:
        yield Recommendation(
            "few-images",
            f"Only {plural(images, 'image')} {'was' if images == 1 else 'were'} measured: differences of several "
            "points may be chance.",
            f"{plural(objects, 'object')} in {plural(images, 'image')}.",
            f"Label more images for evaluation; {_FEW_IMAGES} to 100 make the figures steadier.",
        )
    rare = [name for name, curve in zip(per_class, analysis.curves, strict=True) if 0 < curve.objects < _FEW_OBJECTS]
    if rare and len(per_class) > 1:
        yield Recommendation(
            "rare-classes",
            f"{plural(len(rare), 'class')} {'has' if len(rare) == 1 else 'have'} fewer than {_FEW_OBJECTS} objects "
            f"here: {quoted(rare)}.",
            "With so few objects, a single one changes the AP by ten points and more.",
            "Judge these classes by eye, or label more of them for evaluation.",
        )
