"""What to do about each kind of error, the costliest kind first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from maskrcnn.config import Config
from maskrcnn.evaluation.analysis import Analysis
from maskrcnn.evaluation.confusion import confused_pairs
from maskrcnn.evaluation.error_types import KINDS, SIZES
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.images.input_size import resize_scale
from maskrcnn.text import plural, quoted

# A kind is reported from so many AP50 points and such a share of the lost AP50.
_POINTS, _SHARE = 1.0, 0.05
_SURE = 0.8
_SEEN_SIDE = 16.0  # pixels of the network's input, below which the finest level shows little of an object

Advice = tuple[str, str, str]  # what is wrong, the evidence, and what to do


def error_steps(analysis: Analysis, config: Config) -> Iterator[Recommendation]:
    """Advice on each kind of error that costs much."""
    errors = analysis.errors
    lost = 100 - errors.ap50
    for kind in sorted(KINDS, key=lambda name: -errors.cost[name]):
        if errors.cost[kind] < max(_POINTS, _SHARE * lost):
            continue
        name, advise_on = _ADVICE[kind]
        what, evidence, action = advise_on(analysis, config, errors.kind == KINDS.index(kind))
        share = f"{name} cost {min(errors.cost[kind] / lost, 1):.0%} of the lost AP50"
        gain = f"Without them AP50 would be {errors.ap50 + errors.cost[kind]:.1f} instead of {errors.ap50:.1f}."
        yield Recommendation(f"error-{kind}", f"{share}: {what}.", f"{gain} {evidence}", action)


def _missed(analysis: Analysis, config: Config, _: np.ndarray) -> Advice:
    errors, images = analysis.errors, analysis.tables.images
    worst = max(SIZES, key=lambda name: errors.missed_cost[name])
    sized = errors.missed & (errors.size == SIZES.index(worst))
    truths = analysis.tables.truths[sized]
    # The side of a square of each object's area, in pixels of the network's input.
    sizes = zip(images["height"].tolist(), images["width"].tolist(), strict=True)
    scale = np.array([resize_scale(height, width, config.preprocess) for height, width in sizes])
    side = float(np.median(np.sqrt(truths["area"]) * scale[truths["image"]]))
    action = "Look at them under “Worst images”, and add training images with objects like these."
    if worst == "small" and side < 2 * _SEEN_SIDE:
        short = config.preprocess.short[-1]
        action = f"Train at a larger input size than {short} px; `maskrcnn dataset stats DATA` suggests one."
    missed = int(errors.missed.sum())
    return (
        f"nothing finds {plural(missed, 'object')}, {_share_of_them(sized.sum() / max(missed, 1))} {worst}",
        f"The missed {worst} ones are about {np.sqrt(np.median(truths['area'])):.0f} px wide in the image and "
        f"{side:.0f} px in the network's input.",
        action,
    )


def _location(analysis: Analysis, config: Config, wrong: np.ndarray) -> Advice:
    errors = analysis.errors
    shares = np.bincount(errors.size[errors.meant[wrong]], minlength=len(SIZES)) / max(int(wrong.sum()), 1)
    worst = int(shares.argmax())
    where = f"; {_share_of_them(float(shares[worst]))} on {SIZES[worst]} objects" if shares[worst] >= 0.6 else ""
    return (
        f"{_confident(analysis, wrong)} overlap their object by less than half",
        f"{_any_score(wrong)}{where}.",
        "Look under “Worst images”: if labels are loose or cover parts of objects, correct the labels; if not, train "
        "longer or at a larger input size.",
    )


def _class(analysis: Analysis, config: Config, wrong: np.ndarray) -> Advice:
    names, pairs = analysis.tables.names, confused_pairs(analysis.confusion, 3)
    if not pairs:
        what = f"{_confident(analysis, wrong)} have the wrong name"
        return what, f"{_any_score(wrong)}.", "Use the score threshold suggested below."
    truth, found, times = pairs[0]
    others = "".join(f"; '{names[a]}' is called '{names[b]}' {plural(n, 'time')}" for a, b, n in pairs[1:])
    return (
        f"most often '{names[truth]}' is called '{names[found]}'",
        f"Above the threshold this happens to {times} of {int(analysis.confusion[truth].sum())} labelled ones{others}.",
        f"Check the labels of {quoted([names[truth], names[found]])} against each other; add examples that tell them "
        "apart, or make them one class.",
    )


def _duplicate(analysis: Analysis, config: Config, wrong: np.ndarray) -> Advice:
    lower = max(config.nms_threshold - 0.1, 0.2)
    return (
        f"{_confident(analysis, wrong)} find an object once more",
        f"{_any_score(wrong)}. Detections may overlap up to an IoU of {config.nms_threshold:g} (nms_threshold).",
        f"Train with `--set 'model={{\"nms_threshold\": {lower:.1f}}}'`. If objects do overlap in these images, check "
        "instead whether some are labelled as one.",
    )


def _background(analysis: Analysis, config: Config, wrong: np.ndarray) -> Advice:
    detections = analysis.tables.detections
    sure = int((wrong & (detections["score"] >= _SURE)).sum())
    kept = int((wrong & (detections["score"] >= analysis.threshold)).sum())
    name = analysis.tables.names[int(np.bincount(detections["label"][wrong]).argmax())]
    return (
        f"{_confident(analysis, wrong)} lie where nothing is labelled",
        f"{_any_score(wrong)}; {sure} score above {_SURE}; most often '{name}'.",
        "Look at those with high scores under “Worst images”: are they objects that someone forgot to label?"
        if sure >= max(0.2 * kept, 3)
        else "Raise the score threshold, or add training images of such places without objects.",
    )


def _both(analysis: Analysis, config: Config, wrong: np.ndarray) -> Advice:
    return (
        f"{_confident(analysis, wrong)} overlap an object poorly and have another name",
        f"{_any_score(wrong)}.",
        "Raise the score threshold; more training images usually lower the scores of such detections.",
    )


def _confident(analysis: Analysis, chosen: np.ndarray) -> str:
    """How many of some detections score above the threshold, in words."""
    confident = chosen & (analysis.tables.detections["score"] >= analysis.threshold)
    return f"{plural(int(confident.sum()), 'detection')} above the threshold"


def _any_score(chosen: np.ndarray) -> str:
    return f"{plural(int(chosen.sum()), 'detection')} of any score do so"


def _share_of_them(share: float) -> str:
    return "all of them" if share >= 0.995 else f"{share:.0%} of them"


_ADVICE: dict[str, tuple[str, Callable[[Analysis, Config, np.ndarray], Advice]]] = {
    "class": ("Wrong names", _class),
    "location": ("Poor overlaps", _location),
    "both": ("Poor overlaps under a wrong name", _both),
    "duplicate": ("Objects found twice", _duplicate),
    "background": ("False alarms", _background),
    "missed": ("Missed objects", _missed),
}
