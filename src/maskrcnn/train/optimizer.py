"""The optimiser of a recipe."""

from __future__ import annotations

import torch

from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.train.recipe import Recipe


def build_optimizer(model: MaskRCNN, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW or SGD with momentum; biases and norms do not decay."""
    trainable = [value for value in model.parameters() if value.requires_grad]
    groups = [
        {"params": [value for value in trainable if value.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [value for value in trainable if value.dim() <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)
