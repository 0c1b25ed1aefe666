"""torch.export: the traced `detect` in torch's own operators, which PyTorch runs without this package."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from maskrcnn.export.metadata import KEY, metadata
from maskrcnn.export.traced_program import trace
from maskrcnn.model.mask_rcnn import MaskRCNN

NOTE = f"{KEY}.json"


def write(model: MaskRCNN, path: Path, precision: str = "fp32", calibrate: Path | None = None) -> None:
    """Write the model to ``path`` (.pt2), with what it says of itself in the extra file ``maskrcnn.json``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(trace(model, whole=False), path, extra_files={NOTE: metadata(model, precision)})
