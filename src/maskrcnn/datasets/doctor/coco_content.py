"""The contents of COCO label files, for checks and for corrected copies: plain JSON in one form, however written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats.coco_categories import read_categories
from maskrcnn.datasets.formats.coco_ids import Ids, numbered
from maskrcnn.datasets.formats.coco_images import file_name
from maskrcnn.datasets.formats.coco_shapes import plain_box, plain_segmentation
from maskrcnn.datasets.formats.image_finder import means
from maskrcnn.datasets.formats.reader_checks import whole
from maskrcnn.json_yaml import read_json

_LISTS = ("images", "annotations", "categories")


def coco_contents(dataset: Dataset) -> dict[Path, dict[str, Any]]:
    """The contents of the COCO label files that a data set was read from, with ids, boxes and masks in plain form."""
    files = dict.fromkeys(record.labels for record in dataset.records)
    if len(files) > max(8, len(dataset) // 2):
        return {}  # a label file an image is some other format
    contents = {}
    for file in files:
        if file is not None and file.suffix.lower() == ".json":
            content = read_json(file)
            if isinstance(content, dict) and all(isinstance(content.get(key), list) for key in _LISTS):
                contents[file] = _plain(content, file)
    return {file: content for file, content in contents.items() if _numbered_alike(dataset, file, content)}


def entries_of(content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The entries of one of the lists, without those that are no objects."""
    return [entry for entry in content[key] if isinstance(entry, dict)]


def _numbered_alike(dataset: Dataset, file: Path, content: Mapping[str, Any]) -> bool:
    """Whether images have the numbers of the file: where several data sets are used as one, they are new."""
    names: dict[int | None, str] = {}
    for entry in entries_of(content, "images"):
        names.setdefault(entry["id"], file_name(entry))
    records = [record for record in dataset.records if record.labels == file]
    return all(means(names.get(record.id, ""), record.path) for record in records)


def _plain(content: dict[str, Any], file: Path) -> dict[str, Any]:
    """The content with the numbers that the reader gives to ids (None for what is none), and plain boxes and masks."""
    entries = content["annotations"]
    classes = read_categories(content["categories"], entries, file).ids
    images = Ids(entry.get("id") for entry in entries_of(content, "images"))
    numbers = numbered(entry.get("id") if isinstance(entry, dict) else None for entry in entries)
    for number, entry in zip(numbers, entries, strict=True):
        if isinstance(entry, dict):
            entry["id"] = number
            entry["image_id"] = images.number(entry.get("image_id"))
            known = classes.number(entry.get("category_id"))
            entry["category_id"] = whole(entry.get("category_id")) if known is None else known
            if "bbox" in entry:
                entry["bbox"] = _plain_box(entry["bbox"])
            if "segmentation" in entry:
                entry["segmentation"] = _plain_shape(entry["segmentation"])
    for ids, key in ((images, "images"), (classes, "categories")):
        for entry in entries_of(content, key):
            entry["id"] = ids.number(entry.get("id"))
    return content


def _plain_box(value: Any) -> Any:
    box = plain_box(value)
    try:
        return [side if type(side) in (int, float) else float(side) for side in box]
    except (TypeError, ValueError, OverflowError):
        return box


def _plain_shape(value: Any) -> Any:
    shape = plain_segmentation(value)
    if isinstance(shape, list):
        return [part.tolist() if isinstance(part, np.ndarray) else part for part in shape]
    if isinstance(shape, dict) and isinstance(shape.get("counts"), np.ndarray | bytes):
        counts = shape["counts"]
        return {**shape, "counts": counts.decode() if isinstance(counts, bytes) else counts.tolist()}
    return shape
