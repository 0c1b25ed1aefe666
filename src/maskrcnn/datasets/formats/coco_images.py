"""The images of a COCO file, and where their files lie."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from maskrcnn.annotations.labels import ImageRecord
from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.datasets.formats.coco_categories import Categories
from maskrcnn.datasets.formats.coco_ids import Ids
from maskrcnn.datasets.formats.image_finder import ImageFinder
from maskrcnn.datasets.formats.reader_checks import checked_size, whole
from maskrcnn.datasets.formats.split_names import aliases, split_folders, split_of
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown
from maskrcnn.text import plural


def read_records(
    entries: list[Any], ids: Ids, file: Path, objects: Counter[int | None], classes: Categories
) -> tuple[list[ImageRecord], list[Problem]]:
    """The images that can be used, and a problem for each other; `objects` counts the annotations of each image id."""
    problems: list[Problem] = []
    finder = _finder(entries, file)
    records: dict[int, ImageRecord] = {}
    for place, entry in enumerate(entries, start=1):
        number = ids.number(entry.get("id")) if isinstance(entry, dict) else None
        try:
            record = _record(entry, number, finder, file, classes)
            if record.id in records:
                raise DataError("duplicate-image-id", "another image has the same id", fix="give each image its own id")
            records[record.id] = record
        except DataError as error:
            lost = objects[number] if number is not None and number not in records else 0
            problems.append(error.problem(file, 1, lost, entry=f"image {entry_id(entry, place)}"))
    if entries and not records:
        missing = all(problem.check == "missing-image" for problem in problems)
        fix = f"put the images into {file.parent / file.stem}" if missing else "correct the file"
        what = f"none of its {plural(len(entries), 'image')} can be used, the first: {problems[0]}"
        raise MaskRCNNError(what, where=file, fix=fix)
    return list(records.values()), problems


def _record(entry: Any, number: int | None, finder: ImageFinder, file: Path, classes: Categories) -> ImageRecord:
    name = file_name(entry)
    if number is None or not name:
        found = f"{shown(entry.get('id'))} and {shown(name)}" if isinstance(entry, dict) else shown(entry)
        what = f"expected a whole number id and a file_name, found {found}"
        raise DataError("bad-entry", what, fix="correct the entry")
    path = finder.found(name)
    height, width = checked_size(entry.get("height"), entry.get("width"), path)
    ids = entry.get("neg_category_ids")
    absent = _names(ids, classes) if isinstance(ids, list) else None
    partial = _names(entry.get("not_exhaustive_category_ids"), classes)
    return ImageRecord(number, path, height, width, file, absent, partial)


def file_name(entry: Any) -> str:
    """The name of an image's file; LVIS has only its URL. "" if there is none."""
    if not isinstance(entry, dict):
        return ""
    for key in ("file_name", "coco_url"):
        if (name := entry.get(key)) and isinstance(name, str | int) and name is not True:
            return str(name)
    return ""


def entry_id(entry: Any, place: int) -> str:
    """The id of an entry for messages, or its position in the list."""
    value = entry.get("id") if isinstance(entry, dict) else None
    if value is None:
        return f"number {place}"
    number = whole(value)
    return shown(value).strip("'") if number is None else str(number)


def _finder(entries: list[Any], file: Path) -> ImageFinder:
    """A finder that starts in the folder, of those usual beside COCO files, that has most of the first images."""
    stem, split = file.stem.removeprefix("instances_").removeprefix("lvis_v1_"), split_of(file.stem)
    roots = (file.parent, file.parent.parent)
    folders = [root / part for root in roots for part in (stem, f"images/{stem}", "images", "data", "")]
    folders += [root / f"{stem}{year}" for root in roots for year in ("2017", "2014")]
    parents = (place for root in roots for place in (root, root / "images"))
    folders += [f for place in parents for name, f in split_folders(place).items() if name in aliases(split)]
    names = [name for entry in entries if (name := file_name(entry))]
    best = max(folders, key=lambda folder: sum(map(ImageFinder([folder]).directly, names[:20])))
    holders = [folder for folder in dict.fromkeys((best, *folders)) if folder not in roots]
    return ImageFinder([best, *holders, *roots], names, holders, file.parent, split)


def _names(ids: Any, classes: Categories) -> tuple[str, ...]:
    numbers = [classes.ids.number(value) for value in ids] if isinstance(ids, list) else []
    return tuple(classes.called[number] for number in numbers if number is not None and number in classes.labels)
