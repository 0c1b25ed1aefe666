"""The objects of an image, drawn from their annotations.

Boxes are (x1, y1, x2, y2) in continuous pixels of the image; labels are 0..C-1 into the data set's names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.box_geometry import box_areas, rounded_xywh
from maskrcnn.masks.crop import Box, Crop
from maskrcnn.masks.polygons import rasterise
from maskrcnn.masks.rle import decode

# A box and its mask agree if each side lies within 2 pixels or a tenth of the mask's extent.
_BOX_PIXELS, _BOX_SHARE = 2.0, 0.1
# Pixels, a byte each, that the masks of one image may take together.
_MAX_PIXELS = 2**32


@dataclass(frozen=True)
class Objects:
    """The N labelled objects of one image, masks drawn.

    Attributes:
        boxes: float32 [N, 4], image pixels.
        labels: int64 [N], indices into the data set's names.
        crowd: bool [N], True where a group of objects is marked as one region.
        crops: N masks; None where an object has a box and no mask.
        ids: int64 [N], annotation ids, or the values of an id map.
        areas: float64 [N], pixels by which metrics call objects small or large; None for the areas of the masks.
        problems: one for each object that was left out or changed.
    """

    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    crops: Sequence[Crop | None]
    ids: np.ndarray
    areas: np.ndarray | None = None
    problems: Sequence[Problem] = ()


def draw(annotation: Annotation, size: tuple[int, int]) -> Crop | None:
    """The tight mask of one annotation in an image of `size` (H, W), None if it has a box only.

    Raises:
        DataError: it covers no pixel, or its polygons or run lengths are malformed.
    """
    shape = annotation.segmentation
    try:
        if isinstance(shape, dict):
            shape = decode(shape)
        elif isinstance(shape, list):
            shape = rasterise(shape, size)
    except MaskRCNNError as error:
        raise DataError("bad-segmentation", error.what, fix=error.fix) from error
    if shape is not None and not shape.bitmap.size:
        raise DataError("empty-mask", "its mask covers no pixel of the image", fix="correct or remove it")
    return shape


class Drawn(NamedTuple):
    """One annotation with its tight mask (None if it has a box only) and its box, from the file or around the mask."""

    annotation: Annotation
    crop: Crop | None
    box: Box


def draw_each(
    annotations: Sequence[Annotation], size: tuple[int, int], source: object
) -> tuple[list[Drawn], list[Problem]]:
    """The annotations of one image of `size` (H, W), drawn, and a problem for each that is left out or changed.

    A box that does not enclose its mask is replaced by the box of the mask. `source` is the file that problems name.
    """
    problems: list[Problem] = []
    kept: list[Drawn] = []
    pixels = 0
    for annotation in annotations:
        try:
            if pixels > _MAX_PIXELS:
                what = f"the masks of this image before it have more than {_MAX_PIXELS:,} pixels together"
                raise DataError("masks-too-large", what, fix="cut the image into tiles")
            crop = draw(annotation, size)
            box = annotation.box or (crop.box if crop is not None else None)
            if box is None:
                raise DataError("no-shape", "it has neither a mask nor a box", fix="draw or remove it")
        except DataError as error:
            problems.append(error.problem(source, 0, 1, annotation.id))
            continue
        if crop is not None:
            pixels += crop.bitmap.size
            if not _boxes_agree(box, crop.box):
                written, tight = rounded_xywh(box, 1), rounded_xywh(crop.box, 1)
                what = f"bbox {written} does not enclose its mask {tight}, the mask's is used"
                fix = "bbox is [x, y, width, height]"
                problems.append(Problem("box-mask-disagree", str(source), what, fix, "warning", 0, 0, annotation.id))
                box = crop.box
        kept.append(Drawn(annotation, crop, box))
    return kept, problems


def draw_all(annotations: Sequence[Annotation], size: tuple[int, int], source: object) -> Objects:
    """As `draw_each`, but the objects as arrays."""
    kept, problems = draw_each(annotations, size, source)
    areas = [a.area or (box_areas(box) if crop is None else crop.area) for a, crop, box in kept]
    return Objects(
        boxes=np.array([box for _, _, box in kept], dtype=np.float32).reshape(-1, 4),
        labels=np.array([a.label for a, _, _ in kept], dtype=np.int64),
        crowd=np.array([a.crowd for a, _, _ in kept], dtype=bool),
        crops=[crop for _, crop, _ in kept],
        ids=np.array([a.id for a, _, _ in kept], dtype=np.int64),
        areas=np.array(areas, dtype=np.float64),
        problems=problems,
    )


def _boxes_agree(box: Box, tight: Box) -> bool:
    sides = (tight[2] - tight[0], tight[3] - tight[1])
    slack = [max(_BOX_PIXELS, _BOX_SHARE * side) for side in sides] * 2
    return all(abs(a - b) <= s for a, b, s in zip(box, tight, slack, strict=True))
