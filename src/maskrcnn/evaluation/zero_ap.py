"""Why an AP is near zero or unknown: the usual mismatches of labels, data and model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from hotcoco import mask as coco_mask

from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.evaluation.tables import Tables
from maskrcnn.masks.box_geometry import to_xywh
from maskrcnn.text import plural, quoted

_IMAGES, _BOXES = 64, 100
_FITS, _GAIN = 0.5, 0.3

Size = tuple[int, int]
Reading = Callable[[np.ndarray, Size], np.ndarray]


def _flipped(boxes: np.ndarray, axis: int, side: int) -> np.ndarray:
    flipped = boxes.copy()
    flipped[:, [axis, axis + 2]] = side - boxes[:, [axis + 2, axis]]
    return flipped


READINGS: dict[str, tuple[str, Reading]] = {
    "xyxy-as-xywh": (
        "were written as x1, y1, x2, y2 where x, y, width, height is expected",
        lambda boxes, size: to_xywh(boxes),
    ),
    "xywh-as-xyxy": (
        "were written as x, y, width, height where x1, y1, x2, y2 is expected",
        lambda boxes, size: np.concatenate((boxes[:, :2], boxes[:, 2:] + boxes[:, :2]), axis=1),
    ),
    "x-y-swapped": ("have x and y swapped", lambda boxes, size: boxes[:, [1, 0, 3, 2]]),
    "mirrored": ("are mirrored left to right", lambda boxes, size: _flipped(boxes, 0, size[1])),
    "upside-down": ("are upside down", lambda boxes, size: _flipped(boxes, 1, size[0])),
    "turned": ("are turned by 180 degrees", lambda boxes, size: _flipped(_flipped(boxes, 0, size[1]), 1, size[0])),
    "halved": ("belong to images of half the size", lambda boxes, size: boxes * 2),
    "doubled": ("belong to images of twice the size", lambda boxes, size: boxes / 2),
    "quartered": ("belong to images of a quarter of the size", lambda boxes, size: boxes * 4),
    "quadrupled": ("belong to images of four times the size", lambda boxes, size: boxes / 4),
}


class BoxProbe:
    """Keeps the boxes of the first images, to try other readings of the labels."""

    def __init__(self) -> None:
        self._images: list[tuple[np.ndarray, np.ndarray, Size]] = []

    def update(self, image: EvaluatedImage) -> None:
        """Add one image; only the first that have both labels and detections are kept."""
        truth = np.asarray(image.truth.boxes[~image.truth.crowd][:_BOXES], dtype=np.float64)
        if len(self._images) < _IMAGES and len(truth) and len(image.boxes):
            best = np.argsort(-image.scores, kind="stable")[: 2 * len(truth)]
            self._images.append((truth, np.asarray(image.boxes[best], dtype=np.float64), image.size))

    def fit(self, reading: Reading | None = None) -> float:
        """Mean over the labelled boxes of the largest IoU with a good detection of any class; NaN without boxes."""
        overlaps = []
        for truth, found, size in self._images:
            read = truth.copy() if reading is None else reading(truth, size)
            # A box that a reading turns inside out is empty and overlaps nothing.
            read[:, 2:] = np.maximum(read[:, 2:], read[:, :2])
            overlaps.append(coco_mask.bbox_iou(to_xywh(found), to_xywh(read), [False] * len(read)).max(axis=0))
        return float(np.concatenate(overlaps).mean()) if overlaps else float("nan")

    def advice(self) -> Iterator[Recommendation]:
        """The reading of the labels that fits the detections far better than the one used, if there is one."""
        as_is = self.fit()
        fits = {name: self.fit(reading) for name, (_, reading) in READINGS.items()}
        name = max(fits, key=lambda key: fits[key] if fits[key] == fits[key] else -1.0)
        if fits[name] >= max(_FITS, as_is + _GAIN):
            yield Recommendation(
                f"boxes-{name}",
                f"The labels' boxes look as if they {READINGS[name][0]}.",
                f"Read like that, boxes overlap detections by {fits[name]:.0%}; as they are, by {as_is:.0%}.",
                "Correct the labels (`maskrcnn doctor DATA` finds them) and evaluate again.",
            )


def explain_zero_ap(
    tables: Tables, probe: BoxProbe, model_names: Sequence[str], score_threshold: float
) -> Iterator[Recommendation]:
    """What explains an AP near zero, or none at all.

    Args:
        tables: of all images.
        probe: boxes of some of them.
        model_names: classes that the model knows.
        score_threshold: below it the model gives no detections.
    """
    images, objects = plural(len(tables.images), "image"), tables.truths[~tables.truths["crowd"]]
    if not len(objects):
        yield Recommendation(
            "no-truth",
            "No object is labelled in this data, so there is no AP.",
            f"{images}, {plural(len(tables.truths), 'crowd region')}, no single object.",
            "Check that the split and the folder of labels are the right ones.",
        )
        return
    if not objects["masked"].any():
        yield Recommendation(
            "no-masks",
            "No labelled object has a mask, so mask AP is unknown; boxes are measured instead.",
            f"{plural(len(objects), 'object')} with boxes only.",
            "Add masks to these labels to measure masks.",
        )
    if not len(tables.detections):
        yield Recommendation(
            "no-detections",
            "The model finds nothing in any image.",
            f"{images}, no detection with a score of at least {score_threshold:g}.",
            "Train longer or at a lower learning rate (did the loss fall?), and check that these images look like "
            "those it was trained on: colours, brightness, size of the objects.",
        )
        return
    yield from probe.advice()
    yield from _classes(tables, model_names)
    yield from _masks_apart(tables)
    yield _scores(tables)


def _classes(tables: Tables, model_names: Sequence[str]) -> Iterator[Recommendation]:
    """Classes that labels and detections do not share, and objects that are found under another name."""
    truth_labels = tables.truths["label"][~tables.truths["crowd"]]
    labelled = {tables.names[label] for label in np.unique(truth_labels)}
    detected = {tables.names[label] for label in np.unique(tables.detections["label"])}
    if not labelled & detected:
        yield Recommendation(
            "classes-apart",
            "The classes that the model finds are not those that are labelled.",
            f"Labelled: {quoted(sorted(labelled))}. Found: {quoted(sorted(detected))}.",
            f"Make the names agree; the model knows {quoted(sorted(model_names))}.",
        )
    pairs = tables.pairs[tables.pairs[tables.kind] >= 0.5]
    truth, found = tables.truths["label"][pairs["truth"]], tables.detections["label"][pairs["detection"]]
    any_class, right_class = len(np.unique(pairs["truth"])), len(np.unique(pairs["truth"][truth == found]))
    if any_class >= 0.3 * len(truth_labels) and right_class < 0.2 * any_class:
        wrong = truth != found
        (a, b), count = Counter(zip(truth[wrong].tolist(), found[wrong].tolist(), strict=True)).most_common(1)[0]
        yield Recommendation(
            "labels-shifted",
            "Objects are found in the right place under the wrong name: class numbers look shifted or mixed up.",
            f"{any_class} of {len(truth_labels)} objects are found, {right_class} of them as their own class; most "
            f"often '{tables.names[a]}' is called '{tables.names[b]}' ({plural(count, 'time')}).",
            "Compare the order of the class names in the labels with the model's.",
        )


def _masks_apart(tables: Tables) -> Iterator[Recommendation]:
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
        "Look at the labels' masks under “Worst images”: are they shifted, inverted, or outlines instead of areas? If "
        "they are right, the mask head has not learned yet: train longer.",
    )


def _scores(tables: Tables) -> Recommendation:
    scores = tables.detections["score"]
    low, median, high = np.percentile(scores, (0, 50, 100))
    evidence = f"{plural(len(scores), 'detection')}; scores {low:.2f} to {high:.2f}, median {median:.2f}."
    if high < 0.7:
        action = "It has not learned these objects: train longer, on images like these."
        return Recommendation("scores", "The model is sure of none of its detections.", evidence, action)
    what = "The model is sure of what it finds, and the labels disagree."
    return Recommendation("scores", what, evidence, "Compare both under “Worst images”: what does each call an object?")
