"""The doctor: looks at every image and label of a data set, in all its splits, and tells what is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

from maskrcnn.config import preset
from maskrcnn.datasets.dataset import Dataset, check_finished, open_as_found, split_names
from maskrcnn.datasets.doctor.class_checks import class_findings
from maskrcnn.datasets.doctor.coco_checks import (
    coco_files,
    coco_findings,
    counting_lost,
    listed_names,
    unlisted_findings,
)
from maskrcnn.datasets.doctor.copy_checks import copy_findings
from maskrcnn.datasets.doctor.diagnosis import Diagnosis, Finding, found, from_problem, in_order, in_split
from maskrcnn.datasets.doctor.image_checks import exif_in_place_of_mismatch
from maskrcnn.datasets.doctor.look import Look, look
from maskrcnn.datasets.doctor.split_checks import size_findings, split_findings
from maskrcnn.errors import MaskRCNNError
from maskrcnn.output.unfinished import MARK, unfinished_folder

_IMAGES_A_WORKER = 48  # below, starting a process costs more than it saves
_WORKERS_A_CORE = 8

# A fault of the whole label file, and what follows from it for single images, annotations and classes.
_NO_OBJECTS = {"no-objects", "unannotated-image", "class-without-examples", "class-too-rare"}
_NO_OBJECTS |= {"class-only-in-val", "class-only-in-train"}
_CONSEQUENCES = {
    "category-offset": {"unknown-category"} | _NO_OBJECTS,
    "normalised-coordinates": {"empty-mask", "zero-area", "box-mask-disagree", "area-disagree", "smaller-than-stride"}
    | {"degenerate-polygon", "duplicate-object"}
    | _NO_OBJECTS,
    "no-objects": {"unannotated-image", "no-mask"},
    "ids-not-separate": {"class-too-rare"},
}
# A fault of one split, and what follows from it for others.
_ELSEWHERE = {"unreadable-split": {"no-validation", "class-only-in-train", "class-only-in-val"}}
# A fault of one annotation or image, and what else is then said of it.
_SAYS_MORE = {
    "xyxy-box": {"box-mask-disagree", "partly-outside", "smaller-than-stride"},
    "degenerate-polygon": {"self-intersection", "long-object", "area-disagree", "smaller-than-stride"},
    "partly-outside": {"box-mask-disagree"},
    "whole-image-mask": {"mask-is-box"},
}


def examine(
    path: str | Path,
    network: str = "lite",
    workers: int | None = None,
    start: Callable[[int], object] = lambda images: None,
    advance: Callable[[], object] = lambda: None,
) -> Diagnosis:
    """Look for every fault of the catalogue.

    Args:
        path: what `open_dataset` takes.
        network: preset by whose input size objects are called too small, and whose limit of detections counts.
        workers: processes; one a core if None, and none for few images. Findings do not depend on it.
        start: called once with the number of images.
        advance: called after each image.

    Raises:
        MaskRCNNError: `path` is no data set, or none of its splits can be read.
    """
    config = preset(network)
    path = Path(path)
    try:
        datasets, findings = _open(path)
    except MaskRCNNError:
        check_finished(path)
        raise
    if folder := unfinished_folder(path):
        findings.append(found("unfinished", folder / MARK, "the run that wrote this data set has not come to its end"))
    start(sum(len(dataset) for dataset in datasets.values()))
    looks: dict[str, list[Look]] = {split: [] for split in datasets}
    problems = {split: [from_problem(problem) for problem in dataset.problems] for split, dataset in datasets.items()}
    for split, seen in _look_at_all(datasets, workers):
        looks[split].append(seen)
        advance()
    sources = {split: _source(dataset, path) for split, dataset in datasets.items()}
    listed: dict[Path, set[str]] = {}
    folders: set[Path] = set()
    for split, dataset in datasets.items():
        contents = coco_files(dataset)
        looks[split] = counting_lost(looks[split], contents)
        of_split = [_without_mismatch(finding) for finding in problems[split]]
        of_split += [finding for seen in looks[split] for finding in seen.findings]
        of_split += [*split_findings(looks[split], sources[split]), *size_findings(looks[split], config)]
        for file, content in contents.items():
            seen_there = [seen for seen in looks[split] if seen.record.labels == file]
            of_split += coco_findings(file, content, seen_there)
            listed[file] = listed_names(content, seen_there)
            folders.update(seen.record.path.parent for seen in seen_there)
        findings += in_split(of_split, split)
    findings += unlisted_findings(listed, folders)
    findings += copy_findings(looks)
    findings += class_findings({split: dataset.names for split, dataset in datasets.items()}, looks, sources)
    return Diagnosis(
        str(path),
        {split: len(members) for split, members in looks.items()},
        {split: sum(len(seen.ids) for seen in members) for split, members in looks.items()},
        in_order(_most_telling(findings), list(datasets)),
    )


def _open(path: Path) -> tuple[dict[str, Dataset], list[Finding]]:
    """The data set of each split; a split that cannot be read is a finding, unless none can."""
    names = split_names(path)
    datasets: dict[str, Dataset] = {}
    errors: list[tuple[str, MaskRCNNError]] = []
    for name in names or [""]:
        try:
            datasets[name] = open_as_found(path, name if len(names) > 1 else None)
        except MaskRCNNError as error:
            errors.append((name, error))
    if not datasets:
        raise errors[0][1]
    return datasets, [
        replace(found("unreadable-split", str(error.where or path), error.what), split=name) for name, error in errors
    ]


def _look_at_all(datasets: dict[str, Dataset], workers: int | None) -> Iterator[tuple[str, Look]]:
    """Every image of every split in order, looked at by several processes if there are many."""
    tasks = [(split, index) for split, dataset in datasets.items() for index in range(len(dataset))]
    if workers is None:
        workers = min(_cores(), len(tasks) // _IMAGES_A_WORKER)
    workers = min(workers, _WORKERS_A_CORE * _cores(), len(tasks))
    if workers < 2:
        yield from ((split, look(datasets[split], index)) for split, index in tasks)
        return
    pool = ProcessPoolExecutor(workers, initializer=_take, initargs=(datasets,))
    try:
        looks = pool.map(_look_at, tasks, chunksize=max(1, min(16, len(tasks) // (4 * workers))))
        yield from zip((split for split, _ in tasks), looks, strict=True)
    except BrokenProcessPool as error:
        raise MaskRCNNError(
            "a process that reads images was ended from outside", fix="use fewer --workers: memory may be short"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_taken: dict[str, Dataset] = {}


def _take(datasets: dict[str, Dataset]) -> None:
    """Hand a worker process the data sets, once."""
    _taken.update(datasets)


def _look_at(task: tuple[str, int]) -> Look:
    split, index = task
    return look(_taken[split], index)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _source(dataset: Dataset, path: str | Path) -> str | Path:
    """The file to name for faults of a whole split."""
    files = {record.labels for record in dataset.records}
    only = next(iter(files)) if len(files) == 1 else None
    return only or path


def _without_mismatch(finding: Finding) -> Finding:
    return exif_in_place_of_mismatch(finding) if finding.check == "size-mismatch" else finding


def _most_telling(findings: Sequence[Finding]) -> list[Finding]:
    """The findings without those that only follow from another."""
    by_split: dict[str, set[str]] = {}
    by_place: dict[tuple[str, str, int | None], set[str]] = {}
    elsewhere: set[str] = set()
    for finding in findings:
        elsewhere.update(_ELSEWHERE.get(finding.check, ()))
        by_split.setdefault(finding.split, set()).update(_CONSEQUENCES.get(finding.check, ()))
        by_place.setdefault(_place(finding), set()).update(_SAYS_MORE.get(finding.check, ()))
    return [
        finding
        for finding in findings
        if finding.check not in elsewhere | by_split[finding.split] | by_place[_place(finding)]
    ]


def _place(finding: Finding) -> tuple[str, str, int | None]:
    return finding.split, finding.file, finding.annotation
