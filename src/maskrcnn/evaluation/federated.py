"""Federated labels, as LVIS has them (Gupta et al. 2019, section 3): an image tells of some of the classes only.

They are judged as LVIS's own evaluation does. A detection counts only if its class is labelled in the image or known to
be absent. Where not every object of a class is labelled, a detection that finds none is neither right nor wrong: the
whole image is a region of that class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from maskrcnn.annotations.labels import ImageRecord
from maskrcnn.annotations.objects import Objects
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.masks.crop import Crop

LIMIT = 300  # detections of an image that LVIS counts


def is_federated(dataset: Dataset) -> bool:
    """Whether an image tells of some classes only."""
    return any(record.absent is not None or record.partial for record in dataset.records)


def note(limit: int) -> str:
    """How such labels are judged, with so many detections an image."""
    line = "federated labels: as LVIS does, an image is judged by the classes that its labels tell of"
    if limit == LIMIT:
        return line
    other = f"LVIS counts {LIMIT} detections an image, here it is {limit}"
    return f"{line}; but {other}, so that these figures are not LVIS's (--max-detections {LIMIT})"


def as_labelled(sample: EvaluatedImage, record: ImageRecord, names: Sequence[str]) -> EvaluatedImage:
    """The sample with the detections that its image's labels can judge, and with regions for what they leave open.

    Args:
        names: of the classes that the labels point into.
    """
    if record.absent is not None:
        told = {*(names[label] for label in np.unique(sample.truth.labels)), *record.absent}
        judged = np.array([name in told for name in names], dtype=bool)[np.asarray(sample.labels, dtype=np.int64)]
        rows = np.flatnonzero(judged)
        masks = None if sample.masks is None else sample.masks[rows]
        boxes, scores, labels = sample.boxes[rows], sample.scores[rows], sample.labels[rows]
        sample = dataclasses.replace(sample, boxes=boxes, scores=scores, labels=labels, masks=masks)
    if not record.partial:
        return sample
    return dataclasses.replace(sample, truth=_with_regions(sample, [names.index(name) for name in record.partial]))


def _with_regions(sample: EvaluatedImage, labels: Sequence[int]) -> Objects:
    """The labelled objects and, for each of these classes, the whole image as a crowd."""
    truth, count = sample.truth, len(labels)
    height, width = sample.size
    areas = None if truth.areas is None else np.append(truth.areas, np.full(count, float(height * width)))
    return Objects(
        boxes=np.concatenate((truth.boxes, np.tile(np.array([0, 0, width, height], np.float32), (count, 1)))),
        labels=np.append(truth.labels, np.array(labels, dtype=np.int64)),
        crowd=np.append(truth.crowd, np.ones(count, dtype=bool)),
        crops=[*truth.crops, *([Crop(np.ones((height, width), dtype=bool), 0, 0)] * count)],
        ids=np.append(truth.ids, np.zeros(count, dtype=np.int64)),
        areas=areas,
        problems=truth.problems,
    )
