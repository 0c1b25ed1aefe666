"""One image with its labels, examined in a worker: its problems, and what the checks of a whole split need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from maskrcnn.annotations.labels import ImageRecord
from maskrcnn.annotations.objects import Drawn
from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.doctor.checks import catalogued, problem_of
from maskrcnn.datasets.doctor.image_checks import ExaminedFile, examine_file
from maskrcnn.datasets.doctor.outline_checks import check_shape, is_rectangle, pieces
from maskrcnn.datasets.doctor.overlap_checks import check_overlaps
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop


class ExaminedImage(NamedTuple):
    """One image and its N objects."""

    record: ImageRecord
    file: ExaminedFile
    problems: list[Problem]  # of the image and its objects that need no other image
    readable: bool  # whether its labels could be read
    lost: int  # number of objects in its labels that cannot be used
    ids: np.ndarray  # int64 [N]
    labels: np.ndarray  # int64 [N]
    crowd: np.ndarray  # bool [N]
    boxes: np.ndarray  # float32 [N, 4], as training uses them
    tight: np.ndarray  # float32 [N, 4], of the masks; NaN for objects without one
    rectangle: np.ndarray  # bool [N], masks that fill their boxes
    raster: bool  # whether the format stores pixels, one number per object
    parts: np.ndarray  # int64 [N], pieces of each mask of a raster, else 1
    gaps: np.ndarray  # float64 [N], pixels between the two large pieces of a mask of a raster, else 0

    @property
    def path(self) -> Path:
        """The image file."""
        return self.record.path


@dataclass(frozen=True)
class ExaminedSplit:
    """All images of one split."""

    name: str  # "train", "val", …; "" for data without splits
    names: tuple[str, ...]  # of the C classes
    images: list[ExaminedImage]  # in the order of the data set
    source: str | Path  # the file or folder to name for problems of the whole split

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
    objects: list[Drawn] = []
    lost: list[Problem] = []
    readable = True
    try:
        objects, lost = dataset.drawn(index)
    except MaskRCNNError as error:
        readable = False
        problem = problem_of("unreadable-labels", record.labels or record.path, error.what)
        problems.append(replace(problem, fix=error.fix or problem.fix))
    problems += [replace(catalogued(problem), file=str(record.path)) for problem in lost]
    for drawn in objects:
        problems += check_shape(drawn, record.size, record.path)
    problems += check_overlaps(objects, dataset.names, record.path)
    annotations, crops = [drawn.annotation for drawn in objects], [drawn.crop for drawn in objects]
    raster = any(isinstance(annotation.segmentation, Crop) for annotation in annotations)
    counted = [pieces(crop) if raster and crop is not None else (1, 0.0) for crop in crops]
    tight = [(np.nan,) * 4 if crop is None else crop.box for crop in crops]
    return ExaminedImage(
        record,
        file,
        problems,
        readable,
        sum(problem.objects_lost for problem in lost),
        ids=np.array([annotation.id for annotation in annotations], dtype=np.int64),
        labels=np.array([annotation.label for annotation in annotations], dtype=np.int64),
        crowd=np.array([annotation.crowd for annotation in annotations], dtype=bool),
        boxes=np.array([drawn.box for drawn in objects], dtype=np.float32).reshape(-1, 4),
        tight=np.array(tight, dtype=np.float32).reshape(-1, 4),
        rectangle=np.array([crop is not None and is_rectangle(crop) for crop in crops], dtype=bool),
        raster=raster,
        parts=np.array([count for count, _ in counted], dtype=np.int64),
        gaps=np.array([gap for _, gap in counted], dtype=np.float64),
    )
