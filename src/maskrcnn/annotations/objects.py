"""The objects of an image: as a format wrote them (`Annotation`), and drawn (`Objects`).

Boxes are (x1, y1, x2, y2) in continuous pixels of the image; labels are 0..C-1 into the data set's names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Box, Crop
from maskrcnn.masks.polygons import rasterise
from maskrcnn.masks.rle import decode

# A box and its mask agree if each side lies within 2 pixels or a tenth of the mask's extent.
_BOX_PIXELS, _BOX_SHARE = 2.0, 0.1
# Pixels, a byte each, that the masks of one image may take together.
_MAX_PIXELS = 2**32


class Annotation(NamedTuple):
    """One object as its file has it, checked for sense but not drawn.

    Attributes:
        id: number by which people find it again.
        label: into the data set's names.
        crowd: whether it marks a group as one region.
        box: as written, clipped to the image; None where the format has none or left it out.
        area: as written, by which metrics tell small from large; None for that of the mask.
        segmentation: polygons as flat float64 arrays x0, y0, x1, y1, …, a COCO run-length dict, a drawn crop, or None
            for an object that has a box only.
    """

    id: int
    label: int
    crowd: bool
    box: Box | None
    area: float | None
    segmentation: list[np.ndarray] | dict[str, Any] | Crop | None


@dataclass(frozen=True)
class Objects:
    """The N labelled objects of one image, masks drawn.

    Attributes:
        boxes: float32 [N, 4], image pixels.
        labels: int64 [N], into the dataset's names.
        crowd: bool [N], True where a group is marked as one region.
        crops: N masks; None where an object has a box and no mask.
        ids: int64 [N], annotation ids, or the values of an id map.
        areas: float64 [N], pixels by which metrics tell small from large; None means those of the masks.
    """

    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    crops: Sequence[Crop | None]
    ids: np.ndarray
    areas: np.ndarray | None = None


def draw(annotation: Annotation, size: tuple[int, int]) -> Crop | None:
    """The tight mask of one annotation in an image of `size` (H, W), None if it has a box only.

    Raises:
        DataError: it covers no pixel, or its polygons or run lengths are malformed.
    """
    segmentation = annotation.segmentation
    if segmentation is None or isinstance(segmentation, Crop):
        crop = segmentation
    else:
        try:
            crop = decode(segmentation) if isinstance(segmentation, dict) else rasterise(segmentation, size)
        except MaskRCNNError as error:
            raise DataError("bad-segmentation", error.what, fix=error.fix) from error
    if crop is not None and not crop.bitmap.size:
        raise DataError("empty-mask", "its mask covers no pixel of the image", fix="correct or remove it")
    return crop


class Drawn(NamedTuple):
    """One annotation with its tight mask (None if it has a box only) and the box that holds for it."""

    annotation: Annotation
    crop: Crop | None
    box: Box


def draw_each(
    annotations: Sequence[Annotation], size: tuple[int, int], source: object
) -> tuple[list[Drawn], list[Problem]]:
    """The annotations of one image of `size` (H, W), drawn, and a problem for each that is left out or changed.

    A box that does not enclose its mask is replaced by the mask's. `source` is the file that problems name.
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
        except DataError as error:
            problems.append(error.problem(source, 0, 1, annotation.id))
            continue
        box = annotation.box or (crop.box if crop is not None else None)
        if box is None:
            missing = DataError("no-shape", "it has neither a mask nor a box", fix="draw or remove it")
            problems.append(missing.problem(source, 0, 1, annotation.id))
            continue
        if crop is not None and not _agree(box, crop.box):
            what = f"bbox {_xywh(box)} does not enclose its mask {_xywh(crop.box)}, the mask's is used"
            fix = "bbox is [x, y, width, height]"
            problems.append(Problem("box-mask-disagree", str(source), what, fix, "warning", annotation=annotation.id))
            box = crop.box
        pixels += 0 if crop is None else crop.bitmap.size
        kept.append(Drawn(annotation, crop, box))
    return kept, problems


def draw_all(annotations: Sequence[Annotation], size: tuple[int, int], source: object) -> tuple[Objects, list[Problem]]:
    """As `draw_each`, the objects as arrays."""
    kept, problems = draw_each(annotations, size, source)
    count = len(kept)
    objects = Objects(
        boxes=np.array([box for _, _, box in kept], dtype=np.float32).reshape(count, 4),
        labels=np.array([a.label for a, _, _ in kept], dtype=np.int64),
        crowd=np.array([a.crowd for a, _, _ in kept], dtype=bool),
        crops=[crop for _, crop, _ in kept],
        ids=np.array([a.id for a, _, _ in kept], dtype=np.int64),
        areas=np.array([a.area or _area(crop, box) for a, crop, box in kept], dtype=np.float64),
    )
    return objects, problems


def clipped_box(bbox: Any, size: tuple[int, int]) -> Box | None:
    """(x1, y1, x2, y2) of a written [x, y, width, height], clipped to an image of `size` (H, W); None for none.

    Raises:
        DataError: it is no four numbers, has no area, or lies outside the image.
    """
    if bbox is None or (isinstance(bbox, list) and not bbox):
        return None
    try:
        x, y, width, height = (float(value) for value in bbox)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            "bad-box", f"expected bbox [x, y, width, height], found {str(bbox)[:60]}", fix="correct it"
        ) from error
    if not (width > 0 and height > 0 and all(map(math.isfinite, (x, y, width, height)))):
        raise DataError("zero-area", f"its box {list(bbox)} has no area", fix="correct or remove it")
    x2, y2 = min(x + width, size[1]), min(y + height, size[0])
    x, y = max(x, 0.0), max(y, 0.0)
    if x2 <= x or y2 <= y:
        what = f"its box {list(bbox)} lies outside the {size[1]} x {size[0]} image"
        raise DataError("outside-image", what, fix="correct or remove it")
    return x, y, x2, y2


def checked_polygons(segmentation: Any) -> list[np.ndarray]:
    """Flat float64 arrays of those polygons that have 3 points.

    Raises:
        DataError: none has, or they are no lists of numbers.
    """
    try:
        polygons = [np.asarray(polygon, dtype=np.float64) for polygon in segmentation]
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            "bad-segmentation", "expected polygons as lists of numbers, or an RLE", fix="correct it"
        ) from error
    polygons = [polygon for polygon in polygons if polygon.ndim == 1 and polygon.size >= 6]
    if not polygons:
        raise DataError("bad-segmentation", "no polygon has 3 points", fix="correct or remove it")
    return polygons


def _area(crop: Crop | None, box: Box) -> float:
    return crop.area if crop is not None else (box[2] - box[0]) * (box[3] - box[1])


def _agree(box: Box, tight: Box) -> bool:
    slack_x = max(_BOX_PIXELS, _BOX_SHARE * (tight[2] - tight[0]))
    slack_y = max(_BOX_PIXELS, _BOX_SHARE * (tight[3] - tight[1]))
    slack = (slack_x, slack_y, slack_x, slack_y)
    return all(abs(a - b) <= s for a, b, s in zip(box, tight, slack, strict=True))


def _xywh(box: Box) -> list[float]:
    return [round(value, 1) for value in (box[0], box[1], box[2] - box[0], box[3] - box[1])]
