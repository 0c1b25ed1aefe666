"""Fixes of one COCO label file and its images, for problems that can be corrected without guessing."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.objects import draw
from maskrcnn.annotations.problem import Problem
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.box_geometry import to_xywh
from maskrcnn.masks.crop import Crop
from maskrcnn.output.atomic_file import replacing, write_bytes

_ORIENTATION = 0x0112
_Entry = dict[str, Any]
_DROP_OBJECT = {"empty-mask", "no-shape", "unknown-image", "duplicate-object"}
_DROP_IMAGE = {"unreadable-image", "duplicate-image", "leak"}


@dataclass
class FixCounts:
    """By check: the number of problems fixed, and of images and objects left out."""

    problems: Counter[str] = field(default_factory=Counter)
    images: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)

    def update(self, other: FixCounts) -> None:
        """Add the counts of another."""
        self.problems.update(other.problems)
        self.images.update(other.images)
        self.objects.update(other.objects)


def apply_fixes(content: dict[str, Any], folder: Path, problems: Iterable[Problem]) -> FixCounts:
    """Correct `content` and the images in `folder` for each of the problems that can be fixed.

    Args:
        content: of a COCO file whose annotation ids differ from each other; its images lie in `folder`.
        folder: of copies of the images: files are changed and removed here.
    """
    images = {str(folder / entry["file_name"]): entry for entry in content["images"]}
    sizes = {entry["id"]: (entry["height"], entry["width"]) for entry in content["images"]}
    entries = {entry["id"]: entry for entry in content["annotations"]}
    done: Counter[str] = Counter()
    lost_images: dict[int, str] = {}
    lost_objects: dict[int, str] = {}
    for problem in problems:
        check, entry = problem.check, entries.get(problem.annotation)
        if check in _DROP_IMAGE and problem.file in images:
            lost_images[images[problem.file]["id"]] = check
            Path(problem.file).unlink(missing_ok=True)
        elif check == "exif-rotation" and problem.file in images:
            reset_orientation(Path(problem.file))
        elif (check in _DROP_OBJECT or check in _FIXES) and entry is not None:
            if check in _DROP_OBJECT or not _FIXES[check](entry, sizes[entry["image_id"]]):
                lost_objects[entry["id"]] = check
        elif check == "xyxy-box" and problem.annotation is None:
            for other in content["annotations"]:
                if not other.get("segmentation") and other.get("bbox"):
                    _from_corners(other, sizes[other["image_id"]])
        else:
            continue
        done[check] += 1
    for entry in content["annotations"]:
        if entry["image_id"] in lost_images:
            lost_objects[entry["id"]] = lost_images[entry["image_id"]]
    content["images"] = [entry for entry in content["images"] if entry["id"] not in lost_images]
    content["annotations"] = [entry for entry in content["annotations"] if entry["id"] not in lost_objects]
    return FixCounts(done, Counter(lost_images.values()), Counter(lost_objects.values()))


def make_ids_unique(annotations: list[_Entry]) -> int:
    """Give each annotation without an id, or with that of an earlier one, a new number; returns how many."""
    used = {entry["id"] for entry in annotations if type(entry.get("id")) is int}
    seen: set[int] = set()
    free, changed = max(used, default=0) + 1, 0
    for entry in annotations:
        if type(entry.get("id")) is not int or entry["id"] in seen:
            entry["id"], free, changed = free, free + 1, changed + 1
        seen.add(entry["id"])
    return changed


def reset_orientation(path: Path) -> None:
    """Set the EXIF orientation of an image file to "as stored"; its pixels stay as they are, to the bit."""
    with Image.open(path) as image:
        exif, kind = image.info.get("exif", b""), image.format
        upright = _upright(exif)
        if kind == "PNG":  # a chunk of a PNG has a checksum; writing its pixels again loses nothing
            with replacing(path) as part:
                image.save(part, format=kind, exif=upright)
            return
    write_bytes(path, path.read_bytes().replace(exif, upright, 1))


def clip_polygon(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The part of a polygon, flat [2 P], inside an image of `size` (H, W); flat, maybe empty (Sutherland-Hodgman)."""
    points = polygon.reshape(-1, 2)
    for axis, limit in ((0, size[1]), (1, size[0])):
        for sign, bound in ((1, 0.0), (-1, -float(limit))):
            inside = sign * points[:, axis] >= bound
            kept = []
            for here, after, now, then in zip(points, np.roll(points, -1, 0), inside, np.roll(inside, -1), strict=True):
                if now:
                    kept.append(here)
                if now != then:
                    share = (sign * bound - here[axis]) / (after[axis] - here[axis])
                    crossing = here + share * (after - here)
                    crossing[axis] = sign * bound
                    kept.append(crossing)
            points = np.array(kept).reshape(-1, 2)
    return points.ravel()


def _upright(exif: bytes) -> bytes:
    """EXIF data with the orientation, if it has one, set to 1."""
    start = 6 if exif.startswith(b"Exif\0\0") else 0
    order = "<" if exif[start : start + 2] == b"II" else ">"
    data = bytearray(exif)
    try:
        first = start + struct.unpack_from(f"{order}I", exif, start + 4)[0]
        for number in range(struct.unpack_from(f"{order}H", exif, first)[0]):
            place = first + 2 + 12 * number
            if struct.unpack_from(f"{order}H", exif, place)[0] == _ORIENTATION:
                struct.pack_into(f"{order}H", data, place + 8, 1)
    except struct.error:
        return exif
    return bytes(data)


def _mask(entry: Mapping[str, Any], size: tuple[int, int]) -> Crop | None:
    """The mask of an annotation as written; None if it has none or one that cannot be drawn."""
    shape = entry.get("segmentation") or None
    try:
        if isinstance(shape, list):
            shape = [np.asarray(polygon, dtype=np.float64) for polygon in shape]
        return draw(Annotation(0, 0, False, None, None, shape), size)
    except (MaskRCNNError, TypeError, ValueError):
        return None


def _box_of_mask(entry: _Entry, size: tuple[int, int]) -> bool:
    crop = _mask(entry, size)
    if crop is not None:
        entry["bbox"] = to_xywh(crop.box).tolist()
    return crop is not None


def _area_of_mask(entry: _Entry, size: tuple[int, int]) -> bool:
    crop = _mask(entry, size)
    if crop is not None:
        entry["area"] = crop.area
    return True


def _from_corners(entry: _Entry, size: tuple[int, int]) -> bool:
    x1, y1, x2, y2 = entry["bbox"]
    entry["bbox"] = [x1, y1, x2 - x1, y2 - y1]
    return True


def _clip(entry: _Entry, size: tuple[int, int]) -> bool:
    shape = entry.get("segmentation")
    if isinstance(shape, list) and shape:
        clipped = [clip_polygon(np.asarray(polygon, dtype=np.float64), size) for polygon in shape]
        entry["segmentation"] = [polygon.tolist() for polygon in clipped if polygon.size >= 6]
    if isinstance(entry.get("bbox"), list) and len(entry["bbox"]) == 4:
        x, y, width, height = entry["bbox"]
        x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + width, size[1]), min(y + height, size[0])
        entry["bbox"] = [x1, y1, x2 - x1, y2 - y1]
    return True


# Each corrects an annotation in an image of (H, W), and returns whether to keep it.
_FIXES: dict[str, Callable[[_Entry, tuple[int, int]], bool]] = {
    "zero-area": _box_of_mask,
    "outside-image": _box_of_mask,
    "box-mask-disagree": _box_of_mask,
    "area-disagree": _area_of_mask,
    "partly-outside": _clip,
    "xyxy-box": _from_corners,
}
