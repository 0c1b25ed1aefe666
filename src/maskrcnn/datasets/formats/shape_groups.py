"""Drawn shapes to objects, for formats in which several shapes of one group are one object (labelme, CVAT)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.problem import DataError
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Box, Crop, union
from maskrcnn.masks.polygons import rasterise

# How far the polygon of an ellipse may lie inside it, in pixels.
_SAGITTA = 0.05


class Shape(NamedTuple):
    """One shape of an image.

    Attributes:
        id: its number in the file.
        label: into the data set's names.
        crowd: whether it marks a group as one region.
        group: shapes of equal label and group are one object; None for a shape by itself.
        box: of a rectangle, in image pixels, else None.
        part: polygons, or a tight mask; None for a rectangle.
    """

    id: int
    label: int
    crowd: bool
    group: str | None
    box: Box | None
    part: list[np.ndarray] | Crop | None


def objects_of(shapes: Sequence[Shape], size: tuple[int, int]) -> list[Annotation]:
    """One annotation an object in an image of `size` (H, W), with the id of its first shape, in the order of those.

    The rectangles of an object with other shapes are its box.
    """
    groups: dict[object, list[Shape]] = {}
    for shape in shapes:
        groups.setdefault(shape.id if shape.group is None else (shape.label, shape.group), []).append(shape)
    return [_object(members, size) for members in groups.values()]


def _object(members: Sequence[Shape], size: tuple[int, int]) -> Annotation:
    first = members[0]
    corners = np.array([shape.box for shape in members if shape.box is not None]).reshape(-1, 4)
    box = (*corners[:, :2].min(axis=0).tolist(), *corners[:, 2:].max(axis=0).tolist()) if len(corners) else None
    polygons = [polygon for shape in members if isinstance(shape.part, list) for polygon in shape.part]
    crops = [shape.part for shape in members if isinstance(shape.part, Crop)]
    for polygon in polygons if crops else ():
        # Reading refuses polygons that cannot be drawn, except for one of half a point or a huge number.
        with suppress(MaskRCNNError):
            crops.append(rasterise([polygon], size))
    segmentation = union(crops) if crops else polygons or None
    return Annotation(first.id, first.label, any(shape.crowd for shape in members), box, None, segmentation)


def ellipse(centre: Sequence[float], radii: Sequence[float], degrees: float = 0.0) -> np.ndarray:
    """The polygon of an ellipse, flat float64 x0, y0, …, turned clockwise on the screen.

    Raises:
        DataError: a radius is not above 0.
    """
    if not min(radii) > 0:
        raise DataError("zero-area", f"expected radii above 0, found {list(radii)}", fix="draw it again")
    steps = min(max(math.ceil(math.pi / math.acos(max(1 - _SAGITTA / max(radii), 0.0))), 8), 2000)
    angles = np.arange(steps) * (2 * math.pi / steps)
    points = np.stack((radii[0] * np.cos(angles), radii[1] * np.sin(angles)), axis=1)
    return (turned(points, degrees) + np.asarray(centre, dtype=np.float64)).ravel()


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """Points [P, 2] turned about the origin, clockwise on the screen, whose y points down."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return points @ np.array([[cos, sin], [-sin, cos]])


def cut_to_image(bitmap: np.ndarray, x: int, y: int, size: tuple[int, int]) -> Crop:
    """The tight mask in a bitmap [h, w] whose first pixel is pixel (x, y) of an image of `size` (H, W)."""
    bitmap = bitmap[max(-y, 0) : max(size[0] - y, 0), max(-x, 0) : max(size[1] - x, 0)]
    return Crop(bitmap, max(x, 0), max(y, 0)).tight()


def checked_points(points: np.ndarray) -> np.ndarray:
    """Points [P, 2] of a polygon, flat.

    Raises:
        DataError: they are fewer than 3, or no numbers that can be drawn.
    """
    if len(points) < 3:
        raise DataError("bad-segmentation", f"expected 3 or more points, found {len(points)}", fix="draw it again")
    return points.ravel()
