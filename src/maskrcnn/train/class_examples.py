"""Which classes have an example in the data: whether there is something to learn, and to measure."""

from __future__ import annotations

import time
from collections.abc import Collection

import numpy as np

from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.text import listed

LOOK_S = 20.0
SHOWN = 12


def check_examples(dataset: Dataset) -> list[str]:
    """A line that names the classes without an example; none if there are no such classes.

    Images are read until each class was found, or for 20 s: formats with one label file per image take long to read.

    Raises:
        MaskRCNNError: no image has an object that can be learned.
    """
    seen, looked = _look(dataset, len(dataset.names))
    if not seen.any():
        raise MaskRCNNError(
            f"none of the {len(dataset)} training images has a labelled object, so there is nothing to learn",
            fix="label some objects; `maskrcnn doctor DATA` says what became of labels that are there",
        )
    missing = [name for name, there in zip(dataset.names, seen, strict=True) if not there]
    if not missing:
        return []
    where = "the training images" if looked == len(dataset) else f"the first {looked} training images"
    return [
        f"no example in {where} of: {listed(missing, SHOWN)} (they will not be found: label some, or leave them out)"
    ]


def has_none_of(dataset: Dataset, labels: Collection[int]) -> bool:
    """Whether no image has an object of these classes; False if 20 s were too short to read all images."""
    seen, looked = _look(dataset, 1, labels)
    return looked == len(dataset) and not seen[list(labels)].any()


def _look(dataset: Dataset, enough: int, labels: Collection[int] | None = None) -> tuple[np.ndarray, int]:
    """Which classes have an object, bool [C], and how many images were read until ``enough`` of ``labels`` had one."""
    seen = np.zeros(len(dataset.names), dtype=bool)
    wanted = np.ones(len(seen), dtype=bool) if labels is None else np.isin(np.arange(len(seen)), list(labels))
    looked, until = 0, time.monotonic() + LOOK_S
    for index in range(len(dataset)):
        looked += 1
        try:
            seen[[annotation.label for annotation in dataset.annotations(index)[0] if not annotation.crowd]] = True
        except MaskRCNNError:
            continue  # reported when the image is used
        # Training needs an example: until there is one, the time limit does not count.
        if (seen & wanted).sum() >= enough or (time.monotonic() > until and (seen.any() or labels is not None)):
            break
    return seen, looked
