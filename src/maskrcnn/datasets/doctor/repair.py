"""Writes a corrected copy of a data set; the data themselves are never changed.

COCO files keep whatever else they hold, such as licences; LVIS stays LVIS, all other formats become COCO.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.conversion.conversion import write_into
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.doctor.coco_content import coco_contents, entries_of
from maskrcnn.datasets.doctor.coco_fixes import FixCounts, apply_fixes, make_ids_unique
from maskrcnn.datasets.doctor.diagnosis import Diagnosis, Repair
from maskrcnn.datasets.doctor.examination import examine
from maskrcnn.datasets.formats.coco_categories import read_categories
from maskrcnn.datasets.formats.format_registry import BY_NAME, DataFormat
from maskrcnn.datasets.open_dataset import Source
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import read_json
from maskrcnn.output.atomic_file import free_name, make_folder, replacing, write_text
from maskrcnn.output.unfinished import is_free, unfinished_while
from maskrcnn.text import plural

_ROUNDS = 6  # fixing one problem may uncover another, such as a duplicate that was outside before


def repair(path: str | Path, out: str | Path, network: str = "lite", workers: int | None = None) -> Repair:
    """Copy the data set to the folder `out` and correct there what the catalogue calls fixable.

    Args:
        path, network, workers: as `examine` takes them.
        out: a new or empty folder outside the data.

    Raises:
        MaskRCNNError: `path` is no data set, a split of it cannot be read, or `out` cannot be used.
    """
    path, out = Path(path), Path(out)
    check_copy(path, out)
    source = Source(path)
    datasets = {name: source.open(name) for name in source.splits}
    make_folder(out)
    with unfinished_while(out):
        files, total = _copy(datasets, out) or _convert(datasets, source.format, out)
        for _ in range(_ROUNDS):
            after = examine(out, network, workers)
            done = [_fix_split(file, split, after) for split, file in files.items()]
            if not any(counts.problems for counts in done):
                break
            for counts in done:
                total.update(counts)
    # The copy was examined while it was marked as unfinished.
    after = replace(after, problems=[problem for problem in after.problems if problem.check != "unfinished"])
    left_out = [
        f"left out, {check}: {plural(total.images[check], 'image')}, {plural(total.objects[check], 'object')}"
        for check in total.images | total.objects  # those above 0
    ]
    return Repair(out, dict(+total.problems), left_out, after)


def check_copy(path: Path, out: Path) -> None:
    """Raises `MaskRCNNError` if `out` is no place for a copy of the data at `path`."""
    if not is_free(out):
        raise MaskRCNNError("expected a new or empty folder", where=out, fix="name another")
    if path.resolve() in (out.resolve(), *out.resolve().parents):
        raise MaskRCNNError("the copy would lie in the data themselves", where=out, fix="name a folder elsewhere")


def _copy(datasets: Mapping[str, Dataset], out: Path) -> tuple[dict[str, Path], FixCounts] | None:
    """Write the usable images of COCO files, and those files with all they hold; None if the data are not such files.

    Returns:
        The .json of each split, and what was fixed and left out on the way.
    """
    contents = {split: _content_of(dataset) for split, dataset in datasets.items()}
    files: dict[str, Path] = {}
    if None in contents.values():
        return None
    problems = [problem for dataset in datasets.values() for problem in dataset.problems]
    done = _lost(p for p in problems if p.images_lost or p.check in ("bad-entry", "unknown-image"))
    for split, dataset in datasets.items():
        content = contents[split] or {}
        files[split], folder = out / f"{split or 'annotations'}.json", out / (split or "images")
        folder.mkdir(parents=True)
        content["images"] = _copy_images(entries_of(content, "images"), dataset, folder)
        kept = {entry["id"] for entry in content["images"]}
        content["annotations"] = [entry for entry in entries_of(content, "annotations") if entry["image_id"] in kept]
        done.problems["duplicate-id"] += make_ids_unique(content["annotations"])
        write_text(files[split], json.dumps(content, ensure_ascii=False))
    done.problems["unknown-image"] += done.objects["unknown-image"]
    return files, done


def _content_of(dataset: Dataset) -> dict[str, Any] | None:
    """The content of the COCO file that a data set is, unless its classes were renamed, or it is an LVIS file."""
    contents = coco_contents(dataset)
    if len(contents) != 1 or not all(record.labels in contents for record in dataset.records):
        return None
    file, content = next(iter(contents.items()))
    if any("neg_category_ids" in entry for entry in entries_of(content, "images")):
        return None
    classes = read_categories(content["categories"], content["annotations"], file)
    return content if tuple(classes.names) == dataset.names else None


def _copy_images(entries: list[dict[str, Any]], dataset: Dataset, folder: Path) -> list[dict[str, Any]]:
    """The entries of the usable images, whose files are now in `folder`."""
    records = {record.id: record for record in dataset.records}
    images: dict[int, dict[str, Any]] = {}
    for entry in entries:
        record = records.get(entry["id"])
        if record is not None and record.id not in images:
            target = folder / free_name(folder, record.path.name)
            with replacing(target) as part:
                shutil.copyfile(record.path, part)
            size = {"height": record.height, "width": record.width}
            images[record.id] = {**entry, "id": record.id, "file_name": target.name, **size}
    return list(images.values())


def _convert(datasets: Mapping[str, Dataset], original: DataFormat, out: Path) -> tuple[dict[str, Path], FixCounts]:
    """Write data of any format as COCO, or LVIS; returns as `_copy`."""
    form = original if original.name == "lvis" else BY_NAME["coco"]
    done = write_into(datasets, out, form)
    files = {split: location.path for split, location in form.find(out).items()}
    return files, _lost([*done.problems, *done.omissions])


def _fix_split(file: Path, split: str, after: Diagnosis) -> FixCounts:
    """Fix in one split of the copy what was found in it."""
    problems = [problem for problem in after.problems if problem.fixable and problem.split == split]
    if not problems:
        return FixCounts()
    content = read_json(file)
    done = apply_fixes(content, file.parent / (split or "images"), problems)
    write_text(file, json.dumps(content, ensure_ascii=False))
    return done


def _lost(problems: Iterable[Problem]) -> FixCounts:
    """What readers left out."""
    lost = FixCounts()
    for problem in problems:
        lost.images[problem.check] += problem.images_lost
        lost.objects[problem.check] += problem.objects_lost
    return lost
