"""The lines of YOLO label files, one object each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maskrcnn.annotations.annotation import Annotation, clipped_box
from maskrcnn.annotations.labels import ImageRecord
from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.datasets.formats.reader_checks import text_lines

# Fractions a little outside 0..1 are sloppy drawing, far outside they are pixels.
_FAR_OUTSIDE = 2.0
# Rounded to so many digits, a fraction times the size gives back the coordinate it was made from.
_DECIMALS = 9


class YoloReader:
    """Reads the label file of an image.

    Args:
        labels: the label of each class number; None for a number without a name.
        keypoints: how many keypoints follow each box, and the numbers of each; None where lines are no poses.
    """

    def __init__(self, labels: Sequence[int | None], keypoints: tuple[int, int] | None = None) -> None:
        self.labels, self.keypoints = list(labels), keypoints

    def __call__(self, index: int, record: ImageRecord) -> tuple[list[Annotation], list[Problem]]:
        assert record.labels is not None
        annotations, problems = [], []
        for number, line in enumerate(text_lines(record.labels), start=1):
            if not line.strip():
                continue
            try:
                annotations.append(self._annotation(line, number, record.size))
            except DataError as error:
                problems.append(error.problem(record.labels, 0, 1, entry=f"line {number}"))
        return annotations, problems

    def _annotation(self, line: str, number: int, size: tuple[int, int]) -> Annotation:
        try:
            values = np.array(line.split(), dtype=np.float64)
        except ValueError as error:
            what = f"expected numbers, found {line[:60]!r}"
            raise DataError("bad-entry", what, fix="correct or remove it") from error
        label = self._label(values[0], line)
        fractions = values[1:]
        if self.keypoints is not None:
            fractions = self._box_of_pose(fractions)
        if not (np.abs(fractions) <= _FAR_OUTSIDE).all():
            what = f"expected fractions of the image's width and height from 0 to 1, found {line[:60]!r}"
            raise DataError("not-normalised", what, fix="divide x by the width and y by the height")
        scale = np.array(size[::-1], dtype=np.float64)
        if len(fractions) == 4:
            centre, extent = fractions[:2] * scale, fractions[2:] * scale
            box = clipped_box(np.round([*(centre - extent / 2), *extent], _DECIMALS).tolist(), size)
            return Annotation(number, label, False, box, None, None)
        if len(fractions) < 6 or len(fractions) % 2:
            what = f"expected a class and 3 or more points x y, or a box x y w h, found {len(values)} numbers"
            raise DataError("bad-segmentation", what, fix="correct or remove it")
        points = np.round(fractions.reshape(-1, 2) * scale, _DECIMALS)
        return Annotation(number, label, False, None, None, [points.ravel()])

    def _label(self, number: float, line: str) -> int:
        known = float(number).is_integer() and 0 <= number < len(self.labels)
        label = self.labels[int(number)] if known else None
        if label is None:
            unknown = f"expected a class from 0 to {len(self.labels) - 1}, found {line.split()[0][:20]}"
            what = f"class {int(number)} has no name" if known else unknown
            raise DataError("unknown-category", what, fix="correct it, or add the class to the names")
        return label

    def _box_of_pose(self, fractions: np.ndarray) -> np.ndarray:
        assert self.keypoints is not None
        count, values = self.keypoints
        if len(fractions) not in (4, 4 + count * values):
            what = f"expected a class, a box x y w h and {count} keypoints of {values} numbers"
            what += f", found {len(fractions) + 1} numbers"
            raise DataError("bad-segmentation", what, fix="correct it, or kpt_shape")
        return fractions[:4]
