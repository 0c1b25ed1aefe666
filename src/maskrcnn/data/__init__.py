"""Labelled data: image files, data sets and their formats.

Names are imported when first used, so that the readers of images work where there is no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskrcnn.data.dataset import Dataset as Dataset
    from maskrcnn.data.dataset import ImageRecord as ImageRecord
    from maskrcnn.data.dataset import has_split as has_split
    from maskrcnn.data.dataset import open_dataset as open_dataset
    from maskrcnn.data.objects import Annotation as Annotation
    from maskrcnn.data.objects import Objects as Objects
    from maskrcnn.data.problem import Problem as Problem

_HOMES = {
    "Dataset": "maskrcnn.data.dataset",
    "ImageRecord": "maskrcnn.data.dataset",
    "has_split": "maskrcnn.data.dataset",
    "open_dataset": "maskrcnn.data.dataset",
    "Annotation": "maskrcnn.data.objects",
    "Objects": "maskrcnn.data.objects",
    "Problem": "maskrcnn.data.problem",
}
__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'maskrcnn.data' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
