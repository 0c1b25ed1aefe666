"""The optimiser of a recipe: weight decay and learning rate of each parameter."""

from __future__ import annotations

from typing import Any

import torch

from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.training.backbone_stages import STAGES, stage_of_parameters
from maskrcnn.training.recipe import Recipe


def build_optimizer(model: MaskRCNN, recipe: Recipe, rate: float) -> torch.optim.Optimizer:
    """AdamW or SGD with Nesterov momentum at a peak learning rate; biases and norms do not decay.

    A group's ``share`` of the rate is ``layer_decay`` to the power of the number of stages after it.
    """
    stage = stage_of_parameters(model) if recipe.layer_decay < 1 else {}
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, value in model.named_parameters():
        if value.requires_grad:
            share = recipe.layer_decay ** (STAGES - stage.get(name, STAGES))
            decay = recipe.weight_decay if value.dim() > 1 else 0.0
            fresh = {"params": [], "weight_decay": decay, "share": share, "lr": rate * share}
            groups.setdefault((share, decay), fresh)["params"].append(value)
    # One kernel for all parameters, which in fp16 does not wait for the scaler's check of the gradients.
    fused = next(model.parameters()).device.type in ("cpu", "cuda")
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups.values(), lr=rate, fused=fused)
    return torch.optim.SGD(groups.values(), lr=rate, momentum=0.9, nesterov=True, fused=fused)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of each group to its share of ``rate``."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]
