"""Boxes of labels that fit the detections far better when they are read or placed in another way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from hotcoco import mask as coco_mask

from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.evaluation.subject import Subject
from maskrcnn.masks.box_geometry import to_xywh

_IMAGES, _BOXES = 64, 100
# Another reading is named if boxes then overlap by this on average, and by so much more than as they are.
_FITS, _GAIN = 0.5, 0.3
# The same for labels that are only moved: by so many pixels at least, found among so many objects.
_MOVED_GAIN, _LEAST_MOVE, _LEAST_OBJECTS = 0.1, 1.5, 10
_ALIKE = 1.5  # the ratio of widths and of heights up to which a label and a detection may be of one object
_REACH = 3.0  # how far a label may be moved, in sides of its box

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

    def offset(self) -> tuple[float, float] | None:
        """By how many pixels (x, y) most labels lie beside detections of their size; None if few do."""
        moves = [_moves(truth, found) for truth, found, _ in self._images]
        moves = [part for part in moves if len(part)]
        if not moves:
            return None
        all_moves = np.concatenate(moves)
        radius = max(2.0, 0.1 * float(np.median(np.concatenate([_sides(truth) for truth, _, _ in self._images]))))
        # The place around which most differences lie; a few hundred candidates are enough.
        candidates = all_moves[:: max(len(all_moves) // 500, 1)]
        near = [np.abs(all_moves - place).max(axis=1) <= radius for place in candidates]
        best = near[int(np.argmax([part.sum() for part in near]))]
        if best.sum() < _LEAST_OBJECTS:
            return None
        x, y = np.median(all_moves[best], axis=0).tolist()
        return (x, y) if max(abs(x), abs(y)) >= _LEAST_MOVE else None

    def advice(self, subject: Subject) -> Iterator[Recommendation]:
        """The reading of the labels that fits the detections far better than the one used, if there is one."""
        as_is = self.fit()
        fits = {name: self.fit(reading) for name, (_, reading) in READINGS.items()}
        name = max(fits, key=lambda key: fits[key] if fits[key] == fits[key] else -1.0)
        if fits[name] >= max(_FITS, as_is + _GAIN):
            yield Recommendation(
                f"boxes-{name}",
                f"The labels' boxes look as if they {READINGS[name][0]}.",
                f"Read like that, they overlap the detections by {fits[name]:.0%} on average; as they are, by "
                f"{as_is:.0%}.",
                "Look at the labels drawn over the images, correct them, and evaluate again.",
                subject.view(),
                decisive=True,
            )
            return
        offset = self.offset()
        if offset is None:
            return
        moved = self.fit(lambda boxes, size: boxes + np.tile(offset, 2))
        if moved >= max(_FITS, as_is + _MOVED_GAIN):
            x, y = offset
            yield Recommendation(
                "labels-moved",
                f"The labels lie beside the objects, all by the same distance: {_direction(x, y)} of the detections.",
                f"Moved by x {x:+.0f}, y {y:+.0f} pixels they overlap the detections by {moved:.0%} on average; as "
                f"they are, by {as_is:.0%}.",
                "Look at the labels drawn over the images. If they are off, move them (were the images cropped or "
                "padded after labelling?) and evaluate again.",
                subject.view(),
                decisive=True,
            )


def _sides(boxes: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-9))


def _moves(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """float64 [K, 2]: detection minus label, of the centres of all pairs of about one size that lie near."""
    sizes = [np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-9) for boxes in (truth, found)]
    centres = [(boxes[:, 2:] + boxes[:, :2]) / 2 for boxes in (truth, found)]
    ratio = np.abs(np.log(sizes[1][None] / sizes[0][:, None])).max(axis=2)
    moves = centres[1][None] - centres[0][:, None]
    near = np.abs(moves).max(axis=2) <= _REACH * _sides(truth)[:, None]
    return moves[(ratio <= np.log(_ALIKE)) & near]


def _direction(x: float, y: float) -> str:
    """Where the labels lie, seen from the detections, which are x and y further."""
    words = [f"{abs(y):.0f} px {'above' if y > 0 else 'below'}"] if abs(y) >= 1 else []
    words += [f"{abs(x):.0f} px {'left' if x > 0 else 'right'}"] if abs(x) >= 1 else []
    return " and ".join(words)
