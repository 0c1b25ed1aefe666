"""The doctor's examination: every image and label of a data set, in all its splits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

from maskrcnn.annotations.problem import Problem
from maskrcnn.config import preset
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.doctor.checks import catalogued, problem_of
from maskrcnn.datasets.doctor.class_checks import check_classes
from maskrcnn.datasets.doctor.coco_checks import CocoFile, check_coco_file, check_unlisted_images, count_lost
from maskrcnn.datasets.doctor.coco_content import coco_contents
from maskrcnn.datasets.doctor.diagnosis import Diagnosis, in_order, without_consequences
from maskrcnn.datasets.doctor.duplicate_image_checks import check_copies
from maskrcnn.datasets.doctor.examined_image import ExaminedImage, ExaminedSplit, examine_image
from maskrcnn.datasets.doctor.image_checks import explain_mismatch
from maskrcnn.datasets.doctor.split_checks import check_split
from maskrcnn.datasets.open_dataset import Source, check_finished
from maskrcnn.errors import MaskRCNNError
from maskrcnn.output.unfinished import MARK, unfinished_folder

_IMAGES_A_WORKER = 48  # below, starting a process costs more than it saves
_WORKERS_A_CORE = 8


def examine(
    path: str | Path,
    network: str = "lite",
    workers: int | None = None,
    start: Callable[[int], object] = lambda images: None,
    advance: Callable[[], object] = lambda: None,
) -> Diagnosis:
    """Make every check of the catalogue.

    Args:
        path: what `open_dataset` takes.
        network: preset by whose input size objects are called too small, and whose limit of detections counts.
        workers: processes; one a core if None, and none for few images. Results do not depend on it.
        start: called once with the number of images.
        advance: called after each image.

    Raises:
        MaskRCNNError: `path` is no data set, or none of its splits can be read.
    """
    config = preset(network)
    path = Path(path)
    try:
        datasets, problems = _open_splits(path)
    except MaskRCNNError:
        check_finished(path)
        raise
    if folder := unfinished_folder(path):
        what = "the run that wrote this data set did not finish"
        problems.append(problem_of("unfinished", folder / MARK, what))
    start(sum(len(dataset) for dataset in datasets.values()))
    images: dict[str, list[ExaminedImage]] = {name: [] for name in datasets}
    for name, image in _examine_images(datasets, workers):
        images[name].append(image)
        advance()
    splits: list[ExaminedSplit] = []
    coco_files: list[CocoFile] = []
    for name, dataset in datasets.items():
        contents = coco_contents(dataset)
        split = ExaminedSplit(name, dataset.names, count_lost(images[name], contents), _source(dataset, path))
        splits.append(split)
        found = [explain_mismatch(catalogued(problem)) for problem in dataset.problems]
        found += [problem for image in split.images for problem in image.problems]
        found += check_split(split, config)
        for label_file, content in contents.items():
            file = CocoFile(label_file, content, [image for image in split.images if image.record.labels == label_file])
            found += check_coco_file(file)
            coco_files.append(file)
        problems += [replace(problem, split=name) for problem in found]
    problems += [*check_unlisted_images(coco_files), *check_copies(splits), *check_classes(splits)]
    return Diagnosis(
        str(path),
        {split.name: len(split.images) for split in splits},
        {split.name: sum(len(image.ids) for image in split.images) for split in splits},
        in_order(without_consequences(problems), list(datasets)),
    )


def _open_splits(path: Path) -> tuple[dict[str, Dataset], list[Problem]]:
    """The data set of each split; a split that cannot be read is a problem, unless none can."""
    source = Source(path, finished=False)
    datasets: dict[str, Dataset] = {}
    errors: list[tuple[str, MaskRCNNError]] = []
    for name in source.splits:
        try:
            datasets[name] = source.open(name)
        except MaskRCNNError as error:
            errors.append((name, error))
    if not datasets:
        raise errors[0][1]
    return datasets, [
        problem_of("unreadable-split", str(error.where or path), error.what, split=name) for name, error in errors
    ]


def _examine_images(datasets: dict[str, Dataset], workers: int | None) -> Iterator[tuple[str, ExaminedImage]]:
    """Every image of every split in order, examined by several processes if there are many."""
    tasks = [(split, index) for split, dataset in datasets.items() for index in range(len(dataset))]
    if workers is None:
        workers = min(_cores(), len(tasks) // _IMAGES_A_WORKER)
    workers = min(workers, _WORKERS_A_CORE * _cores(), len(tasks))
    if workers < 2:
        yield from ((split, examine_image(datasets[split], index)) for split, index in tasks)
        return
    pool = ProcessPoolExecutor(workers, initializer=_worker_datasets.update, initargs=(datasets,))
    try:
        images = pool.map(_examine_task, tasks, chunksize=max(1, min(16, len(tasks) // (4 * workers))))
        yield from zip((split for split, _ in tasks), images, strict=True)
    except BrokenProcessPool as error:
        raise MaskRCNNError(
            "a process that reads images was killed", fix="use fewer workers: memory may be short"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_worker_datasets: dict[str, Dataset] = {}  # in a worker process: what it was given at its start


def _examine_task(task: tuple[str, int]) -> ExaminedImage:
    split, index = task
    return examine_image(_worker_datasets[split], index)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _source(dataset: Dataset, path: Path) -> Path:
    """The file to name for problems of a whole split."""
    files = {record.labels for record in dataset.records}
    return (files.pop() if len(files) == 1 else None) or path
