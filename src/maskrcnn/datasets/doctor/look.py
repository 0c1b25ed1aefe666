"""One image with its labels, looked at by a worker: its own faults, and what checks of the whole split need to know."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from maskrcnn.annotations.objects import Drawn, draw_each
from maskrcnn.datasets.dataset import Dataset, ImageRecord
from maskrcnn.datasets.doctor.diagnosis import Finding, found, from_problem
from maskrcnn.datasets.doctor.image_checks import ImageLook, look_at_image
from maskrcnn.datasets.doctor.outline_checks import fills_box, pieces, shape_findings
from maskrcnn.datasets.doctor.overlap_checks import overlap_findings
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop


class Look(NamedTuple):
    """One image and its N objects.

    Attributes:
        record: which image.
        image: what its file shows.
        findings: faults of image and objects that show without the other images.
        readable: whether its labels could be read.
        lost: objects that its labels mark and that cannot be used.
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
    image: ImageLook
    findings: list[Finding]
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


def look(dataset: Dataset, index: int) -> Look:
    """Read and judge one image and its labels."""
    record = dataset.records[index]
    image = look_at_image(record)
    findings = list(image.findings)
    told = len(dataset.problems)
    try:
        annotations, readable = dataset.annotations(index), True
    except MaskRCNNError as error:
        annotations, readable = [], False
        finding = found("unreadable-labels", record.labels or record.path, error.what)
        findings.append(replace(finding, fix=error.fix or finding.fix))
    objects, problems = draw_each(annotations, record.size, record.path)
    problems = [*dataset.problems[told:], *problems]
    findings += [replace(from_problem(problem), file=str(record.path)) for problem in problems]
    lost = sum(problem.objects_lost for problem in problems)
    for drawn in objects:
        findings += shape_findings(drawn, record.size, record.path)
    findings += overlap_findings(objects, dataset.names, record.path)
    return _measured(record, image, findings, readable, lost, objects)


def _measured(
    record: ImageRecord, image: ImageLook, findings: list[Finding], readable: bool, lost: int, objects: list[Drawn]
) -> Look:
    raster = any(isinstance(drawn.annotation.segmentation, Crop) for drawn in objects)
    counted = [pieces(drawn.crop) if raster and drawn.crop is not None else (1, 0.0) for drawn in objects]
    nothing = (np.nan,) * 4
    tight = [nothing if drawn.crop is None else drawn.crop.box for drawn in objects]
    return Look(
        record,
        image,
        findings,
        readable,
        lost,
        ids=np.array([drawn.annotation.id for drawn in objects], dtype=np.int64),
        labels=np.array([drawn.annotation.label for drawn in objects], dtype=np.int64),
        crowd=np.array([drawn.annotation.crowd for drawn in objects], dtype=bool),
        boxes=np.array([drawn.box for drawn in objects], dtype=np.float32).reshape(-1, 4),
        tight=np.array(tight, dtype=np.float32).reshape(-1, 4),
        rectangle=np.array([drawn.crop is not None and fills_box(drawn.crop) for drawn in objects], dtype=bool),
        raster=raster,
        parts=np.array([count for count, _ in counted], dtype=np.int64),
        gaps=np.array([gap for _, gap in counted], dtype=np.float64),
    )
