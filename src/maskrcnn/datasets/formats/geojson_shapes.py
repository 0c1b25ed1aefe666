"""The features of one GeoJSON file as objects of its image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.datasets.formats.geojson_file import GeoJson, polygons_of
from maskrcnn.datasets.formats.reserved_names import BACKGROUND, IGNORE, IGNORED, for_every_class
from maskrcnn.datasets.formats.shape_groups import checked_points, cut_to_image
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown
from maskrcnn.masks.crop import Crop, union
from maskrcnn.masks.polygons import rasterise
from maskrcnn.rasters.georeference import Georeference
from maskrcnn.text import plural

DEFAULT_CLASS = "object"
_CLASS_KEYS = ("class", "label", "name")
_WITHOUT_AREA = ("Point", "MultiPoint", "LineString", "MultiLineString")
Part = list[np.ndarray]  # the rings of a polygon, float64 [P, 2] each, the outer one first


def class_name(feature: Any) -> str:
    """The class that the properties of a feature name."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(properties, dict):
        return DEFAULT_CLASS
    given = properties.get("classification")
    if isinstance(given, dict):
        given = given.get("name") or given.get("names")
    for value in (given, *(properties.get(key) for key in _CLASS_KEYS)):
        parts = value if isinstance(value, list) else [value]
        named = ": ".join(str(part).strip() for part in parts if isinstance(part, str | int) and part is not True)
        if named:
            return named
    return DEFAULT_CLASS


def without_area(feature: Any) -> bool:
    """Whether a feature is a point or a line."""
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    return isinstance(geometry, dict) and geometry.get("type") in _WITHOUT_AREA


def feature_annotations(
    content: GeoJson, file: Path, classes: Mapping[str, int], size: tuple[int, int], place: Georeference | None
) -> tuple[list[Annotation], list[Problem]]:
    """The objects of a file in an image of `size` (H, W), and a problem for each feature that cannot be used.

    Args:
        place: of the image, if it has one.

    Raises:
        DataError: the labels are in another coordinate system than the image.
    """
    shapes: dict[int, list[Part]] = {}
    problems: list[Problem] = []
    for number, feature in enumerate(content.features, start=1):
        if without_area(feature) or class_name(feature) == BACKGROUND:
            continue
        try:
            shapes[number] = _parts(feature)
        except DataError as error:
            problems.append(error.problem(file, 0, 1, entry=f"feature {number}"))
    used = _used_georeference(content, shapes.values(), size, place)
    annotations = []
    for number, parts in shapes.items():
        name = class_name(content.features[number - 1])
        label = IGNORED if name == IGNORE else classes[name]
        placed = [[ring if used is None else used.to_pixels(ring) for ring in part] for part in parts]
        try:
            segmentation = _segmentation(placed, size)
        except DataError as error:
            problems.append(error.problem(file, 0, 1, entry=f"feature {number}"))
            continue
        annotations.append(Annotation(number, label, label == IGNORED, None, None, segmentation))
    if skipped := sum(map(without_area, content.features)):
        what = f"{plural(skipped, 'feature')} left out: points or lines, without an area"
        problems.append(Problem("no-area", str(file), what, "draw polygons instead", "note"))
    return for_every_class(annotations, len(classes), len(content.features)), problems


def _parts(feature: Any) -> list[Part]:
    if not isinstance(feature, dict):
        raise DataError("bad-entry", f"expected a feature, found {shown(feature)}", fix="correct or remove it")
    geometry = feature.get("geometry")
    parts = [[_ring(ring) for ring in rings] if isinstance(rings, list) else [] for rings in polygons_of(geometry)]
    parts = [part for part in parts if part]
    if not parts:
        kind = geometry.get("type") if isinstance(geometry, dict) else geometry
        raise DataError("no-shape", f"expected a polygon, found {shown(kind)}", fix="draw a polygon instead")
    return parts


def _ring(ring: Any) -> np.ndarray:
    """float64 [P, 2] of positions, of which further numbers are heights; the last one repeats the first."""
    try:
        points = np.array([position[:2] for position in ring], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise DataError("bad-segmentation", f"expected positions [x, y], found {shown(ring)}", fix="correct it")
    points = points[:-1] if len(points) > 1 and (points[0] == points[-1]).all() else points
    return checked_points(points).reshape(-1, 2)


def _used_georeference(
    content: GeoJson, shapes: Iterable[Sequence[Part]], size: tuple[int, int], place: Georeference | None
) -> Georeference | None:
    """The georeference by which coordinates become pixels; None where they are pixels."""
    points = [ring for parts in shapes for part in parts for ring in part[:1]]
    if place is None or not points:
        if content.epsg is not None and points and not _inside(np.concatenate(points), size):
            what = f"the labels are in {content.crs}, the image has no georeference"
            raise DataError("no-georeference", what, fix="use the GeoTIFF, or write the labels in pixels")
        return None
    together = np.concatenate(points)
    as_pixels, as_places = _inside(together, size), _inside(place.to_pixels(together), size)
    differs = content.epsg is not None and place.epsg is not None and content.epsg != place.epsg
    if as_pixels > as_places or (as_pixels and content.epsg is None and as_pixels == as_places):
        return None
    if differs or not as_places:
        found = content.crs or "no coordinate system that is named"
        what = f"expected labels within the image, in pixels or EPSG:{place.epsg}, found {found}"
        raise DataError("other-coordinates", what, fix="reproject the labels to the image's coordinate system")
    return place


def _inside(points: np.ndarray, size: tuple[int, int]) -> int:
    """How many of the points [P, 2] lie in an image of `size` (H, W)."""
    return int(((points >= 0) & (points <= (size[1], size[0]))).all(axis=1).sum())


def _segmentation(parts: Sequence[Part], size: tuple[int, int]) -> list[np.ndarray] | Crop:
    """Polygons as they are, or a mask where there are holes."""
    if all(len(part) == 1 for part in parts):
        return [part[0].ravel() for part in parts]
    return union([_drawn(part, size) for part in parts])


def _drawn(part: Part, size: tuple[int, int]) -> Crop:
    """The tight mask of a polygon without its holes, drawn in its own box."""
    outer, *holes = part
    limit = np.array([size[1], size[0]])
    low = np.floor(outer.min(axis=0)).clip(0, limit).astype(int)
    width, height = (np.ceil(outer.max(axis=0)).clip(0, limit).astype(int) - low).tolist()
    if min(width, height) <= 0:
        raise DataError("outside-image", "it lies outside the image", fix="correct or remove it")
    try:
        shape, *rest = (rasterise([(ring - low).ravel()], (height, width)) for ring in (outer, *holes))
    except MaskRCNNError as error:
        raise DataError("bad-segmentation", error.what, fix=error.fix) from error
    bitmap = np.zeros((height, width), dtype=bool)
    for crop, value in ((shape, True), *((hole, False) for hole in rest)):
        rows, columns = crop.bitmap.shape
        bitmap[crop.y : crop.y + rows, crop.x : crop.x + columns][crop.bitmap] = value
    return cut_to_image(bitmap, int(low[0]), int(low[1]), size)
