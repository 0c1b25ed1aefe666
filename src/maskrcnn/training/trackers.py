"""TensorBoard, Weights & Biases and MLflow by name, through accelerate's trackers."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from maskrcnn.errors import MaskRCNNError
from maskrcnn.training.recipe import Recipe


def require(names: Sequence[str]) -> None:
    """Raise `MaskRCNNError` naming the extra to install when a tracker's package is missing."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            what = f"tracking with {name} needs its package, which is not installed"
            raise MaskRCNNError(what, fix=f"pip install maskrcnn[{name}]")


def start(accelerator: Accelerator, recipe: Recipe, folder: Path, step: int) -> None:
    """Open the recipe's trackers; TensorBoard's events go to RUN/maskrcnn.

    Args:
        step: that a run is resumed from; TensorBoard hides its records of later steps.
    """
    if not recipe.track:
        return
    settings = {name: value for name, value in recipe.model_dump().items() if isinstance(value, int | float | str)}
    named: dict[str, dict[str, Any]] = {
        "tensorboard": {"purge_step": step + 1} if step else {},
        "wandb": {"name": folder.name},
        "mlflow": {"run_name": folder.name},
    }
    accelerator.init_trackers("maskrcnn", settings, {name: named[name] for name in recipe.track})
