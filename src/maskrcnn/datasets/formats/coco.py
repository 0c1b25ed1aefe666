"""COCO instance annotations: one .json with images, annotations and categories.

Segmentations are polygons, or run lengths (compressed or not); `bbox` is [x, y, width, height] in continuous image
pixels. LVIS files are read as well: `coco_url` names the image, and lists of absent classes are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn.annotations.annotation import Annotation, checked_polygons, clipped_box
from maskrcnn.annotations.labels import ImageRecord, Labels
from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.datasets.formats.coco_categories import Categories, read_categories
from maskrcnn.datasets.formats.coco_ids import Ids, numbered
from maskrcnn.datasets.formats.coco_images import entry_id, read_records
from maskrcnn.datasets.formats.coco_shapes import is_set, plain_box, plain_segmentation
from maskrcnn.datasets.formats.location import Location, json_files, json_kind
from maskrcnn.datasets.formats.reader_checks import stored_labels
from maskrcnn.datasets.formats.split_names import SPLIT_NAMES, split_folders, split_of
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import read_json, shown

_FEW = 8


def find(path: Path, kinds: tuple[str, ...] = ("coco",)) -> dict[str, Location]:
    """The .json files of the splits of a folder, or a .json file itself.

    Args:
        path: folder or file.
        kinds: see `json_kind`; files of unknown kind ("") are taken as well where another split has one of these.
    """
    if path.is_file():
        return {"": Location(path)} if path.suffix.lower() == ".json" and json_kind(path) in kinds else {}
    if _by_split(path, kinds):
        return _by_split(path, (*kinds, ""))
    whole = _only_json(path, kinds)
    return {"": Location(whole)} if whole else {}


def _by_split(root: Path, kinds: tuple[str, ...]) -> dict[str, Location]:
    files = [file for place in (root, root / "annotations") for file in json_files(place)]
    found: dict[str, Location] = {}
    for name in SPLIT_NAMES:
        patterns = (f"{name}.json", f"instances_{name}*.json", f"{name}*.json", "*")
        own = [file for file in files if split_of(file.stem) == name]
        ranked = sorted(own, key=lambda file: (file.parent != root, _rank(file.name.lower(), patterns)))
        file = next((file for file in ranked if json_kind(file) in kinds), None)
        if file is None and (folder := split_folders(root).get(name)):
            file = _only_json(folder, kinds)
        if file is not None:
            found[name] = Location(file)
    return found


def _rank(name: str, patterns: Sequence[str]) -> int:
    return next(rank for rank, pattern in enumerate(patterns) if fnmatchcase(name, pattern))


def _only_json(folder: Path, kinds: tuple[str, ...]) -> Path | None:
    """The one .json of a folder, or the one of these kinds among a few."""
    for place in (folder, folder / "annotations"):
        files = json_files(place)
        fitting = [file for file in files if json_kind(file) in kinds] if len(files) <= _FEW else []
        if len(fitting) == 1 and (len(files) == 1 or kinds != ("",)):
            return fitting[0]
    return None


def read(location: Location) -> Labels:
    """The data set of a COCO or LVIS .json; its images are looked for in the folders such files usually lie beside.

    Raises:
        MaskRCNNError: the file is no COCO file, or none of its images exists.
    """
    file, content = location.path, _content(location.path)
    entries = content["annotations"]
    classes = read_categories(content["categories"], entries, file)
    ids = Ids(entry.get("id") for entry in content["images"] if isinstance(entry, dict))
    orphans = Counter(ids.number(entry.get("image_id")) for entry in entries if isinstance(entry, dict))
    records, lost = read_records(content["images"], ids, file, orphans, classes)
    problems = [*classes.problems, *lost]
    row = {record.id: i for i, record in enumerate(records)}
    annotations: list[list[Annotation]] = [[] for _ in records]
    seen: set[int] = set()
    numbers = numbered(entry.get("id") if isinstance(entry, dict) else None for entry in entries)
    for place, (number, entry) in enumerate(zip(numbers, entries, strict=True), start=1):
        entries[place - 1] = None  # large files do not fit into memory twice
        called = entry_id(entry, place)
        where = (number, "") if called == str(number) else (None, f"annotation {called}")
        try:
            if not isinstance(entry, dict):
                what = f"expected an object, found {type(entry).__name__}"
                raise DataError("bad-entry", what, fix="correct or remove it")
            image_id = ids.number(entry.get("image_id"))
            if image_id is None:
                what = f"no image has the id {shown(entry.get('image_id'))}"
                raise DataError("unknown-image", what, fix="correct image_id or remove it")
            if image_id not in row:
                continue  # lost with its image
            annotation, box_fault = _annotation(entry, number, classes, records[row[image_id]])
        except DataError as error:
            problems.append(error.problem(file, 0, 1, *where))
            continue
        if box_fault:
            what, fix = f"{box_fault}, the mask's is used", "bbox is [x, y, width, height]"
            problems.append(Problem("box-mask-disagree", str(file), what, fix, "warning", 0, 0, *where))
        if annotation.id in seen:
            what, fix = "kept, but another annotation has the same id", "give each its own id"
            problems.append(Problem("duplicate-id", str(file), what, fix, "warning", 0, 0, *where))
        seen.add(annotation.id)
        annotations[row[image_id]].append(annotation)
    return stored_labels(classes.names, records, annotations, problems, file)


def _content(file: Path) -> dict[str, list[Any]]:
    content = read_json(file, object_hook=_compact)
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in keys):
        found = ", ".join(list(map(str, content))[:6]) if isinstance(content, dict) else type(content).__name__
        what = f"expected COCO's lists images, annotations and categories, found {found or 'nothing'}"
        raise MaskRCNNError(what, where=file, fix="export in COCO instance format")
    return content


def _compact(entry: dict[str, Any]) -> dict[str, Any]:
    """The same JSON object with its numbers as arrays, which take a quarter of the memory of lists."""
    try:
        if isinstance(polygons := entry.get("segmentation"), list):
            if polygons and isinstance(polygons[0], int | float | str):
                polygons = [polygons]  # one that is not in a list
            entry["segmentation"] = [np.array(polygon, dtype=np.float64) for polygon in polygons]
        if isinstance(counts := entry.get("counts"), list):
            entry["counts"] = np.array(counts)
    except (TypeError, ValueError, OverflowError):
        pass  # reported later, with the annotation's id
    return entry


def _annotation(entry: dict[str, Any], number: int, classes: Categories, record: ImageRecord) -> tuple[Annotation, str]:
    """An annotation, and what is wrong with its box if its mask makes up for it."""
    category = classes.ids.number(entry.get("category_id"))
    if category is None or category not in classes.labels:
        what = f"no category has the id {shown(entry.get('category_id'))}"
        raise DataError("unknown-category", what, fix="correct category_id or add the category")
    segmentation, fault = plain_segmentation(entry.get("segmentation")), ""
    written = plain_box(entry.get("bbox"))
    try:
        box = clipped_box(written, record.size)
    except DataError as error:
        if not _reaches_image(segmentation, record.size):
            raise
        box, fault = None, error.what
    if isinstance(segmentation, dict):
        if segmentation.get("size") != [record.height, record.width]:
            what = f"expected an RLE of size {[record.height, record.width]}, found {shown(segmentation.get('size'))}"
            raise DataError("rle-size", what, fix="write the RLE again at the size of the image")
    elif segmentation is not None and not _is_box(segmentation, written):
        segmentation = checked_polygons(segmentation)
    elif box is None:
        raise DataError("no-shape", "it has neither a mask nor a box", fix="draw or remove it")
    else:
        segmentation = None
    label, crowd = classes.labels[category], is_set(entry.get("iscrowd"))
    return Annotation(number, label, crowd, box, _area(entry), segmentation), fault


def _reaches_image(segmentation: Any, size: tuple[int, int]) -> bool:
    """Whether a segmentation lies, by its extent, at least partly in an image of `size` (H, W); True for an RLE."""
    if not isinstance(segmentation, list):
        return isinstance(segmentation, dict)
    parts = [part for part in segmentation if isinstance(part, np.ndarray) and part.size >= 6]
    polygons = [part[: part.size // 2 * 2].reshape(-1, 2) for part in parts]
    return any((np.minimum(part.max(axis=0), size[::-1]) > np.maximum(part.min(axis=0), 0)).all() for part in polygons)


def _is_box(segmentation: Any, written: Any) -> bool:
    """Whether polygons are the box once more, as [x, y, width, height] or as its corners."""
    polygon = segmentation[0] if isinstance(segmentation, list) and len(segmentation) == 1 else None
    if not (isinstance(polygon, np.ndarray) and polygon.shape == (4,)):
        return False
    try:
        x, y, width, height = map(float, written)
    except (TypeError, ValueError, OverflowError):
        return False
    return any(np.allclose(polygon, sides) for sides in ((x, y, width, height), (x, y, x + width, y + height)))


def _area(entry: dict[str, Any]) -> float | None:
    try:
        area = float(entry.get("area") or 0)
    except (TypeError, ValueError, OverflowError):
        return None
    return area if 0 < area < 1e12 else None
