"""COCO instance annotations: one .json with images, annotations and categories.

Segmentations are polygons, or run lengths (compressed or not); `bbox` is [x, y, width, height] in continuous image
pixels. What cannot be used is dropped with one line a case; masks are drawn when asked for. LVIS files are read as
well: `coco_url` names the image, and what is known of absent classes is kept. `coco_writer` writes both.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn.data.dataset import SPLITS, Dataset, ImageRecord, StoredAnnotations
from maskrcnn.data.formats.checks import boxes_only, checked_size
from maskrcnn.data.formats.image_finder import ImageFinder
from maskrcnn.data.formats.location import Location, json_kind, split_folders
from maskrcnn.data.objects import Annotation, checked_polygons, clipped_box
from maskrcnn.data.problem import DataError, Problem
from maskrcnn.errors import MaskRCNNError


def find(path: Path, kinds: tuple[str, ...] = ("coco",)) -> dict[str, Location]:
    """The .json files of the splits of a folder, or a .json file itself.

    Args:
        path: folder or file.
        kinds: see `json_kind`; beside a file of these, one of which nothing can be told counts as well.
    """
    if path.is_file():
        return {"": Location(path)} if path.suffix.lower() == ".json" and json_kind(path) in kinds else {}
    if _named(path, kinds):
        return _named(path, (*kinds, ""))
    whole = _only(path, kinds)
    return {"": Location(whole)} if whole else {}


def _named(root: Path, kinds: tuple[str, ...]) -> dict[str, Location]:
    names = [name for aliases in SPLITS.values() for name in aliases]
    return {name: Location(file) for name in names if (file := _of_split(root, name, kinds))}


def _of_split(root: Path, name: str, kinds: tuple[str, ...]) -> Path | None:
    patterns = (f"{name}.json", f"instances_{name}*.json", f"{name}*.json", f"*_{name}*.json")
    for place, pattern in ((place, pattern) for place in (root, root / "annotations") for pattern in patterns):
        for file in sorted(place.glob(pattern)) if place.is_dir() else ():
            if json_kind(file) in kinds:
                return file
    folder = split_folders(root).get(name)
    return _only(folder, kinds) if folder else None


def _only(folder: Path, kinds: tuple[str, ...]) -> Path | None:
    """The one .json of a folder."""
    for place in (folder, folder / "annotations"):
        files = sorted(place.glob("*.json")) if place.is_dir() else []
        if len(files) == 1 and json_kind(files[0]) in kinds:
            return files[0]
    return None


def read(location: Location | str | Path, names: Sequence[str] | None = None) -> Dataset:
    """The data set of a COCO or LVIS .json; its images are looked for in the folders such files usually lie beside.

    Args:
        location: of the .json file.
        names: not used, the file has its own.

    Raises:
        MaskRCNNError: the file is no COCO file, or none of its images exists.
    """
    file = Location.of(location).path
    content = _content(file)
    problems: list[Problem] = []
    classes, labels = _categories(content["categories"], file, problems)
    images = {_whole(image.get("id")) for image in content["images"] if isinstance(image, dict)}
    orphans: Counter[int | None] = Counter(
        _whole(entry.get("image_id")) for entry in content["annotations"] if isinstance(entry, dict)
    )
    called = {number: classes[label] for number, label in labels.items()}
    records = _records(content["images"], file, orphans, called, problems)
    row = {record.id: i for i, record in enumerate(records)}
    annotations: list[list[Annotation]] = [[] for _ in records]
    seen: set[int] = set()
    entries = content["annotations"]
    for number, entry in enumerate(entries, start=1):
        entries[number - 1] = None  # large files do not fit into memory twice
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
    problems += boxes_only(annotations, file)
    return Dataset(classes, records, StoredAnnotations(annotations), problems)


def _content(file: Path) -> dict[str, list[Any]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"), object_hook=_compact)
    except OSError as error:
        raise MaskRCNNError(f"cannot be read: {error}", where=file, fix="check the path") from error
    except (ValueError, RecursionError) as error:
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


def _compact(entry: dict[str, Any]) -> dict[str, Any]:
    """The same JSON object with its numbers as arrays, which take a quarter of the memory of lists."""
    try:
        if isinstance(polygons := entry.get("segmentation"), list):
            entry["segmentation"] = [np.array(polygon, dtype=np.float64) for polygon in polygons]
        if isinstance(counts := entry.get("counts"), list):
            entry["counts"] = np.array(counts)
    except (TypeError, ValueError, OverflowError):
        pass  # told later, with the annotation's id
    return entry


def _categories(entries: list[Any], file: Path, problems: list[Problem]) -> tuple[list[str], dict[int, int]]:
    """Names in the order of the category ids, and category id → label. Ids with the same name share a label."""
    try:
        pairs = sorted((int(entry["id"]), str(entry["name"])) for entry in entries)
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise MaskRCNNError("expected categories with an id and a name each", where=file, fix="correct them") from error
    if not pairs:
        raise MaskRCNNError("expected at least one category, found none", where=file, fix="add the categories")
    names = list(dict.fromkeys(name for _, name in pairs))
    if len(names) < len(pairs):
        what = "categories of the same name count as one class"
        problems.append(Problem("duplicate-category", str(file), what, "rename them if they are not", "warning"))
    place = {name: label for label, name in enumerate(names)}
    return names, {number: place[name] for number, name in pairs}


def _records(
    entries: list[Any], file: Path, objects: Counter[int | None], called: dict[int, str], problems: list[Problem]
) -> list[ImageRecord]:
    """The images that can be used; `objects` counts the annotations of each image id."""
    finder = _finder(entries, file)
    records: dict[int, ImageRecord] = {}
    for number, entry in enumerate(entries, start=1):
        image_id = _whole(entry.get("id")) if isinstance(entry, dict) else None
        where = f"{file}, image {f'number {number}' if image_id is None else image_id}"
        try:
            record = _record(entry, image_id, finder, file, called)
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


def _record(entry: Any, image_id: int | None, finder: ImageFinder, file: Path, called: dict[int, str]) -> ImageRecord:
    name = _file_name(entry)
    if image_id is None or not name:
        raise DataError("bad-entry", "expected a whole number id and a file_name", fix="correct the entry")
    path = finder.find(name)
    if path is None:
        what = f"no file {name} in {finder.folders[0]}"
        raise DataError("missing-image", what, fix="add the file or remove the entry")
    height, width = checked_size(entry.get("height"), entry.get("width"), path)
    absent = entry.get("neg_category_ids")
    return ImageRecord(
        image_id,
        path,
        height,
        width,
        file,
        _names(absent, called) if isinstance(absent, list) else None,
        _names(entry.get("not_exhaustive_category_ids"), called),
    )


def _file_name(entry: Any) -> str:
    """LVIS has only a URL, whose last two parts are the folder and the name."""
    if not isinstance(entry, dict):
        return ""
    return str(entry.get("file_name") or "/".join(str(entry.get("coco_url") or "").split("/")[-2:]))


def _finder(entries: list[Any], file: Path) -> ImageFinder:
    """Looks first where most of the first images are, among the folders that such files usually lie beside."""
    stem = file.stem.removeprefix("instances_").removeprefix("lvis_v1_")
    roots = (file.parent, file.parent.parent)
    folders = [root / part for root in roots for part in (stem, f"images/{stem}", "images", "")]
    folders += [root / f"{stem}{year}" for root in roots for year in ("2017", "2014")]
    finders = [ImageFinder([folder]) for folder in folders]
    first = [name for entry in entries[:20] if (name := _file_name(entry))]
    best = max(finders, key=lambda finder: sum(finder.find(name) is not None for name in first))
    return ImageFinder([*best.folders, *roots])


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
    area = float(area) if isinstance(area, int | float) and 0 < area < 1e12 else None
    return Annotation(number, labels[category], entry.get("iscrowd") in (1, True, "1"), box, area, segmentation)


def _names(ids: Any, called: dict[int, str]) -> tuple[str, ...]:
    return tuple(called[i] for i in ids if isinstance(i, int) and i in called) if isinstance(ids, list) else ()


def _whole(value: Any) -> int | None:
    """An id as a number: some exports write it as text."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        value = int(value)
    return int(value) if isinstance(value, int) and abs(value) < 2**63 else None
