"""The objects of an image before augmentation: their boxes, and outlines that can be rasterised at any scale.

Frame: continuous pixels of the image; boxes are (x1, y1, x2, y2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.objects import draw_each
from maskrcnn.annotations.problem import Problem
from maskrcnn.masks.box_geometry import box_areas, clip_to_image
from maskrcnn.masks.coverage import Polygons
from maskrcnn.masks.crop import Crop

_SLACK = 1.0  # pixels by which polygons may leave the image, by rounding
_SMALL = 1.0  # pixels; a polygon of a smaller area may cover no pixel centre


@dataclass(frozen=True)
class Instances:
    """N objects and Q regions to ignore. An object has polygons or a crop; one without a mask has neither.

    Attributes:
        boxes: float64 [N, 4], tight around the mask; as annotated where there is none.
        areas: float64 [N], pixels of the mask, or of the box.
        labels: int64 [N].
        polygons: of the objects that have some.
        crops: object → mask.
        crowd: float64 [Q, 4].
    """

    boxes: np.ndarray
    areas: np.ndarray
    labels: np.ndarray
    polygons: Polygons
    crops: dict[int, Crop]
    crowd: np.ndarray


def make_instances(
    annotations: Sequence[Annotation], size: tuple[int, int], source: object
) -> tuple[Instances, list[Problem]]:
    """The instances of one image of ``size`` (H, W), and a problem for each annotation that is left out.

    Polygons inside the image stay polygons; all other masks are rasterised. ``source`` is the file that problems name.
    """
    regions = [a.box for a in annotations if a.crowd and a.box]
    rest = [a for a in annotations if not (a.crowd and a.box)]
    outlined, polygons = _usable_polygons(rest, size)
    drawn, problems = draw_each(list(compress(rest, ~outlined)), size, source)
    regions += [one.box for one in drawn if one.annotation.crowd]
    single = [one for one in drawn if not one.annotation.crowd]
    first, parts = int(outlined.sum()), polygons.bounds
    boxes, areas = np.zeros((first + len(single), 4)), np.zeros(first + len(single))
    if first:
        starts = np.append(True, polygons.owner[1:] != polygons.owner[:-1]).nonzero()[0]
        np.minimum.reduceat(parts[:, :2], starts, out=boxes[:first, :2])
        np.maximum.reduceat(parts[:, 2:], starts, out=boxes[:first, 2:])
        areas[:first] = np.add.reduceat(polygons.areas, starts)
    crops = {}
    for place, (_, crop, box) in enumerate(single, start=first):
        boxes[place], areas[place] = box, box_areas(box)
        if crop is not None:
            crops[place] = crop.tight()
            boxes[place], areas[place] = crops[place].box, crop.area
    labels = [a.label for a in (*compress(rest, outlined), *(one.annotation for one in single))]
    crowd = np.array(regions, dtype=np.float64).reshape(-1, 4)
    boxes = clip_to_image(boxes, size)
    return Instances(boxes, areas, np.array(labels, dtype=np.int64), polygons, crops, crowd), problems


def _usable_polygons(annotations: Sequence[Annotation], size: tuple[int, int]) -> tuple[np.ndarray, Polygons]:
    """Which annotations, bool [N], consist of polygons of some area inside the image; and those polygons."""
    flat: list[np.ndarray] = []
    owner: list[int] = []
    usable = np.zeros(len(annotations), dtype=bool)
    for place, annotation in enumerate(annotations):
        parts = annotation.segmentation
        if not isinstance(parts, list) or not parts or annotation.crowd:
            continue
        if all(p.ndim == 1 and p.size >= 6 and p.size % 2 == 0 for p in parts):
            usable[place] = True
            flat += parts
            owner += [place] * len(parts)
    if not flat:
        return usable, Polygons(np.zeros((0, 2)), *np.zeros((2, 0), dtype=np.int64))
    lengths = np.array([part.size // 2 for part in flat])
    polygons = Polygons(np.concatenate(flat).reshape(-1, 2), np.cumsum(lengths) - lengths, np.array(owner))
    bounds = polygons.bounds
    limits = np.array([size[1], size[0]]) + _SLACK
    # NaN compares as False.
    inside = (bounds[:, :2] >= -_SLACK).all(axis=1) & (bounds[:, 2:] <= limits).all(axis=1)
    usable[polygons.owner[~(inside & (polygons.areas >= _SMALL))]] = False
    return usable, polygons if usable.all() else polygons.of(np.flatnonzero(usable))
