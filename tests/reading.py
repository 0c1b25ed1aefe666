"""What reading a data set to its end tells, for tests of formats."""

from __future__ import annotations

from maskrcnn.annotations.problem import Problem
from maskrcnn.annotations.problem_log import ProblemLog
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError


def log_of(dataset: Dataset) -> ProblemLog:
    """The problems of opening the data set, and of drawing all images whose labels can be read."""
    log = ProblemLog(dataset.problems)
    for index in range(len(dataset)):
        try:
            log.add(dataset.objects(index).problems)
        except MaskRCNNError:
            continue
    return log


def problems_of(dataset: Dataset) -> list[Problem]:
    """As a list."""
    return list(log_of(dataset))


def lost(dataset: Dataset) -> tuple[int, int]:
    """How many images and objects are not used."""
    log = log_of(dataset)
    return log.images_lost, log.objects_lost
