"""What to do next, most worthwhile first; all of it follows from the figures of the evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from maskrcnn.evaluation.analysis import DEFAULT_SCORE
from maskrcnn.evaluation.coco_metrics import known_mean
from maskrcnn.evaluation.error_advice import error_steps, unlabelled_objects
from maskrcnn.evaluation.error_types import mean_ap50
from maskrcnn.evaluation.facts import Facts
from maskrcnn.evaluation.image_resampling import LEAST_IMAGES
from maskrcnn.evaluation.mask_advice import mask_advice
from maskrcnn.evaluation.matching import class_precisions
from maskrcnn.evaluation.recommendation import Recommendation, by_gain
from maskrcnn.evaluation.size_advice import misses_by_size
from maskrcnn.evaluation.touching_objects import touching_objects
from maskrcnn.prediction.prediction_options import PredictionOptions
from maskrcnn.setting_limits import RANGES
from maskrcnn.text import plural, quoted

_FEW_OBJECTS = 10
# Points of F1 and of AP50 from which a step is worth naming.
_WORTH = 1.5
# Half the width of the AP's interval from which more images are advised.
_WIDE = 5.0
# AP50 points that a class lies behind the others.
_BEHIND = 20.0
# General advice, and the causes that replace it if they explain half of its cost.
_CAUSES = {
    "error-missed": {"small-objects", "large-objects", "merged-objects", "split-objects", "max-detections"},
    "error-location": {"small-objects", "merged-objects", "split-objects", "masks-behind-boxes"},
    "error-background": {"unlabelled-objects", "merged-objects", "split-objects", "masks-behind-boxes"},
    "error-duplicate": {"split-objects"},
    "never-predicted": {"weak-classes"},
    "weak-classes": {"split-objects", "merged-objects"},
    "rough-outlines": {"error-location"},
}
_EXPLAINED = 0.5


def next_steps(facts: Facts, more: Iterable[Recommendation] = ()) -> list[Recommendation]:
    """All recommendations on a model that finds objects: those of the largest gain first, general remarks last.

    Args:
        more: recommendations from elsewhere to sort among them.
    """
    causes = [
        *more,
        *_saturation(facts),
        *misses_by_size(facts),
        *touching_objects(facts),
        *unlabelled_objects(facts),
        *error_steps(facts),
        *mask_advice(facts),
        *_threshold(facts),
        *_weak_classes(facts),
        *_never_predicted(facts),
    ]
    worthwhile = by_gain(one for one in causes if one.gain is None or one.gain >= _WORTH)
    steps = [one for one in worthwhile if not _is_explained(one, worthwhile)]
    # Gains smaller than the uncertainty of the figures cannot be told from chance.
    uncertain = list(_few_images(facts))
    half = facts.interval.half if facts.interval else 0.0
    place = sum(one.gain is not None and one.gain > half for one in steps)
    return [*steps[:place], *uncertain, *steps[place:], *_counting(facts), *_calibration(facts), *_rare_classes(facts)]


def _is_explained(one: Recommendation, others: list[Recommendation]) -> bool:
    causes = _CAUSES.get(one.topic, set())
    return any(other.topic in causes and (other.gain or 0.0) >= _EXPLAINED * (one.gain or 0.0) for other in others)


def _saturation(facts: Facts) -> Iterator[Recommendation]:
    """Images with as many detections as the limit allows, where that cuts off objects."""
    tables, matches, limit = facts.tables, facts.analysis.matches, facts.config.max_detections
    full = tables.images["found"] >= limit
    objects = facts.analysis.counting.truth
    confident = np.bincount(tables.detections["image"][facts.confident], minlength=len(full))
    cut_off = full & (np.maximum(objects, confident) > 0.9 * limit)
    if not cut_off.any():
        return
    excused = ~matches.found & ~matches.region & cut_off[tables.truths["image"]]
    double = min(2 * limit, int(RANGES["max_detections"].high))
    measurable = facts.runs_with(PredictionOptions(max_detections=double))
    if measurable:
        action = "Measure with a higher limit; if that is better, train with it: setting `model`, `max_detections`."
    else:
        action = f"The model returns no more: if it was exported, export it again with `max_detections` {double}."
    yield Recommendation(
        "max-detections",
        f"The limit of {plural(limit, 'detection')} cuts off objects in {plural(int(cut_off.sum()), 'image')}.",
        f"{'There are' if cut_off.sum() == 1 else 'There are up to'} {int(objects[cut_off].max()):,} labelled objects "
        f"in {'it' if cut_off.sum() == 1 else 'one'}; {plural(int(excused.sum()), 'object')} of these images "
        f"{'is' if excused.sum() == 1 else 'are'} not found.",
        action,
        facts.subject.evaluate(max_detections=double) if measurable else None,
        gain=mean_ap50(tables, matches, excused) - facts.analysis.errors.ap50,
        images=facts.images_with(np.flatnonzero(cut_off)),
    )


def _threshold(facts: Facts) -> Iterator[Recommendation]:
    analysis = facts.analysis
    if not analysis.matches.correct.any():
        return
    best, usual = analysis.overall.at(analysis.threshold), analysis.overall.at(DEFAULT_SCORE)
    own = [curve.best for curve in analysis.curves if curve.objects >= _FEW_OBJECTS and not np.isnan(curve.best)]
    spread = ""
    if own and max(own) - min(own) >= 0.2:
        between = f"between {min(own):.2f} and {max(own):.2f}"
        spread = f" The best for single classes lie {between}: see the table of classes."
    folder = (str(Path(facts.paths[0]).parent),) if facts.paths else ("IMAGES",)
    yield Recommendation(
        "threshold",
        f"A score threshold of {analysis.threshold:.2f} balances missed objects and false alarms better than "
        f"{DEFAULT_SCORE:g}, the default.",
        f"With it {best['recall']:.0%} of the objects are found and {best['precision']:.0%} of the detections are "
        f"right (F1 {best['f1']:.2f}); with {DEFAULT_SCORE:g} it is {usual['recall']:.0%} and {usual['precision']:.0%} "
        f"(F1 {usual['f1']:.2f}).{spread}",
        "Predict with that score.",
        facts.subject.predict(*folder, score=analysis.threshold, folder="found"),
        gain=100 * (best["f1"] - usual["f1"]),
        measure="F1",
    )


def _weak_classes(facts: Facts) -> Iterator[Recommendation]:
    """The class whose low AP costs most, if the others do far better."""
    ap50 = class_precisions(facts.tables, facts.analysis.matches)
    labelled = np.flatnonzero(~np.isnan(ap50))
    # A handful of objects says nothing about a class.
    enough = [label for label in labelled.tolist() if facts.analysis.curves[label].objects >= _FEW_OBJECTS]
    if len(labelled) < 2 or not enough:
        return
    worst = min(enough, key=lambda label: ap50[label])
    others = known_mean(ap50[labelled[labelled != worst]])
    if others - ap50[worst] < _BEHIND:
        return
    name, objects = facts.tables.names[worst], facts.analysis.curves[worst].objects
    counts = np.array([facts.analysis.curves[label].objects for label in labelled.tolist()])
    rare = objects < 0.5 * counts.mean()
    yield Recommendation(
        "weak-classes",
        f"'{name}' does far worse than the other classes.",
        f"Its AP50 is {ap50[worst]:.0f}, theirs {others:.0f} on average; {plural(objects, 'object')} of "
        f"{counts.sum():,} here {'is one' if objects == 1 else 'are such'}.",
        f"Add training images of '{name}', of which there are few, and check its labels."
        if rare
        else f"Check the labels of '{name}', and add training images in which it looks different.",
        facts.subject.view(classes=name),
        gain=(others - float(ap50[worst])) / len(labelled),
        images=facts.images_with(facts.tables.truths["image"][facts.tables.truths["label"] == worst]),
    )


def _never_predicted(facts: Facts) -> Iterator[Recommendation]:
    detected = np.bincount(facts.tables.detections["label"], minlength=len(facts.tables.names)) > 0
    classes = zip(facts.tables.names, facts.analysis.curves, detected, strict=True)
    missing = [(name, curve.objects) for name, curve, seen in classes if curve.objects and not seen]
    if missing and detected.any():
        names = [name for name, _ in missing]
        labelled = sum(curve.objects > 0 for curve in facts.analysis.curves)
        yield Recommendation(
            "never-predicted",
            f"{plural(len(names), 'class')} {'is' if len(names) == 1 else 'are'} never predicted: {quoted(names)}.",
            f"{plural(sum(count for _, count in missing), 'object')} of such classes are labelled here.",
            "Check that the training data has enough of them under the same name, and train on.",
            facts.subject.train(minutes=30),
            gain=max(100.0 - facts.analysis.errors.ap50, 0.0) * len(names) / labelled,
        )


def _few_images(facts: Facts) -> Iterator[Recommendation]:
    """How far the figures can be trusted."""
    interval, images = facts.interval, len(facts.tables.images)
    objects = int((~facts.analysis.matches.region).sum())
    if images < LEAST_IMAGES:
        yield Recommendation(
            "few-images",
            f"{plural(images, 'image')} {'is' if images == 1 else 'are'} too few to measure on: the AP says little.",
            f"{plural(objects, 'object')} in {plural(images, 'image')}; each image changes the AP by many points.",
            "Label more images to measure on, 20 to 100.",
        )
    if interval is None or interval.half < _WIDE:
        return
    yield Recommendation(
        "few-images",
        f"{plural(images, 'image')} {'is' if images == 1 else 'are'} too few to tell small differences: the AP is "
        f"{facts.ap:.0f} ± {interval.half:.0f}.",
        f"{plural(objects, 'object')}; in 95 % of draws of {images} of these images the AP lies between "
        f"{interval.low:.0f} and {interval.high:.0f}. Differences of less than {interval.half:.0f} points between two "
        "models mean nothing here.",
        f"Label more images to measure on; about {_images_for(facts)} would make it ± {_WIDE:.0f}.",
    )


def _images_for(facts: Facts) -> int:
    """Images with which the interval would be as wide as is tolerated: its width falls with their square root."""
    assert facts.interval is not None
    return int(np.ceil(len(facts.tables.images) * (facts.interval.half / _WIDE) ** 2))


def _counting(facts: Facts) -> Iterator[Recommendation]:
    counting, threshold = facts.analysis.counting, facts.analysis.threshold
    objects, counted = int(counting.truth.sum()), int(counting.counted.sum())
    if not objects or not counted or abs(counted - objects) < max(0.1 * objects, 3):
        return
    high = counted > objects
    yield Recommendation(
        "counting",
        f"Counts are {abs(counted / objects - 1):.0%} too {'high' if high else 'low'} in total.",
        f"At a score of {threshold:.2f}: {plural(counted, 'detection')} of {plural(objects, 'object')}; the "
        f"count of an image is off by {counting.error:.1f} on average.",
        f"If you need counts, try a slightly {'higher' if high else 'lower'} `score`, and check it on images that "
        "are not part of this evaluation.",
    )


def _calibration(facts: Facts) -> Iterator[Recommendation]:
    calibration = facts.analysis.calibration
    total = int(calibration.counts.sum())
    if total < 50 or not calibration.error >= 0.1:
        return
    worst = int(np.nanargmax(np.abs(calibration.accuracy - calibration.scores) * calibration.counts))
    yield Recommendation(
        "calibration",
        f"Scores {'promise too much' if calibration.bias > 0 else 'are too modest'}: they are not probabilities.",
        f"Detections that score about {calibration.scores[worst]:.2f} are right in {calibration.accuracy[worst]:.0%} "
        f"of cases; on average score and accuracy differ by {calibration.error:.2f} (over {total:,} detections).",
        "Use scores to rank detections and to cut at a threshold, not as the probability of being right.",
    )


def _rare_classes(facts: Facts) -> Iterator[Recommendation]:
    classes = zip(facts.tables.names, facts.analysis.curves, strict=True)
    rare = [name for name, curve in classes if 0 < curve.objects < _FEW_OBJECTS]
    if rare and len(facts.per_class) > 1:
        yield Recommendation(
            "rare-classes",
            f"{plural(len(rare), 'class')} {'has' if len(rare) == 1 else 'have'} fewer than {_FEW_OBJECTS} objects "
            f"here: {quoted(rare)}.",
            "With so few objects, a single one changes the AP by ten points and more.",
            "Judge these classes by eye, or label more of them for evaluation.",
        )
