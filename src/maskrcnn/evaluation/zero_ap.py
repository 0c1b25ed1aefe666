"""Why an AP is zero or unknown: what people most often got wrong between their labels, their data and their model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from hotcoco import mask as coco_mask

from maskrcnn.evaluation.evaluated_image import EvaluatedImage, to_xywh
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.evaluation.tables import Tables
from maskrcnn.text import plural, quoted

_IMAGES, _BOXES = 64, 100
_FITS, _GAIN = 0.5, 0.3

Size = tuple[int, int]
Reading = Callable[[np.ndarray, Size], np.ndarray]


def _xyxy_as_xywh(boxes: np.ndarray, size: Size) -> np.ndarray:
    return np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)


def _xywh_as_xyxy(boxes: np.ndarray, size: Size) -> np.ndarray:
    return np.concatenate((boxes[:, :2], boxes[:, 2:] + boxes[:, :2]), axis=1)


def _mirrored(boxes: np.ndarray, size: Size) -> np.ndarray:
    x1, y1, x2, y2 = boxes.T
    return np.stack((size[1] - x2, y1, size[1] - x1, y2), axis=1)


def _upside_down(boxes: np.ndarray, size: Size) -> np.ndarray:
    x1, y1, x2, y2 = boxes.T
    return np.stack((x1, size[0] - y2, x2, size[0] - y1), axis=1)


READINGS: dict[str, tuple[str, Reading]] = {
    "xyxy-as-xywh": ("were written as x1, y1, x2, y2 where x, y, width, height is expected", _xyxy_as_xywh),
    "xywh-as-xyxy": ("were written as x, y, width, height where x1, y1, x2, y2 is expected", _xywh_as_xyxy),
    "x-y-swapped": ("have x and y swapped", lambda boxes, size: boxes[:, [1, 0, 3, 2]]),
    "mirrored": ("are mirrored left to right", _mirrored),
    "upside-down": ("are upside down", _upside_down),
    "turned": ("are turned by 180 degrees", lambda boxes, size: _upside_down(_mirrored(boxes, size), size)),
    "halved": ("belong to images of half the size", lambda boxes, size: boxes * 2),
    "doubled": ("belong to images of twice the size", lambda boxes, size: boxes / 2),
    "quartered": ("belong to images of a quarter of the size", lambda boxes, size: boxes * 4),
    "quadrupled": ("belong to images of four times the size", lambda boxes, size: boxes / 4),
}


class BoxProbe:
    """Keeps the boxes of the first images, to try out other readings of the labels."""

    def __init__(self) -> None:
        self._images: list[tuple[np.ndarray, np.ndarray, Size]] = []

    def update(self, sample: EvaluatedImage) -> None:
        """Look at one image; only the first with both labels and detections are kept."""
        truth = np.asarray(sample.truth.boxes[~sample.truth.crowd][:_BOXES], dtype=np.float64)
        if len(self._images) < _IMAGES and len(truth) and len(sample.boxes):
            best = np.argsort(-sample.scores, kind="stable")[: 2 * len(truth)]
            self._images.append((truth, np.asarray(sample.boxes[best], dtype=np.float64), sample.size))

    def fit(self, reading: Reading | None = None) -> float:
        """Mean over the labelled boxes of the largest IoU with a good detection, any class; NaN without boxes."""
        overlaps = []
        for truth, found, size in self._images:
            read = truth.copy() if reading is None else reading(truth, size)
            # What a reading turns inside out is empty and overlaps nothing.
            read[:, 2:] = np.maximum(read[:, 2:], read[:, :2])
            overlaps.append(coco_mask.bbox_iou(to_xywh(found), to_xywh(read), [False] * len(read)).max(axis=0))
        return float(np.concatenate(overlaps).mean()) if overlaps else float("nan")

    def findings(self) -> list[Recommendation]:
        """The reading of the labels that fits the detections far better than the one used, if there is one."""
        as_is = self.fit()
        fits = {name: self.fit(reading) for name, (_, reading) in READINGS.items()}
        name = max(fits, key=lambda key: fits[key] if fits[key] == fits[key] else -1.0)
        if not fits[name] >= max(_FITS, as_is + _GAIN):
            return []
        evidence = f"Read like that, boxes overlap detections by {fits[name]:.0%}; as they are, by {as_is:.0%}."
        action = "Correct the labels (`maskrcnn doctor DATA` finds them) and evaluate again."
        return [
            Recommendation(f"boxes-{name}", f"The labels' boxes look as if they {READINGS[name][0]}.", evidence, action)
        ]


def diagnose(
    tables: Tables, probe: BoxProbe, model_names: Sequence[str], score_threshold: float
) -> list[Recommendation]:
    """What explains an AP near zero, or none at all.

    Args:
        tables: of all images.
        probe: boxes of some of them.
        model_names: classes that the model knows.
        score_threshold: below it the model gives no detections.
    """
    objects = tables.truths[~tables.truths["crowd"]]
    if not len(objects):
        return [_no_truth(tables)]
    findings = [] if objects["masked"].any() else [_no_masks(len(objects))]
    if not len(tables.detections):
        return [*findings, _no_detections(tables, score_threshold)]
    findings += probe.findings() + _label_findings(tables, model_names)
    return findings + _shape_findings(tables) + [_score_finding(tables)]


def _no_truth(tables: Tables) -> Recommendation:
    crowds = int(tables.truths["crowd"].sum())
    evidence = f"{plural(len(tables.images), 'image')}, {plural(crowds, 'crowd region')}, no single object."
    return Recommendation(
        "no-truth",
        "No object is labelled in this data, so there is no AP.",
        evidence,
        "Check that the split and the labels' folder are the right ones.",
    )


def _no_masks(objects: int) -> Recommendation:
    return Recommendation(
        "no-masks",
        "No labelled object has a mask, so mask AP is unknown; boxes are measured instead.",
        f"{plural(objects, 'object')} with boxes only.",
        "Add masks to these labels if masks are what you need to measure.",
    )


def _no_detections(tables: Tables, score_threshold: float) -> Recommendation:
    return Recommendation(
        "no-detections",
        "The model finds nothing in any image.",
        f"{plural(len(tables.images), 'image')}, no detection with a score of at least {score_threshold:g}.",
        "Train longer or at a lower learning rate (did the loss fall?), and check that these images look like those it "
        "was trained on: colours, brightness, size of the objects.",
    )


def _label_findings(tables: Tables, model_names: Sequence[str]) -> list[Recommendation]:
    """Classes without a counterpart, and objects that are found under another name."""
    truth_labels = tables.truths["label"][~tables.truths["crowd"]]
    labelled = {tables.names[label] for label in np.unique(truth_labels)}
    detected = {tables.names[label] for label in np.unique(tables.detections["label"])}
    findings = []
    if not labelled & detected:
        findings.append(
            Recommendation(
                "classes-apart",
                "The classes that the model finds are not those that are labelled.",
                f"Labelled: {quoted(sorted(labelled))}. Found: {quoted(sorted(detected))}.",
                f"Make the names agree; the model knows {quoted(sorted(model_names))}.",
            )
        )
    pairs = tables.pairs[tables.pairs[tables.kind] >= 0.5]
    own = tables.detections["label"][pairs["detection"]] == tables.truths["label"][pairs["truth"]]
    any_class, right_class = len(np.unique(pairs["truth"])), len(np.unique(pairs["truth"][own]))
    if any_class >= 0.3 * len(truth_labels) and right_class < 0.2 * any_class:
        names = np.array(tables.names, dtype=object)
        columns = ((tables.truths, "truth"), (tables.detections, "detection"))
        taken = zip(*(names[rows["label"][pairs[column][~own]]] for rows, column in columns), strict=True)
        (truth, found), count = Counter(taken).most_common(1)[0]
        findings.append(
            Recommendation(
                "labels-shifted",
                "Objects are found in the right place under the wrong name: class numbers look shifted or mixed up.",
                f"{any_class} of {len(truth_labels)} objects are found, {right_class} of them as their own class; "
                f"most often '{truth}' is called '{found}' ({plural(count, 'time')}).",
                "Compare the order of the class names in the labels with the model's.",
            )
        )
    return findings


def _shape_findings(tables: Tables) -> list[Recommendation]:
    """Boxes that fit where masks do not."""
    masked = tables.pairs[tables.truths["masked"][tables.pairs["truth"]]]
    boxes_fit, both_fit = masked["box"] >= 0.5, (masked["box"] >= 0.5) & (masked["mask"] >= 0.5)
    if boxes_fit.sum() < 10 or both_fit.sum() > 0.2 * boxes_fit.sum():
        return []
    median = float(np.median(masked["mask"][boxes_fit]))
    return [
        Recommendation(
            "masks-apart",
            "Boxes fit where masks do not.",
            f"Of {boxes_fit.sum()} pairs whose boxes overlap by half, {both_fit.sum()} also do so by mask; the median "
            f"mask IoU is {median:.2f}.",
            "Look at the labels' masks under “Worst images”: shifted, inverted, or outlines where areas are meant? "
            "If they are right, the mask head has not learned yet: train longer.",
        )
    ]


def _score_finding(tables: Tables) -> Recommendation:
    scores = tables.detections["score"]
    low, median, high = np.percentile(scores, (0, 50, 100))
    evidence = f"{plural(len(scores), 'detection')}; scores {low:.2f} to {high:.2f}, median {median:.2f}."
    if high < 0.7:
        what = "The model is sure of none of its detections."
        return Recommendation(
            "scores", what, evidence, "It has not learned these objects: train longer, on images like these."
        )
    what = "The model is sure of what it finds, and the labels disagree."
    return Recommendation("scores", what, evidence, "Compare both under “Worst images”: what does each call an object?")
