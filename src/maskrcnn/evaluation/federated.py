"""Federated labels, as LVIS has them (Gupta et al. 2019, section 3): an image is labelled for some classes only.

They are judged as in LVIS's own evaluation. A detection counts only if its class is labelled in the image or known to
be absent. If not every object of a class is labelled, a detection that finds none is neither right nor wrong: the whole
image is a region of that class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from maskrcnn.annotations.labels import ImageRecord
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.masks.crop import Crop

LIMIT = 300  # detections of an image that LVIS counts


def is_federated(dataset: Dataset) -> bool:
    """Whether any image is labelled for some classes only."""
    return any(record.absent is not None or record.partial for record in dataset.records)


def note(limit: int) -> str:
    """How such labels are judged, with so many detections an image."""
    line = "federated labels: as LVIS does, an image is judged by the classes that it is labelled for"
    if limit == LIMIT:
        return line
    other = f"LVIS counts {LIMIT} detections an image, this evaluation {limit}"
    return f"{line}; but {other}, so these figures are not LVIS's (--max-detections {LIMIT})"


def as_labelled(image: EvaluatedImage, record: ImageRecord, names: Sequence[str]) -> EvaluatedImage:
    """The image with the detections that its labels can judge, and a region for each class not labelled completely.

    Args:
        names: of the classes that the labels point into.
    """
    if record.absent is not None:
        decided = {*(names[label] for label in np.unique(image.truth.labels)), *record.absent}
        judged = np.array([name in decided for name in names], dtype=bool)
        image = image.select(np.flatnonzero(judged[np.asarray(image.labels, dtype=np.int64)]))
    if not record.partial:
        return image
    truth, count, (height, width) = image.truth, len(record.partial), image.size
    region = Crop(np.ones(image.size, dtype=bool), 0, 0)
    truth = dataclasses.replace(
        truth,
        boxes=np.concatenate((truth.boxes, np.tile(np.array([0, 0, width, height], np.float32), (count, 1)))),
        labels=np.append(truth.labels, [names.index(name) for name in record.partial]),
        crowd=np.append(truth.crowd, [True] * count),
        crops=[*truth.crops, *([region] * count)],
        ids=np.append(truth.ids, [0] * count),
        areas=None if truth.areas is None else np.append(truth.areas, [float(height * width)] * count),
    )
    return dataclasses.replace(image, truth=truth)
