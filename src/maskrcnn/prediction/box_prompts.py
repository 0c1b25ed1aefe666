"""Boxes that a caller gives to have the objects in them segmented, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskrcnn.argument_checks import is_whole
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown
from maskrcnn.masks.box_geometry import box_sides, clip_to_image
from maskrcnn.text import suggestion

Labels = Sequence[str] | Sequence[int] | np.ndarray


@dataclass(frozen=True)
class BoxPrompts:
    """N boxes of one image, and the classes of the objects in them where the caller knows them.

    Attributes:
        boxes: float32 [N, 4], (x1, y1, x2, y2) in continuous pixels of the image, within it.
        labels: int64 [N], or None.
    """

    boxes: np.ndarray
    labels: np.ndarray | None = None

    @classmethod
    def of(cls, boxes: Any, labels: Labels | None, names: tuple[str, ...], size: tuple[int, int]) -> BoxPrompts:
        """Boxes cut at the edges of an image of ``size`` (height, width), and classes by name or number.

        Raises:
            MaskRCNNError: a box is no box or outside the image, a class is unknown, or there are not as many of them.
        """
        checked = _checked_boxes(boxes, size)
        if labels is None:
            return cls(checked)
        if isinstance(labels, str) or len(labels) != len(checked):
            what = f"labels: expected one for each of {len(checked)} boxes, found {shown(labels)}"
            raise MaskRCNNError(what, fix="pass a list as long as the boxes, or none")
        return cls(checked, np.array([_label(label, names) for label in labels], dtype=np.int64))


def _checked_boxes(boxes: Any, size: tuple[int, int]) -> np.ndarray:
    try:
        array = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError):  # ragged, or no numbers
        array = np.empty(0)
    if array.size == 0 and isinstance(boxes, Sequence | np.ndarray) and not len(boxes):
        return np.empty((0, 4), dtype=np.float32)
    if array.ndim != 2 or array.shape[1] != 4:
        raise MaskRCNNError(f"boxes: expected numbers [N, 4], found {shown(boxes)}", fix="pass rows of x1, y1, x2, y2")
    finite = np.isfinite(array).all(axis=1, keepdims=True)
    clipped = clip_to_image(np.where(finite, array, 0), size).astype(np.float32)
    usable = (box_sides(clipped) > 0).all(axis=1)
    if not usable.all():
        number = int(np.argmin(usable))
        expected = f"expected x1 < x2 and y1 < y2 within {size[1]} x {size[0]} pixels (width x height)"
        fix = "pass corners (x1, y1, x2, y2), not a width and a height"
        raise MaskRCNNError(f"box {number}: {expected}, found {array[number].tolist()}", fix=fix)
    return clipped


def _label(label: Any, names: tuple[str, ...]) -> int:
    if isinstance(label, str) and label not in names:
        raise MaskRCNNError(f"unknown class {shown(label)}", fix=suggestion(label, names))
    if isinstance(label, str):
        return names.index(label)
    if not is_whole(label) or not 0 <= label < len(names):
        raise MaskRCNNError(f"labels: expected 0 to {len(names) - 1} or names, found {shown(label)}")
    return int(label)
