"""Objects as GeoJSON features, whose polygons follow the edges of pixels: holes are inner rings, parts a MultiPolygon.

Coordinates are pixels of the image, the origin at the outer corner of its top-left pixel and y downwards, as QuPath
reads them; or those of a coordinate system, where a function gives them. Properties are QuPath's (objectType,
classification, measurements), and plain ones, which other programs show as columns.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np

from maskrcnn.masks.crop import Crop
from maskrcnn.masks.outline import polygons
from maskrcnn.results.overlay import object_colour

HEAD = '{"type": "FeatureCollection", "features": ['
TAIL = "]}\n"
Placing = Callable[[np.ndarray], np.ndarray]
_NAMES = uuid.UUID("c5bd0a53-7f43-4a39-b64c-d4aa1bcf2a0e")  # of the ids below


def geometry(crop: Crop, placing: Placing | None = None) -> dict[str, Any] | None:
    """A mask as a GeoJSON Polygon or MultiPolygon; None if no pixel is set.

    Rings are closed; in coordinates whose y grows upwards the outer ones are counter-clockwise (RFC 7946).

    Args:
        placing: maps pixels, float64 [P, 2] (x, y), to the coordinates to write.
    """
    parts = [[_ring(ring, placing, outer=number == 0) for number, ring in enumerate(part)] for part in polygons(crop)]
    if not parts:
        return None
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def feature(
    number: int, crop: Crop, class_name: str, label: int, score: float, placing: Placing | None = None
) -> str | None:
    """One object as a line of GeoJSON; None if no pixel is set.

    Args:
        number: of the object in its image, from 1; it decides the feature's id, a UUID as QuPath expects one.
        label: of the class, for its colour.
        score: 0..1.
        placing: see `geometry`.
    """
    shape = geometry(crop, placing)
    if shape is None:
        return None
    properties = {
        "objectType": "detection",
        "classification": {"name": class_name, "color": list(object_colour(label))},
        "class": class_name,
        "score": round(score, 6),
        "area_px": crop.area,
        "measurements": {"score": round(score, 6), "area px": crop.area},
    }
    row = {"type": "Feature", "id": str(uuid.uuid5(_NAMES, str(number))), "geometry": shape, "properties": properties}
    return json.dumps(row, separators=(",", ":"))


def _ring(ring: np.ndarray, placing: Placing | None, outer: bool) -> list[list[float]]:
    """A ring of pixels as closed coordinates, turned as RFC 7946 asks where y grows upwards."""
    points = ring.reshape(-1, 2)
    if placing is None:
        whole = points.astype(np.int64)
        return [*whole.tolist(), whole[0].tolist()]
    placed = placing(points)
    x, y = placed[:, 0], placed[:, 1]
    clockwise = float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) < 0
    if clockwise == outer:
        placed = placed[::-1]
    return [*placed.tolist(), placed[0].tolist()]
