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
    from maskrcnn.benchmarking.environment import environment as environment
    from maskrcnn.config import Config as Config
    from maskrcnn.config import preset as preset
    from maskrcnn.datasets.open_dataset import open_dataset as open_dataset
    from maskrcnn.errors import MaskRCNNError as MaskRCNNError
    from maskrcnn.inference.loading import load as load
    from maskrcnn.inference.predictor import Predictor as Predictor
    from maskrcnn.masks.masks import Masks as Masks
    from maskrcnn.model.mask_rcnn import MaskRCNN as MaskRCNN
    from maskrcnn.results.result import Result as Result
    from maskrcnn.verbs.benchmark import benchmark as benchmark
    from maskrcnn.verbs.convert import convert as convert
    from maskrcnn.verbs.convert_dataset import convert_dataset as convert_dataset
    from maskrcnn.verbs.dataset_stats import dataset_stats as dataset_stats
    from maskrcnn.verbs.demo import demo as demo
    from maskrcnn.verbs.doctor import doctor as doctor
    from maskrcnn.verbs.evaluate import evaluate as evaluate
    from maskrcnn.verbs.export import export as export
    from maskrcnn.verbs.models import models as models
    from maskrcnn.verbs.predict import predict as predict
    from maskrcnn.verbs.split_dataset import split_dataset as split_dataset
    from maskrcnn.verbs.train import train as train
    from maskrcnn.verbs.view_dataset import view_dataset as view_dataset

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
    "benchmark": "maskrcnn.verbs.benchmark",
    "convert": "maskrcnn.verbs.convert",
    "convert_dataset": "maskrcnn.verbs.convert_dataset",
    "dataset_stats": "maskrcnn.verbs.dataset_stats",
    "demo": "maskrcnn.verbs.demo",
    "doctor": "maskrcnn.verbs.doctor",
    "models": "maskrcnn.verbs.models",
    "split_dataset": "maskrcnn.verbs.split_dataset",
    "view_dataset": "maskrcnn.verbs.view_dataset",
    "environment": "maskrcnn.benchmarking.environment",
    "MaskRCNNError": "maskrcnn.errors",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'maskrcnn' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
