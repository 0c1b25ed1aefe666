"""One image with its labels, examined in a worker: its problems, and what checks of the whole split need to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord
from maskrcnn.annotations.objects import Drawn, draw_each
from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.doctor.checks import catalogued, problem_of
from maskrcnn.datasets.doctor.image_checks import ExaminedFile, examine_file
from maskrcnn.datasets.doctor.outline_checks import check_shape, is_rectangle, pieces
from maskrcnn.datasets.doctor.overlap_checks import check_overlaps
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop


class ExaminedImage(NamedTuple):
    """One image and its N objects.

    Attributes:
        record: which image.
        file: what its file shows.
        problems: of the image and its objects, as far as they show without the other images.
        readable: whether its labels could be read.
        lost: number of objects that its labels mark and that cannot be used.
        ids: int64 [N].
        labels: int64 [N].
        crowd: bool [N].
        boxes: float32 [N, 4], as training sees them.
        tight: float32 [N, 4], of the masks; NaN for objects without one.
        rectangle: bool [N], masks that fill their boxes.
        raster: whether the format stores pixels, one number an object.
        parts: int64 [N], pieces of each mask of a raster, else 1.
        gaps: float64 [N], pixels between the two large pieces of a mask of a raster, else 0.
    """

    record: ImageRecord
    file: ExaminedFile
    problems: list[Problem]
    readable: bool
    lost: int
    ids: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    boxes: np.ndarray
    tight: np.ndarray
    rectangle: np.ndarray
    raster: bool
    parts: np.ndarray
    gaps: np.ndarray

    @property
    def path(self) -> Path:
        """The image file."""
        return self.record.path


@dataclass(frozen=True)
class ExaminedSplit:
    """All images of one split.

    Attributes:
        name: "train", "val", …; "" for data without splits.
        names: C class names.
        images: in the order of the data set.
        source: the file or folder to name for problems of the whole split.
    """

    name: str
    names: tuple[str, ...]
    images: list[ExaminedImage]
    source: str | Path

    @cached_property
    def class_counts(self) -> np.ndarray:
        """Objects of each class, int64 [C], crowds left out."""
        counts = np.zeros(len(self.names), dtype=np.int64)
        for image in self.images:
            counts += np.bincount(image.labels[~image.crowd], minlength=len(counts))
        return counts


def examine_image(dataset: Dataset, index: int) -> ExaminedImage:
    """Read and check one image and its labels."""
    record = dataset.records[index]
    file = examine_file(record)
    problems = list(file.problems)
    annotations: Sequence[Annotation] = ()
    unreadable: Sequence[Problem] = ()
    readable = True
    try:
        annotations, unreadable = dataset.annotations(index)
    except MaskRCNNError as error:
        readable = False
        problem = problem_of("unreadable-labels", record.labels or record.path, error.what)
        problems.append(replace(problem, fix=error.fix or problem.fix))
    objects, undrawable = draw_each(annotations, record.size, record.path)
    lost = [*unreadable, *undrawable]
    problems += [replace(catalogued(problem), file=str(record.path)) for problem in lost]
    for drawn in objects:
        problems += check_shape(drawn, record.size, record.path)
    problems += check_overlaps(objects, dataset.names, record.path)
    return _measured(record, file, problems, readable, sum(problem.objects_lost for problem in lost), objects)


def _measured(
    record: ImageRecord, file: ExaminedFile, problems: list[Problem], readable: bool, lost: int, objects: list[Drawn]
) -> ExaminedImage:
    raster = any(isinstance(drawn.annotation.segmentation, Crop) for drawn in objects)
    counted = [pieces(drawn.crop) if raster and drawn.crop is not None else (1, 0.0) for drawn in objects]
    nothing = (np.nan,) * 4
    tight = [nothing if drawn.crop is None else drawn.crop.box for drawn in objects]
    return ExaminedImage(
        record,
        file,
        problems,
        readable,
        lost,
        ids=np.array([drawn.annotation.id for drawn in objects], dtype=np.int64),
        labels=np.array([drawn.annotation.label for drawn in objects], dtype=np.int64),
        crowd=np.array([drawn.annotation.crowd for drawn in objects], dtype=bool),
        boxes=np.array([drawn.box for drawn in objects], dtype=np.float32).reshape(-1, 4),
        tight=np.array(tight, dtype=np.float32).reshape(-1, 4),
        rectangle=np.array([drawn.crop is not None and is_rectangle(drawn.crop) for drawn in objects], dtype=bool),
        raster=raster,
        parts=np.array([count for count, _ in counted], dtype=np.int64),
        gaps=np.array([gap for _, gap in counted], dtype=np.float64),
    )
