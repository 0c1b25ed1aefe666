"""Which classes have an example in the data, so that they can be learned or measured."""

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

    Labels are read until each class was found, or for 20 s: formats with one label file per image take long to read.

    Raises:
        MaskRCNNError: no image has an object that can be learned.
    """
    seen, looked = _look(dataset, len(dataset.names))
    if not seen.any():
        raise MaskRCNNError(
            f"none of the {len(dataset)} training images has a labelled object, so there is nothing to learn",
            fix="label some objects; `maskrcnn doctor DATA` says what became of labels that are there",
        )
    missing = listed([name for name, found in zip(dataset.names, seen, strict=True) if not found], SHOWN)
    where = "the training images" if looked == len(dataset) else f"the first {looked} training images"
    line = f"no example in {where} of: {missing} (they will not be found: label some, or leave them out)"
    return [line] if missing else []


def has_none_of(dataset: Dataset, labels: Collection[int]) -> bool:
    """Whether no image has an object of these classes; False if 20 s were too short to read all images."""
    seen, looked = _look(dataset, 1, labels)
    return looked == len(dataset) and not seen[list(labels)].any()


def _look(dataset: Dataset, enough: int, labels: Collection[int] | None = None) -> tuple[np.ndarray, int]:
    """Which classes have an object, bool [C], and how many images were read until ``enough`` of ``labels`` had one."""
    seen, looked = np.zeros(len(dataset.names), dtype=bool), 0
    wanted = slice(None) if labels is None else list(labels)
    until = time.monotonic() + LOOK_S
    for looked in range(1, len(dataset) + 1):
        try:
            annotations, _ = dataset.annotations(looked - 1)
        except MaskRCNNError:
            continue  # reported when the image is used
        seen[[annotation.label for annotation in annotations if not annotation.crowd]] = True
        # Training needs an example: until one is found, the time limit does not apply.
        if seen[wanted].sum() >= enough or (time.monotonic() > until and (seen.any() or labels is not None)):
            break
    return seen, looked
