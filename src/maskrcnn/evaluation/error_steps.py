"""What the mistakes of each kind suggest to do, the dearest kind first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from maskrcnn.config import Config
from maskrcnn.evaluation.analysis import Analysis
from maskrcnn.evaluation.confusion import confused_pairs
from maskrcnn.evaluation.error_types import KINDS, SIZES
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.images.input_size import resize_scale
from maskrcnn.text import plural, quoted

# A kind is worth a line from so many AP50 points and such a share of what is lost.
_POINTS, _SHARE = 1.0, 0.05
_SURE = 0.8
_SEEN_SIDE = 16.0  # pixels of the network's input, below which little is left of an object on the finest level

Told = tuple[str, str, str]


def error_findings(analysis: Analysis, config: Config) -> list[Recommendation]:
    """A finding for each kind of mistake that costs much."""
    errors = analysis.errors
    lost = 100 - errors.ap50
    findings = []
    for kind in sorted(KINDS, key=lambda name: -errors.cost[name]):
        if errors.cost[kind] < max(_POINTS, _SHARE * lost):
            continue
        name, tell = _TELLERS[kind]
        what, evidence, action = tell(analysis, config)
        share = f"{name} cost {min(errors.cost[kind] / lost, 1):.0%} of the lost AP50"
        price = f"Without them AP50 would be {errors.ap50 + errors.cost[kind]:.1f} instead of {errors.ap50:.1f}."
        findings.append(Recommendation(f"error-{kind}", f"{share}: {what}.", f"{price} {evidence}", action))
    return findings


def _missed(analysis: Analysis, config: Config) -> Told:
    errors, truths = analysis.errors, analysis.tables.truths
    worst = max(SIZES, key=lambda name: errors.missed_cost[name])
    sized = errors.missed & (errors.size == SIZES.index(worst))
    share = sized.sum() / max(errors.missed.sum(), 1)
    side = float(np.median(_input_sides(analysis, config)[sized]))
    what = f"nothing finds {plural(int(errors.missed.sum()), 'object')}, {_most(share)} {worst}"
    evidence = (
        f"The missed {worst} ones are about {np.sqrt(np.median(truths['area'][sized])):.0f} px wide in the image and "
        f"{side:.0f} px in the network's input."
    )
    if worst == "small" and side < 2 * _SEEN_SIDE:
        short = config.preprocess.short[-1]
        action = f"Train at a larger input size than {short} px; `maskrcnn dataset stats DATA` suggests one."
    else:
        action = "Look at them under “Worst images”, and add training images with objects like these."
    return what, evidence, action


def _input_sides(analysis: Analysis, config: Config) -> np.ndarray:
    """float64 [T]: the side of a square of each object's area, in pixels of the network's input."""
    images, truths = analysis.tables.images, analysis.tables.truths
    sizes = zip(images["height"].tolist(), images["width"].tolist(), strict=True)
    scale = np.array([resize_scale(height, width, config.preprocess) for height, width in sizes])
    sides: np.ndarray = np.sqrt(truths["area"]) * scale[truths["image"]]
    return sides


def _location(analysis: Analysis, config: Config) -> Told:
    errors = analysis.errors
    wrong = errors.kind == KINDS.index("location")
    shares = np.bincount(errors.size[errors.meant[wrong]], minlength=len(SIZES)) / max(int(wrong.sum()), 1)
    worst = int(shares.argmax())
    return (
        f"{_kept(analysis, wrong)} overlap their object by less than half",
        f"{_all(wrong)}"
        + (f"; {_most(float(shares[worst]))} on {SIZES[worst]} objects." if shares[worst] >= 0.6 else "."),
        "Look under “Worst images”: if labels are loose or cover parts of objects, mend the labels; if not, train "
        "longer or at a larger input size.",
    )


def _class(analysis: Analysis, config: Config) -> Told:
    wrong = analysis.errors.kind == KINDS.index("class")
    names = analysis.tables.names
    pairs = confused_pairs(analysis.confusion, 3)
    if not pairs:
        return f"{_kept(analysis, wrong)} have the wrong name", _all(wrong) + ".", "Keep to the threshold above."
    truth, found, times = pairs[0]
    others = "".join(f"; '{names[a]}' is called '{names[b]}' {plural(n, 'time')}" for a, b, n in pairs[1:])
    return (
        f"most often '{names[truth]}' is called '{names[found]}'",
        f"From the threshold on, that are {times} of {int(analysis.confusion[truth].sum())} labelled ones{others}.",
        f"Check the labels of {quoted([names[truth], names[found]])} against each other; add examples that tell them "
        "apart, or make them one class.",
    )


def _duplicate(analysis: Analysis, config: Config) -> Told:
    wrong = analysis.errors.kind == KINDS.index("duplicate")
    lower = max(config.nms_threshold - 0.1, 0.2)
    return (
        f"{_kept(analysis, wrong)} find an object once more",
        f"{_all(wrong)}. Overlapping detections are kept up to an IoU of {config.nms_threshold:g} (nms_threshold).",
        f"Train with `--set 'model={{\"nms_threshold\": {lower:.1f}}}'`. If objects do lie on each other in these "
        "images, check instead whether some are labelled as one.",
    )


def _background(analysis: Analysis, config: Config) -> Told:
    wrong = analysis.errors.kind == KINDS.index("background")
    scores, labels = analysis.tables.detections["score"], analysis.tables.detections["label"]
    sure, kept = int((wrong & (scores >= _SURE)).sum()), int((wrong & (scores >= analysis.threshold)).sum())
    name = analysis.tables.names[int(np.bincount(labels[wrong]).argmax())]
    forgotten = sure >= max(0.2 * kept, 3)
    return (
        f"{_kept(analysis, wrong)} lie where nothing is labelled",
        f"{_all(wrong)}; {sure} score above {_SURE}; most often '{name}'.",
        "Look at the sure ones under “Worst images”: objects that someone forgot to label?"
        if forgotten
        else "Raise the score threshold, or add training images of such places without objects.",
    )


def _both(analysis: Analysis, config: Config) -> Told:
    wrong = analysis.errors.kind == KINDS.index("both")
    return (
        f"{_kept(analysis, wrong)} overlap an object poorly and have another name",
        _all(wrong) + ".",
        "Raise the score threshold; more training images usually lower the scores of such detections.",
    )


def _kept(analysis: Analysis, chosen: np.ndarray) -> str:
    """How many of some detections score above the threshold, in words."""
    kept = chosen & (analysis.tables.detections["score"] >= analysis.threshold)
    return f"{plural(int(kept.sum()), 'detection')} above the threshold"


def _all(chosen: np.ndarray) -> str:
    return f"{plural(int(chosen.sum()), 'detection')} of any score do so"


def _most(share: float) -> str:
    return "all of them" if share >= 0.995 else f"{share:.0%} of them"


_TELLERS: dict[str, tuple[str, Callable[[Analysis, Config], Told]]] = {
    "class": ("Wrong names", _class),
    "location": ("Poor overlaps", _location),
    "both": ("Poor overlaps under a wrong name", _both),
    "duplicate": ("Objects found twice", _duplicate),
    "background": ("False alarms", _background),
    "missed": ("Missed objects", _missed),
}
