"""Mask R-CNN: for every object in an image its class, score, box and pixel mask.

    >>> import maskrcnn
    >>> model = maskrcnn.load("nuclei")
    >>> result = model.predict("slide.png", score=0.5)
    >>> result.save("slide-objects.png")

Names are imported when first used, so that ``import maskrcnn`` and the command line start at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from maskrcnn.version import VERSION

__version__ = VERSION

if TYPE_CHECKING:
    from maskrcnn.config import Config as Config
    from maskrcnn.config import preset as preset
    from maskrcnn.datasets.open_dataset import open_dataset as open_dataset
    from maskrcnn.errors import MaskRCNNError as MaskRCNNError
    from maskrcnn.inference.loading import load as load
    from maskrcnn.inference.predictor import Predictor as Predictor
    from maskrcnn.masks.masks import Masks as Masks
    from maskrcnn.model.mask_rcnn import MaskRCNN as MaskRCNN
    from maskrcnn.results.result import Result as Result
    from maskrcnn.verbs.evaluate import evaluate as evaluate
    from maskrcnn.verbs.export import export as export
    from maskrcnn.verbs.predict import predict as predict
    from maskrcnn.verbs.train import train as train

_HOMES = {
    "load": "maskrcnn.inference.loading",
    "Predictor": "maskrcnn.inference.predictor",
    "Result": "maskrcnn.results.result",
    "Masks": "maskrcnn.masks.masks",
    "MaskRCNN": "maskrcnn.model.mask_rcnn",
    "Config": "maskrcnn.config",
    "preset": "maskrcnn.config",
    "open_dataset": "maskrcnn.datasets.open_dataset",
    "train": "maskrcnn.verbs.train",
    "predict": "maskrcnn.verbs.predict",
    "evaluate": "maskrcnn.verbs.evaluate",
    "export": "maskrcnn.verbs.export",
    "MaskRCNNError": "maskrcnn.errors",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'maskrcnn' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
