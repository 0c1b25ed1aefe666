"""Checkpoints written for tests, and what is read from a model that was filled from one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from maskrcnn.model.mask_rcnn import MaskRCNN


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


def channels(count: int) -> dict[str, dict[str, tuple[float, ...]]]:
    return {"preprocess": {"mean": (0.5,) * count, "std": (0.5,) * count}}


def first_layer(model: MaskRCNN) -> Tensor:
    return next(value for value in model.backbone.state_dict().values() if value.dim() == 4)
