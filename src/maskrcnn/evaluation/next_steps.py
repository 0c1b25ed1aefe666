"""What to do next, most worthwhile first; every line is counted from the evaluation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from maskrcnn.config import Config
from maskrcnn.evaluation.analysis import DEFAULT_SCORE, Analysis
from maskrcnn.evaluation.error_steps import error_findings
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.text import plural, quoted

_FEW_OBJECTS, _FEW_IMAGES = 10, 20


def next_steps(
    analysis: Analysis,
    metrics: Mapping[str, float],
    per_class: Mapping[str, Mapping[str, float]],
    config: Config,
) -> list[Recommendation]:
    """All findings.

    Args:
        metrics: of the whole data set, in percent.
        per_class: metrics of each class, by name.
        config: of the model that was measured.
    """
    return [
        *_saturation(analysis),
        *error_findings(analysis, config),
        *_threshold(analysis),
        *_never_found(analysis, per_class),
        *_masks(metrics),
        *_counting(analysis),
        *_calibration(analysis),
        *_little_data(analysis, per_class),
    ]


def _saturation(analysis: Analysis) -> list[Recommendation]:
    if not analysis.saturated:
        return []
    limit = int(analysis.tables.images["found"].max())
    return [
        Recommendation(
            "max-detections",
            f"The limit of {limit} detections is reached in {plural(analysis.saturated, 'image')}.",
            f"{analysis.saturated} of {len(analysis.tables.images)} images have as many; more may be cut off.",
            f"Evaluate with `--max-detections {2 * limit}`; if that is better, train with "
            f"`--set 'model={{\"max_detections\": {2 * limit}}}'`.",
        )
    ]


def _threshold(analysis: Analysis) -> list[Recommendation]:
    if not analysis.matches.correct.any():
        return []
    best, usual = analysis.overall.at(analysis.threshold), analysis.overall.at(DEFAULT_SCORE)
    own = [curve.best for curve in analysis.curves if curve.objects >= _FEW_OBJECTS and not np.isnan(curve.best)]
    spread = (
        f" Those of single classes lie between {min(own):.2f} and {max(own):.2f}: see the table of classes."
        if own and max(own) - min(own) >= 0.2
        else ""
    )
    return [
        Recommendation(
            "threshold",
            f"A score threshold of {analysis.threshold:.2f} gives the best balance of missed objects and false alarms.",
            f"From there on, {best['recall']:.0%} of the objects are found and {best['precision']:.0%} of the "
            f"detections are right: F1 {best['f1']:.3f}, against {usual['f1']:.3f} at the usual "
            f"{DEFAULT_SCORE:.2f}.{spread}",
            f"Predict with `--score {analysis.threshold:.2f}`.",
        )
    ]


def _never_found(analysis: Analysis, per_class: Mapping[str, Mapping[str, float]]) -> list[Recommendation]:
    detected = np.bincount(analysis.tables.detections["label"], minlength=len(analysis.tables.names)) > 0
    names = [
        n for n, curve, seen in zip(per_class, analysis.curves, detected, strict=True) if curve.objects and not seen
    ]
    if not names or not detected.any():
        return []
    labelled = sum(int(per_class[name]["objects"]) for name in names)
    return [
        Recommendation(
            "never-predicted",
            f"{plural(len(names), 'class')} {'is' if len(names) == 1 else 'are'} never predicted: {quoted(names)}.",
            f"Labelled here: {plural(labelled, 'object')} of such classes.",
            "Check that the training data has enough of them under the same name.",
        )
    ]


def _masks(metrics: Mapping[str, float]) -> list[Recommendation]:
    """Outlines that are worse than what they outline."""
    findings = []
    box, mask, boundary = metrics["box_AP"], metrics["mask_AP"], metrics.get("boundary_AP", float("nan"))
    if box - mask >= max(8.0, 0.2 * box):
        findings.append(
            Recommendation(
                "masks-behind-boxes",
                "Boxes are right more often than the masks in them.",
                f"Box AP is {box:.1f}, mask AP {mask:.1f}.",
                "Compare outlines under “Worst images”. Thin and ragged objects lose most; rough labels cost as much "
                "as a rough model.",
            )
        )
    if mask >= 5 and boundary < 0.6 * mask:
        findings.append(
            Recommendation(
                "rough-outlines",
                "Masks fit in area but not along their outlines.",
                f"Boundary AP is {boundary:.1f}, mask AP {mask:.1f}; they are close where outlines are sharp.",
                "Train at a larger input size, and check how exactly the labels follow the objects' edges.",
            )
        )
    return findings


def _counting(analysis: Analysis) -> list[Recommendation]:
    counting = analysis.counting
    objects, counted = int(counting.truth.sum()), int(counting.counted.sum())
    if not objects or not counted or abs(counted - objects) < max(0.05 * objects, 3):
        return []
    change = counted / objects - 1
    return [
        Recommendation(
            "counting",
            f"Counts are {abs(change):.0%} too {'high' if change > 0 else 'low'} on the whole.",
            f"At a score of {analysis.threshold:.2f}: {plural(counted, 'detection')} of "
            f"{plural(objects, 'object')}; the count of an image is off by {counting.error:.1f} on average.",
            f"If counts are what you need, try a slightly {'higher' if change > 0 else 'lower'} `--score`, and check "
            "it on images that this evaluation has not seen.",
        )
    ]


def _calibration(analysis: Analysis) -> list[Recommendation]:
    calibration = analysis.calibration
    total = int(calibration.counts.sum())
    if total < 50 or not calibration.error >= 0.1:
        return []
    place = int(np.nanargmax(np.abs(calibration.accuracy - calibration.scores) * calibration.counts))
    sure = "promise too much" if calibration.bias > 0 else "are too modest"
    return [
        Recommendation(
            "calibration",
            f"Scores {sure}: they are not probabilities.",
            f"Detections that score about {calibration.scores[place]:.2f} are right in "
            f"{calibration.accuracy[place]:.0%} of cases; on average score and truth differ by {calibration.error:.2f} "
            f"(over {total:,} detections).",
            "Use scores to rank and to cut at the threshold above; do not read one as the chance of being right.",
        )
    ]


def _little_data(analysis: Analysis, per_class: Mapping[str, Mapping[str, float]]) -> list[Recommendation]:
    """How far the numbers can be trusted."""
    images, objects = len(analysis.tables.images), int((~analysis.matches.region).sum())
    rare = [name for name, curve in zip(per_class, analysis.curves, strict=True) if 0 < curve.objects < _FEW_OBJECTS]
    findings = []
    if images < _FEW_IMAGES:
        findings.append(
            Recommendation(
                "few-images",
                f"Only {plural(images, 'image')} {'was' if images == 1 else 'were'} measured: differences of several "
                "points may be chance.",
                f"{plural(objects, 'object')} in {plural(images, 'image')}.",
                f"Label more images for evaluation; {_FEW_IMAGES} to 100 make the figures steadier.",
            )
        )
    if rare and len(per_class) > 1:
        findings.append(
            Recommendation(
                "rare-classes",
                f"{plural(len(rare), 'class')} {'has' if len(rare) == 1 else 'have'} fewer than {_FEW_OBJECTS} objects "
                f"here: {quoted(rare)}.",
                "An AP of so few objects jumps by ten points and more from one of them.",
                "Judge these classes by eye, or label more of them for evaluation.",
            )
        )
    return findings
