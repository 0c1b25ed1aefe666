"""COCO instance annotations: one .json with images, annotations and categories.

Segmentations are polygons, or run lengths (compressed or not); `bbox` is [x, y, width, height] in continuous image
pixels. What cannot be used is dropped with one line a case; masks are drawn when asked for.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskrcnn.data.dataset import Dataset, ImageRecord, Objects
from maskrcnn.data.image_io import image_size
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Box, Crop
from maskrcnn.masks.polygons import rasterise
from maskrcnn.masks.rle import decode

# A box and its mask agree if each side lies within 2 pixels or a tenth of the mask's extent.
_BOX_PIXELS, _BOX_SHARE = 2.0, 0.1


class _Annotation(NamedTuple):
    id: int
    label: int
    crowd: bool
    box: Box | None
    area: float | None
    segmentation: Any  # list of float64 arrays x0, y0, x1, y1, …, or an RLE dict


def read(file: str | Path) -> Dataset:
    """The data set of a COCO .json; its images are looked for in the folders such files usually lie beside.

    Raises:
        MaskRCNNError: the file is no COCO file, or none of its images exists.
    """
    file = Path(file)
    content = _content(file)
    problems: list[str] = []
    names, labels = _categories(content["categories"], file, problems)
    records = _records(content["images"], file, problems)
    skipped = len(content["images"]) - len(records)
    row = {record.id: i for i, record in enumerate(records)}
    images = {_whole(image.get("id")) for image in content["images"] if isinstance(image, dict)}
    annotations: list[list[_Annotation]] = [[] for _ in records]
    dropped, seen = 0, set()
    for number, entry in enumerate(content["annotations"], start=1):
        where = f"{file}, annotation {entry.get('id', f'number {number}') if isinstance(entry, dict) else number}"
        try:
            if not isinstance(entry, dict):
                raise MaskRCNNError(f"expected an object, found {type(entry).__name__}", fix="correct or remove it")
            image_id = _whole(entry.get("image_id"))
            if image_id is None or image_id not in images:
                raise MaskRCNNError(
                    f"no image has the id {entry.get('image_id')!r}", fix="correct image_id or remove it"
                )
            if image_id not in row:
                dropped += 1  # its image was dropped, which has its own line
                continue
            annotation = _annotation(entry, number, labels, records[row[image_id]])
        except MaskRCNNError as error:
            dropped += 1
            problems.append(f"{where}: dropped, {error}")
            continue
        if annotation.id in seen:
            problems.append(f"{where}: kept, but another annotation has the same id (give each its own id)")
        seen.add(annotation.id)
        annotations[row[image_id]].append(annotation)
    return Dataset(names, records, _CocoObjects(file, annotations), problems, skipped, dropped)


class _CocoObjects:
    """Draws the objects of the i-th image."""

    def __init__(self, file: Path, annotations: list[list[_Annotation]]) -> None:
        self.file, self.annotations = file, annotations

    def __call__(self, index: int, record: ImageRecord) -> tuple[Objects, list[str], list[str]]:
        dropped: list[str] = []
        notes: list[str] = []
        kept: list[tuple[_Annotation, Crop, Box]] = []
        for annotation in self.annotations[index]:
            where = f"{self.file}, annotation {annotation.id}"
            try:
                crop = _drawn(annotation.segmentation, (record.height, record.width))
            except MaskRCNNError as error:
                dropped.append(f"{where}: dropped, {error}")
                continue
            tight = crop.box
            box = annotation.box or tight
            if not _agree(box, tight):
                notes.append(
                    f"{where}: bbox {_xywh(box)} does not enclose its mask {_xywh(tight)}, the mask's is used "
                    "(bbox is [x, y, width, height])"
                )
                box = tight
            kept.append((annotation, crop, box))
        count = len(kept)
        objects = Objects(
            boxes=np.array([box for _, _, box in kept], dtype=np.float32).reshape(count, 4),
            labels=np.array([a.label for a, _, _ in kept], dtype=np.int64),
            crowd=np.array([a.crowd for a, _, _ in kept], dtype=bool),
            crops=[crop for _, crop, _ in kept],
            ids=np.array([a.id for a, _, _ in kept], dtype=np.int64),
            areas=np.array([a.area or crop.area for a, crop, _ in kept], dtype=np.float64),
        )
        return objects, dropped, notes


def _drawn(segmentation: Any, size: tuple[int, int]) -> Crop:
    crop = decode(segmentation) if isinstance(segmentation, dict) else rasterise(segmentation, size)
    if not crop.bitmap.size:
        raise MaskRCNNError("its mask covers no pixel of the image", fix="correct or remove it")
    return crop


def _content(file: Path) -> dict[str, list[Any]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise MaskRCNNError(f"cannot be read: {error}", where=file, fix="check the path") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MaskRCNNError(f"not valid JSON: {error}", where=file, fix="export the annotations again") from error
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in keys):
        found = ", ".join(list(map(str, content))[:6]) if isinstance(content, dict) else type(content).__name__
        raise MaskRCNNError(
            f"expected COCO's lists images, annotations and categories, found {found or 'nothing'}",
            where=file,
            fix="export in COCO instance format",
        )
    return content


def _categories(entries: list[Any], file: Path, problems: list[str]) -> tuple[list[str], dict[int, int]]:
    """Names in the order of the category ids, and category id → label. Ids with the same name share a label."""
    try:
        pairs = sorted((int(entry["id"]), str(entry["name"])) for entry in entries)
    except (TypeError, KeyError, ValueError) as error:
        raise MaskRCNNError("expected categories with an id and a name each", where=file, fix="correct them") from error
    if not pairs:
        raise MaskRCNNError("expected at least one category, found none", where=file, fix="add the categories")
    names = list(dict.fromkeys(name for _, name in pairs))
    if len(names) < len(pairs):
        problems.append(f"{file}: categories of the same name count as one class (rename them if they are not)")
    return names, {number: names.index(name) for number, name in pairs}


def _records(entries: list[Any], file: Path, problems: list[str]) -> list[ImageRecord]:
    folder = _image_folder(entries, file)
    records: dict[int, ImageRecord] = {}
    for number, entry in enumerate(entries, start=1):
        where = f"{file}, image {entry.get('id', f'number {number}') if isinstance(entry, dict) else number}"
        try:
            record = _record(entry, folder)
            if record.id in records:
                raise MaskRCNNError("another image has the same id", fix="give each image its own id")
            records[record.id] = record
        except MaskRCNNError as error:
            problems.append(f"{where}: dropped, {error}")
    if entries and not records:
        raise MaskRCNNError(
            f"none of its {len(entries)} images can be used, the first: {problems[-len(entries)]}",
            where=file,
            fix=f"put the images into {file.parent / file.stem}",
        )
    return list(records.values())


def _record(entry: Any, folder: Path) -> ImageRecord:
    image_id = _whole(entry.get("id")) if isinstance(entry, dict) else None
    if image_id is None or not entry.get("file_name"):
        raise MaskRCNNError("expected a whole number id and a file_name", fix="correct the entry")
    path = _image_path(folder, str(entry["file_name"]))
    if path is None:
        raise MaskRCNNError(f"no file {entry['file_name']} in {folder}", fix="add the file or remove the entry")
    height, width = entry.get("height"), entry.get("width")
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0):
        height, width = image_size(path)
    return ImageRecord(image_id, path, height, width)


def _image_path(folder: Path, name: str) -> Path | None:
    # Some exports write the path on the machine of origin: then the last part is the file's name.
    for path in (folder / name, folder / Path(name.replace("\\", "/")).name):
        if path.is_file():
            return path
    return None


def _image_folder(entries: list[Any], file: Path) -> Path:
    """The folder that holds most of the first images, among those such files usually lie beside."""
    stem = file.stem.removeprefix("instances_")
    roots = (file.parent, file.parent.parent)
    folders = [root / part for root in roots for part in (stem, f"images/{stem}", "images", "")]
    folders += [root / f"{stem}{year}" for root in roots for year in ("2017", "2014")]
    first = [str(e["file_name"]) for e in entries[:20] if isinstance(e, dict) and e.get("file_name")]
    return max(folders, key=lambda folder: sum(_image_path(folder, name) is not None for name in first))


def _annotation(entry: dict[str, Any], number: int, labels: dict[int, int], record: ImageRecord) -> _Annotation:
    category = _whole(entry.get("category_id"))
    if category is None or category not in labels:
        raise MaskRCNNError(
            f"no category has the id {entry.get('category_id')!r}", fix="correct category_id or add the category"
        )
    box = _box(entry.get("bbox"), record)
    segmentation = entry.get("segmentation")
    if not segmentation:
        raise MaskRCNNError("it has a box but no segmentation", fix="add masks: boxes alone do not train a mask head")
    if isinstance(segmentation, dict):
        if segmentation.get("size") != [record.height, record.width]:
            raise MaskRCNNError(
                f"expected an RLE of size {[record.height, record.width]}, found {segmentation.get('size')}",
                fix="write the RLE again at the size of the image",
            )
    else:
        segmentation = _polygons(segmentation)
    annotation_id = _whole(entry.get("id"))
    number = number if annotation_id is None else annotation_id
    area = entry.get("area")
    area = float(area) if isinstance(area, int | float) and area > 0 else None
    return _Annotation(number, labels[category], bool(entry.get("iscrowd", 0)), box, area, segmentation)


def _box(bbox: Any, record: ImageRecord) -> Box | None:
    """(x1, y1, x2, y2) clipped to the image; None where the annotation has no bbox."""
    if bbox is None or bbox == []:
        return None
    try:
        x, y, width, height = (float(value) for value in bbox)
    except (TypeError, ValueError) as error:
        raise MaskRCNNError(f"expected bbox [x, y, width, height], found {str(bbox)[:60]}", fix="correct it") from error
    if not (width > 0 and height > 0 and all(map(math.isfinite, (x, y, width, height)))):
        raise MaskRCNNError(f"its box {list(bbox)} has no area", fix="correct or remove it")
    x2, y2 = min(x + width, record.width), min(y + height, record.height)
    x, y = max(x, 0.0), max(y, 0.0)
    if x2 <= x or y2 <= y:
        raise MaskRCNNError(
            f"its box {list(bbox)} lies outside the {record.width} x {record.height} image", fix="correct or remove it"
        )
    return x, y, x2, y2


def _polygons(segmentation: Any) -> list[np.ndarray]:
    try:
        polygons = [np.asarray(polygon, dtype=np.float64) for polygon in segmentation]
    except (TypeError, ValueError) as error:
        raise MaskRCNNError("expected polygons as lists of numbers, or an RLE", fix="correct it") from error
    polygons = [polygon for polygon in polygons if polygon.ndim == 1 and polygon.size >= 6]
    if not polygons:
        raise MaskRCNNError("no polygon has 3 points", fix="correct or remove it")
    return polygons


def _whole(value: Any) -> int | None:
    """An id as a number: some exports write it as text."""
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else None


def _agree(box: Box, tight: Box) -> bool:
    slack_x = max(_BOX_PIXELS, _BOX_SHARE * (tight[2] - tight[0]))
    slack_y = max(_BOX_PIXELS, _BOX_SHARE * (tight[3] - tight[1]))
    slack = (slack_x, slack_y, slack_x, slack_y)
    return all(abs(a - b) <= s for a, b, s in zip(box, tight, slack, strict=True))


def _xywh(box: Box) -> list[float]:
    return [round(value, 1) for value in (box[0], box[1], box[2] - box[0], box[3] - box[1])]
