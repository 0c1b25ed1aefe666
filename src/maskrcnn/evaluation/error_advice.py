"""What to do about each kind of error that costs much."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from maskrcnn.evaluation.confusion import confused_pairs
from maskrcnn.evaluation.error_types import KINDS, SIZES, mean_ap50
from maskrcnn.evaluation.facts import Facts
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.evaluation.verb_call import VerbCall
from maskrcnn.text import plural, quoted

# A kind is reported from so many AP50 points and such a share of the lost AP50.
_POINTS, _SHARE = 1.0, 0.05
# False alarms as sure as right detections: so many of them, and such a share of the objects, may be unlabelled objects.
_LEAST, _UNLABELLED = 5, 0.03
# Labels of this many times the area of the detections that find them, or the inverse, are loose or tight.
_LOOSE = 1.2
_POOR = "Detections overlap their object by less than half."

Advice = tuple[str, str, str, VerbCall | None]  # what is wrong, the evidence, what to do, and the verb for it


def error_steps(facts: Facts) -> Iterator[Recommendation]:
    """Advice on each kind of error that costs much."""
    errors = facts.analysis.errors
    for kind in KINDS:
        gain = errors.cost[kind]
        if not gain >= max(_POINTS, _SHARE * (100 - errors.ap50)):
            continue
        wrong = errors.kind == KINDS.index(kind)
        rows = (
            facts.tables.truths["image"][errors.missed] if kind == "missed" else facts.tables.detections["image"][wrong]
        )
        yield Recommendation(f"error-{kind}", *_ADVICE[kind](facts, wrong), gain=gain, images=facts.images_with(rows))


def unlabelled_objects(facts: Facts) -> Iterator[Recommendation]:
    """Advice on false alarms that score as high as right detections do: often objects without a label."""
    errors, detections, correct = facts.analysis.errors, facts.tables.detections, facts.analysis.matches.correct
    objects = int((~facts.analysis.matches.region).sum())
    if not correct.any():
        return
    sure = float(np.median(detections["score"][correct]))
    alarms = (errors.kind == KINDS.index("background")) & (detections["score"] >= sure)
    if alarms.sum() < max(_LEAST, _UNLABELLED * objects):
        return
    images = facts.images_with(detections["image"][alarms])
    count = len(np.unique(detections["image"][alarms]))
    yield Recommendation(
        "unlabelled-objects",
        f"{plural(int(alarms.sum()), 'detection')} where nothing is labelled "
        f"{'scores' if alarms.sum() == 1 else 'score'} as high as right ones: some may be objects without a label.",
        f"They score {sure:.2f} or more, as half of the right detections do, and lie in {plural(count, 'image')}; "
        f"{objects:,} objects are labelled.",
        "Look at these images. Label what was forgotten, and evaluate again; if they are no objects, add such images "
        "to the training data.",
        facts.subject.predict(*images, score=sure, folder="unlabelled") if images else None,
        gain=max(mean_ap50(facts.tables, facts.analysis.matches, dropped=alarms) - errors.ap50, 0.0),
        images=images,
    )


def _missed(facts: Facts, _: np.ndarray) -> Advice:
    errors = facts.analysis.errors
    worst = max(SIZES, key=lambda name: errors.missed_cost[name])
    sized = errors.missed & (errors.size == SIZES.index(worst))
    truths = facts.tables.truths[sized]
    side, inside = np.median(np.sqrt(truths["area"])), np.median(facts.sides[sized])
    missed, objects = int(errors.missed.sum()), int((~facts.analysis.matches.region).sum())
    return (
        f"Nothing finds {missed:,} of {plural(objects, 'object')}.",
        f"{_share_of_them(sized.sum() / max(missed, 1))} {worst}, about {side:.0f} px wide in the image and "
        f"{inside:.0f} px in the network's input.",
        "Look at them (“Worst images” in the report of `evaluate`); add training images with objects like these, and "
        "train on.",
        facts.subject.train(minutes=30),
    )


def _location(facts: Facts, wrong: np.ndarray) -> Advice:
    tables, meant = facts.tables, facts.analysis.errors.meant
    matches = facts.analysis.matches
    # Only of those that fit: a poor overlap is often a part of the object.
    right = matches.correct
    ratio = tables.truths["pixels"][matches.truth[right]] / np.maximum(tables.detections["pixels"][right], 1)
    median = float(np.median(ratio)) if right.any() else 1.0
    evidence = f"{_confident(facts, wrong)}, {_any_score(wrong)}; "
    if median >= _LOOSE or median <= 1 / _LOOSE:
        larger, smaller = ("labels", "detections") if median > 1 else ("detections", "labels")
        evidence += (
            f"the {larger} have {max(median, 1 / median):.1f} times the area of the {smaller} that fit them (median)."
        )
        action = (
            f"Look at the labels: are they {'larger' if median > 1 else 'smaller'} than the objects? If so, correct "
            "them; if not, train on."
        )
        return _POOR, evidence, action, facts.subject.view()
    inside = float(np.median(facts.sides[meant[wrong]]))
    evidence += f"their objects are about {inside:.0f} px wide in the network's input."
    action = "Train on, longer or with more images; if labels are loose or cover parts of objects, correct them first."
    return (
        "Detections overlap their object by less than half.",
        evidence,
        action,
        facts.subject.train(minutes=30),
    )


def _class(facts: Facts, wrong: np.ndarray) -> Advice:
    confusion, names = facts.analysis.confusion, facts.tables.names
    pairs = confused_pairs(confusion, 3)
    if not pairs:
        return (
            "Objects are found under a wrong name, with low scores.",
            f"{_confident(facts, wrong)}, {_any_score(wrong)}.",
            "Use the score threshold with the best F1, or train on.",
            facts.subject.train(minutes=30),
        )
    truth, found, times = pairs[0]
    others = "".join(f"; '{names[a]}' is taken for '{names[b]}' {plural(n, 'time')}" for a, b, n in pairs[1:])
    return (
        f"'{names[truth]}' is taken for '{names[found]}'.",
        f"This happens to {times} of {plural(int(confusion[truth].sum()), 'object')} labelled so{others}.",
        f"Check the labels of {quoted([names[truth], names[found]])} against each other. If they are right, add "
        "examples that tell the two apart, or make them one class.",
        facts.subject.view(),
    )


def _duplicate(facts: Facts, wrong: np.ndarray) -> Advice:
    limit = facts.config.nms_threshold
    lower = max(limit - 0.15, 0.2)
    return (
        "Objects are found twice.",
        f"{_confident(facts, wrong)}, {_any_score(wrong)}. Boxes of one class may overlap up to an IoU of {limit:g} "
        "(nms_threshold).",
        "Train on with a lower limit. If objects do overlap in these images, check instead whether some are labelled "
        "as one.",
        facts.subject.train(model={"nms_threshold": round(lower, 2)}, minutes=30),
    )


def _background(facts: Facts, wrong: np.ndarray) -> Advice:
    name = facts.tables.names[int(np.bincount(facts.tables.detections["label"][wrong]).argmax())]
    most = f"; most are called '{name}'" if len(facts.tables.names) > 1 else ""
    return (
        "Detections lie where nothing is labelled.",
        f"{_confident(facts, wrong)}, {_any_score(wrong)}{most}.",
        "Add training images of such places, without objects, and train on.",
        facts.subject.train(minutes=30),
    )


def _both(facts: Facts, wrong: np.ndarray) -> Advice:
    return (
        "Detections overlap an object poorly and have another name.",
        f"{_confident(facts, wrong)}, {_any_score(wrong)}.",
        "More training images of these classes usually lower the scores of such detections; train on.",
        facts.subject.train(minutes=30),
    )


def _confident(facts: Facts, chosen: np.ndarray) -> str:
    """How many of some detections score above the threshold, in words."""
    return (
        f"{plural(int((chosen & facts.confident).sum()), 'detection')} with a score from {facts.analysis.threshold:.2f}"
    )


def _any_score(chosen: np.ndarray) -> str:
    return f"{int(chosen.sum()):,} of any score"


def _share_of_them(share: float) -> str:
    return "All are" if share >= 0.995 else f"{share:.0%} are"


_ADVICE: dict[str, Callable[[Facts, np.ndarray], Advice]] = {
    "class": _class,
    "location": _location,
    "both": _both,
    "duplicate": _duplicate,
    "background": _background,
    "missed": _missed,
}
