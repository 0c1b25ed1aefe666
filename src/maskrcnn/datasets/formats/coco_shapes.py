"""The boxes and segmentations of COCO files, in whatever nesting and type exporters write them, in one form.

That form is [x, y, width, height], and a list of flat polygons or run lengths {"size": [H, W], "counts": …}. Values of
unknown form are returned unchanged, for checks to refuse.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from maskrcnn.datasets.formats.reader_checks import whole
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import parse_json
from maskrcnn.masks.crop import union
from maskrcnn.masks.rle import decode, encode

_EXTENTS = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
_CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom"))
_MAX_NESTING = 6
_MAX_TEXT = 2**20
# The characters of compressed run lengths.
_FIRST, _LAST = 48, 111


def plain_box(bbox: Any) -> Any:
    """A box from a list, a list in a list, text, or a dictionary of sides or corners; None where there is none."""
    bbox = _from_text(bbox)
    if isinstance(bbox, dict):
        keys = next((keys for keys in (*_EXTENTS, *_CORNERS) if bbox.keys() >= set(keys)), None)
        if keys in _EXTENTS:
            return [bbox[key] for key in keys]
        if keys is not None:
            try:
                x1, y1, x2, y2 = (float(bbox[key]) for key in keys)
            except (TypeError, ValueError, OverflowError):
                return bbox
            return [x1, y1, x2 - x1, y2 - y1]
    if isinstance(bbox, list) and len(bbox) == 1 and isinstance(bbox[0], list):
        return bbox[0]
    return bbox if not (isinstance(bbox, list | dict | str) and not bbox) else None


def plain_segmentation(segmentation: Any) -> Any:
    """Flat float64 polygons or one RLE dictionary; None where there is neither."""
    value = _from_text(segmentation)
    if isinstance(value, dict):
        return plain_rle(value) if value else None
    if not isinstance(value, list | np.ndarray):
        return value or None
    if all(isinstance(part, np.ndarray) and part.ndim == 1 and part.size >= 6 for part in value):
        return list(value) or None  # as most are
    if any(isinstance(part, dict) and "counts" in part for part in value):
        return _one_rle(list(value))
    try:
        polygons = _polygons(value, _MAX_NESTING)
    except (TypeError, ValueError, KeyError, OverflowError):
        return segmentation
    return polygons or None


def plain_rle(rle: dict[str, Any]) -> dict[str, Any]:
    """Run lengths with size as whole numbers, and counts as compressed text or an array."""
    size, counts = rle.get("size"), rle.get("counts")
    if isinstance(size, list | tuple) and all(whole(side) is not None for side in size):
        size = [whole(side) for side in size]
    if isinstance(counts, str):
        counts = counts.strip()
        counts = counts[2:-1] if re.fullmatch(r"b(['\"]).*\1", counts, re.DOTALL) else counts
        if re.fullmatch(r"\[?\s*\d+([\s,]+\d+)+\s*\]?", counts[:_MAX_TEXT]):
            counts = re.findall(r"\d+", counts)
    if isinstance(counts, list | np.ndarray):
        counts = _runs(counts, size)
    return {**rle, "size": size, "counts": counts}


def is_set(value: Any) -> bool:
    """Whether a flag is set, as a number, a truth value or text."""
    return value.strip().lower() in ("1", "1.0", "true", "yes") if isinstance(value, str) else value in (1, True)


def _from_text(value: Any) -> Any:
    """The JSON in a text, such as a table's cell."""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{") and len(value) <= _MAX_TEXT:
        try:
            return parse_json(value)
        except MaskRCNNError:
            return value
    return value


def _runs(counts: Any, size: Any) -> Any:
    """Run lengths int64 from numbers in any type, or compressed text from the codes of its characters."""
    try:
        values = np.asarray(counts)
        values = values.astype(np.float64) if values.dtype.kind in "US" else values
        if values.dtype.kind == "f" and (values == np.rint(values)).all() and (np.abs(values) < 2**53).all():
            values = values.astype(np.int64)
    except (TypeError, ValueError, OverflowError):
        return counts
    if values.ndim != 1 or values.dtype.kind not in "iu" or not values.size:
        return counts
    pixels = size[0] * size[1] if isinstance(size, list) and len(size) == 2 else None
    in_text = pixels is not None and values.min() >= _FIRST and values.max() <= _LAST
    return bytes(values.tolist()) if in_text and int(values.sum()) != pixels else values


def _one_rle(parts: list[Any]) -> Any:
    """The RLE of all pixels of several."""
    rles = [plain_rle(part) for part in parts if isinstance(part, dict)]
    if len(rles) != len(parts):
        return parts
    if len(rles) == 1:
        return rles[0]
    if any(rle["size"] != rles[0]["size"] for rle in rles):
        return parts
    try:
        return dict(encode(union([decode(rle) for rle in rles]), tuple(rles[0]["size"])))
    except MaskRCNNError:
        return parts


def _polygons(value: Any, nesting: int) -> list[np.ndarray]:
    """Flat polygons, from numbers, pairs, {"x": …, "y": …}, or lists of such; raises as numpy does for other values."""
    if not nesting:
        raise ValueError("nested too deeply")
    if len(value) and all(isinstance(part, dict) for part in value):
        value = [[point["x"], point["y"]] for point in value]
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = None  # polygons of different lengths, or no numbers
    if array is not None and array.ndim == 1:
        return [array] if array.size else []
    if array is not None and array.ndim == 2 and array.shape[1] == 2:
        return [array.ravel()]
    if isinstance(value, str):
        raise ValueError("text where numbers are expected")
    return [polygon for part in value for polygon in _polygons(part, nesting - 1)]
