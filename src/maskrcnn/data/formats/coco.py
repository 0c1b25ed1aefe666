"""COCO instance annotations: one .json with images, annotations and categories.

Segmentations are polygons, or run lengths (compressed or not); `bbox` is [x, y, width, height] in continuous image
pixels. What cannot be used is dropped with one line a case; masks are drawn when asked for.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from maskrcnn.data.dataset import Dataset, ImageRecord, StoredAnnotations
from maskrcnn.data.image_io import image_size
from maskrcnn.data.objects import Annotation, checked_polygons, clipped_box
from maskrcnn.data.problem import DataError, Problem
from maskrcnn.errors import MaskRCNNError


def read(file: str | Path) -> Dataset:
    """The data set of a COCO .json; its images are looked for in the folders such files usually lie beside.

    Raises:
        MaskRCNNError: the file is no COCO file, or none of its images exists.
    """
    file = Path(file)
    content = _content(file)
    problems: list[Problem] = []
    names, labels = _categories(content["categories"], file, problems)
    images = {_whole(image.get("id")) for image in content["images"] if isinstance(image, dict)}
    orphans: Counter[int | None] = Counter(
        _whole(entry.get("image_id")) for entry in content["annotations"] if isinstance(entry, dict)
    )
    records = _records(content["images"], file, orphans, problems)
    row = {record.id: i for i, record in enumerate(records)}
    annotations: list[list[Annotation]] = [[] for _ in records]
    seen: set[int] = set()
    for number, entry in enumerate(content["annotations"], start=1):
        where = f"{file}, annotation {entry.get('id', f'number {number}') if isinstance(entry, dict) else number}"
        try:
            if not isinstance(entry, dict):
                raise DataError(
                    "bad-entry", f"expected an object, found {type(entry).__name__}", fix="correct or remove it"
                )
            image_id = _whole(entry.get("image_id"))
            if image_id is None or image_id not in images:
                what = f"no image has the id {entry.get('image_id')!r}"
                raise DataError("unknown-image", what, fix="correct image_id or remove it")
            if image_id not in row:
                continue  # lost with its image
            annotation = _annotation(entry, number, labels, records[row[image_id]])
        except DataError as error:
            problems.append(error.problem(where, objects_lost=1))
            continue
        if annotation.id in seen:
            what = "kept, but another annotation has the same id"
            problems.append(Problem("duplicate-id", where, what, "give each its own id", "warning"))
        seen.add(annotation.id)
        annotations[row[image_id]].append(annotation)
    problems += _boxes_only(annotations, file)
    return Dataset(names, records, StoredAnnotations(annotations), problems)


def _boxes_only(annotations: list[list[Annotation]], file: Path) -> list[Problem]:
    """One line for all objects that have a box and no mask."""
    single = [annotation for image in annotations for annotation in image if not annotation.crowd]
    maskless = sum(annotation.segmentation is None for annotation in single)
    if not maskless:
        return []
    what = f"{maskless:,} of {len(single):,} objects have a box and no mask: they train and measure boxes only"
    return [Problem("no-mask", str(file), what, "add masks if you have them", "note")]


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


def _categories(entries: list[Any], file: Path, problems: list[Problem]) -> tuple[list[str], dict[int, int]]:
    """Names in the order of the category ids, and category id → label. Ids with the same name share a label."""
    try:
        pairs = sorted((int(entry["id"]), str(entry["name"])) for entry in entries)
    except (TypeError, KeyError, ValueError) as error:
        raise MaskRCNNError("expected categories with an id and a name each", where=file, fix="correct them") from error
    if not pairs:
        raise MaskRCNNError("expected at least one category, found none", where=file, fix="add the categories")
    names = list(dict.fromkeys(name for _, name in pairs))
    if len(names) < len(pairs):
        what = "categories of the same name count as one class"
        problems.append(Problem("duplicate-category", str(file), what, "rename them if they are not", "warning"))
    return names, {number: names.index(name) for number, name in pairs}


def _records(
    entries: list[Any], file: Path, objects: Counter[int | None], problems: list[Problem]
) -> list[ImageRecord]:
    """The images that can be used; `objects` counts the annotations of each image id."""
    folder = _image_folder(entries, file)
    records: dict[int, ImageRecord] = {}
    for number, entry in enumerate(entries, start=1):
        image_id = _whole(entry.get("id")) if isinstance(entry, dict) else None
        where = f"{file}, image {f'number {number}' if image_id is None else image_id}"
        try:
            record = _record(entry, image_id, folder, file)
            if record.id in records:
                raise DataError("duplicate-image-id", "another image has the same id", fix="give each image its own id")
            records[record.id] = record
        except DataError as error:
            lost = objects[image_id] if image_id is not None and image_id not in records else 0
            problems.append(error.problem(where, 1, lost))
    if entries and not records:
        raise MaskRCNNError(
            f"none of its {len(entries)} images can be used, the first: {problems[-len(entries)]}",
            where=file,
            fix=f"put the images into {file.parent / file.stem}",
        )
    return list(records.values())


def _record(entry: Any, image_id: int | None, folder: Path, file: Path) -> ImageRecord:
    if image_id is None or not entry.get("file_name"):
        raise DataError("bad-entry", "expected a whole number id and a file_name", fix="correct the entry")
    path = _image_path(folder, str(entry["file_name"]))
    if path is None:
        what = f"no file {entry['file_name']} in {folder}"
        raise DataError("missing-image", what, fix="add the file or remove the entry")
    height, width = entry.get("height"), entry.get("width")
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0):
        try:
            height, width = image_size(path)
        except MaskRCNNError as error:
            raise DataError("unreadable-image", str(error), fix="") from error
    return ImageRecord(image_id, path, height, width, file)


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


def _annotation(entry: dict[str, Any], number: int, labels: dict[int, int], record: ImageRecord) -> Annotation:
    category = _whole(entry.get("category_id"))
    if category is None or category not in labels:
        what = f"no category has the id {entry.get('category_id')!r}"
        raise DataError("unknown-category", what, fix="correct category_id or add the category")
    box = clipped_box(entry.get("bbox"), record.size)
    segmentation = entry.get("segmentation") or None
    if isinstance(segmentation, dict):
        if segmentation.get("size") != [record.height, record.width]:
            what = f"expected an RLE of size {[record.height, record.width]}, found {segmentation.get('size')}"
            raise DataError("rle-size", what, fix="write the RLE again at the size of the image")
    elif segmentation is not None:
        segmentation = checked_polygons(segmentation)
    elif box is None:
        raise DataError("no-shape", "it has neither a mask nor a box", fix="draw or remove it")
    annotation_id = _whole(entry.get("id"))
    number = number if annotation_id is None else annotation_id
    area = entry.get("area")
    area = float(area) if isinstance(area, int | float) and area > 0 else None
    return Annotation(number, labels[category], bool(entry.get("iscrowd", 0)), box, area, segmentation)


def _whole(value: Any) -> int | None:
    """An id as a number: some exports write it as text."""
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else None
