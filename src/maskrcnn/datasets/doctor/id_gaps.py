"""Ids that should follow each other: where one is missing, an object may have been lost."""

from __future__ import annotations

import numpy as np

from maskrcnn.text import listed

_GAPS = 0.1  # missing ids as a share of those there: where more are missing, they were not meant to follow each other
_NAMED = 8


def missing_ids(ids: np.ndarray, first: int) -> str:
    """Which of the numbers from `first` to the largest of whole numbers [N] are missing, if a few are; else ""."""
    ids = np.unique(ids[ids >= first])
    if not ids.size:
        return ""
    last = int(ids[-1])
    missing = last - first + 1 - len(ids)
    if not 0 < missing <= max(1, _GAPS * len(ids)):
        return ""
    absent = np.setdiff1d(np.arange(first, last), ids).tolist()
    return f"run from {first} to {last}, {missing} missing: {listed(absent, _NAMED)}"
